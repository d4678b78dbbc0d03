"""The table of a paper's claims: published, ours with its interval, what the interval is of, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from analysis.claims.claim import DRAWS, SEEDS, Claim, Outcome, task_of
from analysis.claims.verdicts import (
    ABSENT,
    NOT_QUIET,
    UNDECIDED,
    Ruling,
    confidence_of,
    decides_at,
    ends,
    number_text,
    rule,
    verdict,
    within_limits,
)
from analysis.data.groups import Group, by_teacher, repeated, teacher_of
from analysis.data.loading import Journal
from analysis.data.marks.quiet import for_verdict
from analysis.data.marks.trivial import AT_CHANCE, at_chance
from analysis.intervals.estimates import ANSWERS, BANDS, TESTS
from analysis.render.output import Table

if TYPE_CHECKING:
    from analysis.data.records import Record

OURS = "ours (95 % interval)"
SHOWN = ("claim", "where", "published", OURS, "n", "verdict", "criterion", "setting")
MEANING = (
    "A claim holds if the 95 % interval of its effect lies wholly on its side of the margin, does not hold if wholly "
    "on the other, and is undecided otherwise, with what would decide it at 80 % power. One training run decides "
    "nothing; a verdict over draws or seeds of one teacher is of that teacher."
)
"""Of a verdict, for captions."""
ROWS = {
    ANSWERS: "rows paired by answers",
    TESTS: "rows paired by recorded p-values",
    BANDS: "rows not paired, no answers recorded",
}
NUMBERS = ("estimate", "low", "high", "margin", "unit", "correction", "decides_at", "runs")
"""Columns of the CSV beside those that are shown."""


@dataclass(frozen=True)
class JudgedClaim:
    """What the runs say of a claim."""

    group: Group | None = None
    outcomes: Sequence[Outcome] = ()
    left_out: Sequence[str] = ()
    """Teachers or tasks that are at chance."""
    quiet: Sequence[str] = field(default_factory=tuple)
    """What is known of how quiet the machine was."""
    untimed: Sequence[str] = ()
    """Tasks that have runs, but none that was timed on a quiet machine."""


def claims_table(
    name: str, title: str, claims: Iterable[Claim], runs: Mapping[str, list[Group]], journal: Journal, caption: str
) -> Table:
    """A row a claim, with the verdict and the setting of the runs that gave it."""
    import pandas as pd

    frame = pd.DataFrame([_row(claim, _judged(claim, runs, journal, title)) for claim in claims])
    shown = frame[list(SHOWN)].assign(verdict=frame["verdict"].map("**{}**".format))
    words = " ".join(filter(None, [caption, MEANING]))
    return Table(name, title, frame, shown, words, narrow=("claim", "published", OURS, "verdict"))


def _row(claim: Claim, judged: JudgedClaim) -> dict[str, str]:
    rulings = rule(claim, judged.outcomes)
    named = [name for outcome in judged.outcomes for name in names(claim, outcome)]
    setting = "; ".join(judged.quiet) or ABSENT
    records: list[Record] = []
    if judged.group is not None and (rulings or judged.left_out):
        records = records_of(claim, judged.group, named or judged.left_out)
        words = [setting_text(claim, records), rows_text(rulings), *judged.quiet]
        setting = "; ".join(filter(None, words))
    return {
        "claim": claim.text,
        "where": claim.where,
        "published": claim.published,
        OURS: ours(claim, rulings, judged.left_out, judged.untimed),
        "n": counted(claim, rulings),
        "verdict": verdict(claim, rulings, judged.left_out, "; ".join(judged.quiet), judged.untimed,
                           of_one_teacher(claim, records)),
        "criterion": claim.criterion,
        "setting": setting,
        "estimate": each(rulings, lambda r: f"{r.outcome.effect.value:.6g}"),
        "low": each(rulings, lambda r: f"{r.interval.low:.6g}"),
        "high": each(rulings, lambda r: f"{r.interval.high:.6g}"),
        "margin": each(rulings, lambda r: f"{claim.side} {' to '.join(f'{end:.6g}' for end in ends(r.margin))}"),
        "unit": claim.unit,
        "correction": correction(judged.outcomes),
        "decides_at": each(rulings, lambda r: decides_at(claim, r)),
        "runs": " ".join(record.run_id for record in records),
    }  # fmt: skip


def _judged(claim: Claim, runs: Mapping[str, list[Group]], journal: Journal, title: str) -> JudgedClaim:
    """Judged without runs whose teacher is at chance. (A claim about the seconds of stages has no score, and all runs
    judge it.) Nothing, and a word in ``journal``, where that breaks."""
    quiet: list[str] = []
    untimed: list[str] = []
    try:
        group = claim.find(runs)
        if group is not None and claim.timed:
            records, words = for_verdict(group.records, claim.stages)
            if claim.over == "tasks":
                untimed = sorted({one.task for one in _sound(claim, group)} - {one.task for one in records})
            scored = repeated(records, group.records) if claim.scored else records
            if len(scored) > len(records):
                words = "; ".join(filter(None, [f"times of {len(records)} of {len(scored)} runs", words]))
            group, quiet = replace(group, records=scored) if records else None, [words] if words else []
        if group is None:
            return JudgedClaim(quiet=quiet)
        sound = _sound(claim, group)
        if len(sound) == len(group.records):
            return JudgedClaim(group, claim.test(group, journal), [], quiet, untimed)
        outcomes = claim.test(replace(group, records=sound), journal) if sound else []
        judged = {name for outcome in outcomes for name in names(claim, outcome)}
        every = [name for outcome in claim.test(group, journal) for name in names(claim, outcome)]
        left_out = [name for name in every if name not in judged or not outcomes]
        return JudgedClaim(replace(group, records=sound) if outcomes else group, outcomes, left_out, quiet, untimed)
    except Exception as error:  # an odd record must not stop the other claims
        journal.fail(f"{title}: {claim.text}", error)
        return JudgedClaim()


def _sound(claim: Claim, group: Group) -> list[Record]:
    """The runs that may judge a claim: those whose teacher is not at chance, but how long pruning takes is the same
    whatever the model knows."""
    return [record for record in group.records if claim.stages or not at_chance(record)]


def names(claim: Claim, outcome: Outcome) -> tuple[str, ...]:
    """The teachers or the task that an outcome is of."""
    return outcome.members if claim.over == "teachers" else (outcome.subject,)


def of_one_teacher(claim: Claim, records: Sequence[Record]) -> set[str]:
    """The tasks whose draws or seeds, by which a claim is judged, are all of one fine-tuned model."""
    if claim.resample not in (DRAWS, SEEDS):
        return set()
    tasks = Counter(task for task, _ in {(record.task, teacher_of(record)) for record in records})
    return {task for task, teachers in tasks.items() if teachers == 1}


def ours(
    claim: Claim, rulings: Sequence[Ruling], left_out: Sequence[str] = (), untimed: Sequence[str] = ()
) -> str:
    """``value (low to high) unit``, and what the number was taken from; a part a task.

    Tasks and teachers that are ``left_out`` or ``untimed`` are named, and are in no number.
    """
    if not rulings:
        return ""
    order = [ruling for state in ("holds", UNDECIDED, "does not hold") for ruling in rulings if ruling.state == state]
    return "; ".join(
        [*(_part(claim, ruling) for ruling in order), *(f"{name}: not judged ({AT_CHANCE})" for name in left_out),
         *([f"{', '.join(untimed)}: {NOT_QUIET}"] if untimed else [])]
    )  # fmt: skip


def _part(claim: Claim, ruling: Ruling) -> str:
    outcome = ruling.outcome
    text = f"{fixed(outcome.effect.value, claim.digits)}{interval_text(claim, ruling)} {claim.unit}"
    text += f" ({outcome.note})" if outcome.note else ""
    return f"{outcome.subject}: {text}" if outcome.subject else text


def interval_text(claim: Claim, ruling: Ruling) -> str:
    """In brackets; of one run that of its rows, which says so; nothing of a count."""
    main, interval = ruling.outcome.effect.main, ruling.interval
    if main.fixed and not main.rows:
        return ""
    if not main.single:
        return f" ({fixed(interval.low, claim.digits)} to {fixed(interval.high, claim.digits)})"
    alone = ruling.outcome.effect.alone(ruling.confidence)
    if alone is None:
        return ""
    alone = within_limits(alone, ruling.outcome)
    ends = f"{fixed(alone.low, claim.digits)} to {fixed(alone.high, claim.digits)}"
    return f" ({ruling.outcome.effect.alone_of} alone {ends})"


def fixed(value: float, digits: int) -> str:
    """A number without a minus before nothing.

    >>> fixed(-0.04, 1), fixed(2.25, 1), fixed(float("-inf"), 1)
    ('0.0', '2.2', '-∞')
    """
    return f"{value:z.{digits}f}".replace("inf", "∞")


def counted(claim: Claim, rulings: Sequence[Ruling]) -> str:
    """What the intervals are of; of tasks that differ one by one."""
    texts: dict[str, list[str]] = {}
    for ruling in rulings:
        texts.setdefault(number_text(claim, ruling), []).append(ruling.outcome.subject)
    if len(texts) < 2:
        return next(iter(texts), "")
    return "; ".join(f"{', '.join(subjects)}: {text}" for text, subjects in texts.items())


def each(rulings: Sequence[Ruling], text: Callable[[Ruling], str]) -> str:
    """A cell of the CSV: the number, or one a task."""
    if len(rulings) == 1:
        return text(rulings[0])
    return "; ".join(f"{ruling.outcome.subject}: {cell}" for ruling in rulings if (cell := text(ruling)))


def correction(outcomes: Sequence[Outcome]) -> str:
    """How the intervals allow for being several."""
    number = sum(outcome.cells for outcome in outcomes)
    return "" if number < 2 else f"Bonferroni over {number}, {100 * confidence_of(outcomes):.2f} % each"


def rows_text(rulings: Sequence[Ruling]) -> str:
    """How rows were resampled, if they were, and the correction."""
    mains = [ruling.outcome.effect.main for ruling in rulings]
    words = [ROWS[by] for by in dict.fromkeys(main.by for main in mains) if by]
    words.append(correction([ruling.outcome for ruling in rulings]))
    return "; ".join(filter(None, words))


def records_of(claim: Claim, group: Group, named: Iterable[str]) -> list[Record]:
    """The runs of the teachers or tasks that are ``named``."""
    subjects = set(named) - {""}
    teachers = by_teacher(group.records)
    if claim.over == "teachers" and subjects:
        teachers = {teacher: members for teacher, members in teachers.items() if teacher in subjects}
    records = [record for members in teachers.values() for record in members]
    if claim.over == "tasks":
        tasks = {task_of(subject) for subject in subjects}
        records = [record for record in records if record.task in tasks]
    return records


def setting_text(claim: Claim, records: Sequence[Record]) -> str:
    """Model, evaluation rows, seeds and teachers, short."""
    models = dict.fromkeys((record.model.name, record.model.weights) for record in records)
    words = [" and ".join(name + (" (random weights)" if weights == "random" else "") for name, weights in models)]
    data = [d for record in records for d in record.data if d.role in ("evaluation", "second")]
    words += dict.fromkeys(f"{d.name} {d.split}, {d.rows:,} rows" for d in data)
    if any(record.teacher_seed is not None for record in records):
        words.append("teachers: " + ", ".join(by_teacher(records)))
    if claim.over == "tasks":
        words.append("run seeds: " + ", ".join(map(str, sorted({record.seed for record in records}))))
    if claim.timed:
        words.append(", ".join(dict.fromkeys(record.device for record in records)))
    return "; ".join(words)
