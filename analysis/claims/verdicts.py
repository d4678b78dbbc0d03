"""Holds, does not hold, or undecided: an interval beside a margin that was stated before.

A claim holds if the whole 95 % interval of its effect lies on its side of the margin, does not hold if all of it lies
on the other, and is undecided otherwise. Where several outcomes are judged at once (tasks, or the budgets among which
the best is enough), each interval is one of 1 - 0.05 / k (Bonferroni), k being their number, so that all of them are
right together with a probability of 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from analysis.claims.claim import ABOVE, AT_LEAST, BELOW, NOTHING, WITHIN, Claim, Margin, Outcome, task_of
from analysis.data.marks.quiet import UNKNOWN
from analysis.data.marks.trivial import AT_CHANCE
from analysis.intervals.estimates import BANDS, CONFIDENCE, Effect, Interval
from analysis.intervals.power import MORE, MOST_ROWS, MOST_RUNS, Needed, needed

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
NOT_TESTED = "not tested"
ABSENT = "not in the records"
"""The setting of a claim that has no runs."""
ONE_TEACHER = "one teacher"
"""Beside a verdict over draws or seeds that are all of one fine-tuned model."""
NOT_QUIET = "without a quiet timing"
NOT_JUDGED = f"not judged: {AT_CHANCE}"
"""The verdict of runs whose teachers are no better than the trivial answer."""


@dataclass(frozen=True)
class Ruling:
    """An outcome with its interval and what follows."""

    outcome: Outcome
    interval: Interval
    margin: Margin
    state: str
    """Of the three, by the interval alone."""
    needed: Needed | None
    """Of an undecided one."""
    confidence: float
    """Of the interval, which allows for all outcomes that are judged at once."""


def rule(claim: Claim, outcomes: Sequence[Outcome]) -> list[Ruling]:
    """Every outcome beside its margin, all at once."""
    confidence = confidence_of(outcomes)
    rulings = []
    for outcome in outcomes:
        margin = claim.margin if outcome.margin is None else outcome.margin
        interval = within_limits(outcome.effect.interval(confidence), outcome)
        state = position(interval, claim.side, margin)
        more = None
        if state == UNDECIDED:
            more = needed(outcome.effect, _nearest(outcome.effect, margin), confidence)
        rulings.append(Ruling(outcome, interval, margin, state, more, confidence))
    return rulings


def within_limits(interval: Interval, outcome: Outcome) -> Interval:
    """Without what the effect cannot be; an endless end stays one, which says that nothing is known."""
    least, most = outcome.limits
    low, high = (end if math.isinf(end) else min(max(end, least), most) for end in interval)
    return Interval(low, high)


def confidence_of(outcomes: Sequence[Outcome]) -> float:
    """Of each interval, so that all of them together have :data:`CONFIDENCE`."""
    return 1 - (1 - CONFIDENCE) / max(1, sum(outcome.cells for outcome in outcomes))


def position(interval: Interval, side: str, margin: Margin) -> str:
    """Where an interval lies."""
    low, high = interval
    first, last = ends(margin)[0], ends(margin)[-1]
    inside, outside = {
        ABOVE: (low > first, high <= first),
        AT_LEAST: (low >= first, high < first),
        BELOW: (high < first, low >= first),
        WITHIN: (low >= first and high <= last, high < first or low > last),
    }[side]
    return HOLDS if inside else FAILS if outside else UNDECIDED


def ends(margin: Margin) -> tuple[float, ...]:
    return margin if isinstance(margin, tuple) else (margin,)


def _nearest(effect: Effect, margin: Margin) -> float:
    return min(ends(margin), key=lambda end: abs(effect.value - end))


def verdict(
    claim: Claim, rulings: Sequence[Ruling], left_out: Sequence[str] = (), quiet: str = "",
    untimed: Sequence[str] = (), alone: Collection[str] = (),
) -> str:  # fmt: skip
    """The verdict in words, with why it is undecided.

    Arguments:
        left_out: teachers or tasks that are at chance.
        quiet: what is known of how quiet the machine was.
        untimed: tasks that have runs, but none on a quiet machine.
        alone: tasks whose draws or seeds are all of one fine-tuned model, so that nothing is said of another.
    """
    if not rulings:
        return NOT_JUDGED if left_out else NOT_TESTED
    if UNKNOWN in quiet:
        return f"{UNDECIDED}: machine {UNKNOWN}"
    state = _all_together(claim, rulings, untimed)
    first = state.partition(" (")[0]
    deciding = [task_of(ruling.outcome.subject) for ruling in rulings if ruling.state == first]
    few = [task for task in deciding if task in alone or (not task and alone)]
    if not few or first not in (HOLDS, FAILS):
        return state
    of_some = f" of {' and '.join(few)}" if len(few) < len(deciding) else f" a {singular(claim.over)}"
    words = ONE_TEACHER + of_some * (len(rulings) > 1)
    return f"{state.removesuffix(')')}; {words})" if state.endswith(")") else f"{state} ({words})"


def _all_together(claim: Claim, rulings: Sequence[Ruling], untimed: Sequence[str]) -> str:
    states = [ruling.state for ruling in rulings]
    holding = states.count(HOLDS)
    count = f"{holding} of {len(states)} {claim.over}"
    if claim.once and holding:
        return HOLDS + (f" (for {count})" if holding < len(states) else "")
    failed = all(state == FAILS for state in states) if claim.once else FAILS in states
    if untimed and (failed if claim.once else holding == len(states)):  # they may turn it
        return f"{UNDECIDED}: {', '.join(untimed)} {NOT_QUIET}"
    if holding == len(states):
        return HOLDS
    if failed:
        return FAILS + (f" (holds for {count})" if holding else "")
    return f"{UNDECIDED}: {reasons(claim, rulings)}"


def reasons(claim: Claim, rulings: Sequence[Ruling]) -> str:
    """Why it is undecided: how few there are, or how many it would need.

    Where one is enough, that of those that seem to hold which needs least; if none does, of all, which have to be
    decided together, that which needs most.
    """
    open_ones = [ruling for ruling in rulings if ruling.state == UNDECIDED]
    known = [ruling for ruling in open_ones if ruling.needed is not None]
    if claim.once and known:
        seem = [ruling for ruling in known if _seems(claim, ruling) == HOLDS]
        chosen = min(seem, key=_effort) if seem else max(known, key=_effort)
        open_ones = [chosen] if seem or len(known) == len(open_ones) else open_ones
    texts: dict[str, list[str]] = {}
    for ruling in open_ones:
        texts.setdefault(decides_at(claim, ruling), []).append(ruling.outcome.subject)
    if len(texts) == 1 and len(open_ones) == len(rulings):
        return next(iter(texts))
    each = [f"{', '.join(filter(None, subjects))}: {text}" for text, subjects in texts.items()]
    return "; ".join(text.removeprefix(": ") for text in each)


def _seems(claim: Claim, ruling: Ruling) -> str:
    value = ruling.outcome.effect.value
    return position(Interval(value, value), claim.side, ruling.margin)


def _effort(ruling: Ruling) -> tuple[int, ...]:
    return tuple(ruling.needed or ())


def decides_at(claim: Claim, ruling: Ruling) -> str:
    """What would decide an undecided outcome; empty of others.

    No number of rows where these are not paired: the number would be of an interval that answers make narrower.
    """
    if ruling.state != UNDECIDED:
        return ""
    main = ruling.outcome.effect.main
    if main.single:
        return f"only 1 {singular(claim.resample)}"
    if ruling.needed is None:
        reach = [] if main.fixed else [f"{MOST_RUNS:,} {main.of or claim.resample}"]
        reach += [f"{MOST_ROWS:,} {main.rows_of}"] if main.rows else []
        return f"no number within reach ({', '.join(reach)})"
    runs, rows = ruling.needed
    if rows and main.by == BANDS:
        return "needs each row's answer in the records first"
    words = [f"{runs:,} {main.of or claim.resample}"] if runs else []
    words += [f"{'more' if rows == MORE else f'{rounded(rows):,}'} {_rows_of(ruling)}"] if rows else []
    return f"needs {' and '.join(words)}"


def _rows_of(ruling: Ruling) -> str:
    """What the rows are that would decide it: the repeats of a timing where that is what is open."""
    effect = ruling.outcome.effect
    one, _ = effect.toward(_nearest(effect, ruling.margin))
    return one.rows_of if one.fixed else effect.alone_of


def singular(word: str) -> str:
    return word.removesuffix("s")


def number_text(claim: Claim, ruling: Ruling) -> str:
    """What the interval is of: ``3 teachers, 1,000 rows``."""
    if claim.resample == NOTHING:
        return "counted"
    main = ruling.outcome.effect.main
    words = []
    if not main.fixed:
        runs = main.of or claim.resample
        words.append(f"{main.runs} {runs if main.runs > 1 else singular(runs)}")
    if main.rows:
        words.append(f"{main.rows:,} {main.rows_of if main.rows > 1 else singular(main.rows_of)}")
    return ", ".join(words)


def rounded(number: int) -> int:
    """To two digits, upwards.

    >>> rounded(12345), rounded(99), rounded(1010)
    (13000, 99, 1100)
    """
    step = 10 ** max(len(str(number)) - 2, 0)
    return -(-number // step) * step
