"""What a paper claims beside what the records say: the frame that the claims of every paper share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis.data.groups import Group, by_teacher
from analysis.data.loading import Journal
from analysis.data.marks.quiet import for_verdict
from analysis.data.marks.trivial import AT_CHANCE, at_chance
from analysis.render.output import Table, mean_std

NOT_JUDGED = f"not judged: {AT_CHANCE}"
"""The verdict of runs whose teachers are no better than the trivial answer."""


@dataclass(frozen=True)
class Outcome:
    """The claim's number for one teacher or task, in the unit that the table prints, and whether it holds."""

    number: float
    """NaN where nothing was found that could hold."""
    holds: bool
    note: str = ""
    subject: str = ""
    """The teacher or task."""


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper that can be checked."""

    text: str
    where: str
    published: str
    evidence: str
    """The name of the runs it is judged by."""
    find: Callable[[Mapping[str, list[Group]]], Group | None]
    """Those of a setting's runs by verb, if there are any."""
    test: Callable[[Group, Journal], list[Outcome]]
    """One outcome a teacher or task; an empty list when the records cannot tell."""
    unit: str
    digits: int
    criterion: str
    command: str
    """What makes the runs, ``VERB OVERRIDES``, without model and scale."""
    timed: bool = False
    """The number depends on hardware, which the setting then names, and on a quiet machine: disturbed runs are left
    out, and so are those that do not say, where others were quiet."""
    stages: tuple[str, ...] = ()
    """Of a timed one: the stages whose seconds it is about; latencies if there are none."""
    over: str = "teachers"
    """What an outcome is of: ``teachers``, whose numbers are averaged, ``tasks``, which are listed, or ``models``, two
    beside one another."""
    once: bool = False
    """One outcome that holds is enough (a claim of the form "up to"); else all of them must."""


def claims_table(
    name: str, title: str, claims: Iterable[Claim], runs: Mapping[str, list[Group]], journal: Journal, caption: str
) -> Table:
    """A row a claim, with the verdict and the setting of the runs that gave it."""
    import pandas as pd

    rows = []
    for claim in claims:
        group, outcomes, left_out, quiet = _judged(claim, runs, journal, title)
        rows.append(
            {
                "claim": claim.text,
                "where": claim.where,
                "published": claim.published,
                "ours": value_text(claim, outcomes, left_out),
                "verdict": verdict(claim, outcomes, left_out),
                f"criterion (for {'every teacher' if claim.over == 'teachers' else 'a task'})": claim.criterion,
                "setting": "; ".join(
                    [setting_text(claim, group, [outcome.subject for outcome in outcomes] or left_out), *quiet]
                )
                if group is not None and (outcomes or left_out)
                else "; ".join(quiet) or "not in the records",
            }
        )
    frame = pd.DataFrame(rows)
    shown = frame.assign(verdict=frame["verdict"].map("**{}**".format))
    return Table(name, title, frame, shown, caption, narrow=("claim", "published", "ours", "verdict"))


def _judged(
    claim: Claim, runs: Mapping[str, list[Group]], journal: Journal, title: str
) -> tuple[Group | None, list[Outcome], list[str], list[str]]:
    """The runs that a claim is about and what they say, without those whose teacher is at chance; what these are of.
    (A claim about the seconds of stages has no score, and all runs judge it.)

    Of a timed claim also what is known of how quiet the machine was. Nothing, and a word in ``journal``, where that
    breaks.
    """
    quiet: list[str] = []
    try:
        group = claim.find(runs)
        if group is not None and claim.timed:
            records, words = for_verdict(group.records, claim.stages)
            group, quiet = replace(group, records=records) if records else None, [words] if words else []
        if group is None:
            return None, [], [], quiet
        # how long pruning takes is the same whatever the model knows
        sound = [record for record in group.records if claim.stages or not at_chance(record)]
        if len(sound) == len(group.records):
            return group, claim.test(group, journal), [], quiet
        outcomes = claim.test(replace(group, records=sound), journal) if sound else []
        subjects = {outcome.subject for outcome in outcomes}
        left_out = [o.subject for o in claim.test(group, journal) if o.subject not in subjects or not outcomes]
        return group if not outcomes else replace(group, records=sound), outcomes, left_out, quiet
    except Exception as error:  # an odd record must not stop the other claims
        journal.fail(f"{title}: {claim.text}", error)
        return None, [], [], quiet


def verdict(claim: Claim, outcomes: list[Outcome], left_out: Sequence[str] = ()) -> str:
    """``holds``, ``does not hold`` or ``not tested``, and for how many teachers or tasks if for some only; of teachers
    that are at chance alone (``left_out``), that it is not judged."""
    if not outcomes:
        return NOT_JUDGED if left_out else "not tested"
    holding = sum(outcome.holds for outcome in outcomes)
    if holding == len(outcomes):
        return "holds"
    some = f" (holds for {holding} of {len(outcomes)} {claim.over})" if holding else ""
    if claim.once and holding:
        return f"holds (for {holding} of {len(outcomes)} {claim.over})"
    return "does not hold" + some


def value_text(claim: Claim, outcomes: list[Outcome], left_out: Sequence[str] = ()) -> str:
    """``mean ± std unit, number of teachers; what the number was taken from``, or the number of every task.

    Tasks and teachers that are ``left_out`` are named, and are in no number.
    """
    if not outcomes:
        return ""
    return "; ".join([_values(claim, outcomes), *(f"{subject}: not judged ({AT_CHANCE})" for subject in left_out)])


def _values(claim: Claim, outcomes: list[Outcome]) -> str:
    if claim.over == "tasks":
        best_first = sorted(outcomes, key=lambda outcome: (not outcome.holds, outcome.subject))
        return "; ".join(_task_text(claim, outcome) for outcome in best_first)
    text = f"{mean_std([outcome.number for outcome in outcomes], claim.digits)} {claim.unit}"
    if len(outcomes) > 1:
        text += f", {len(outcomes)} {claim.over}"
    notes = list(dict.fromkeys(outcome.note for outcome in outcomes if outcome.note))
    return text + (f" ({'; '.join(notes)})" if notes else "")


def _task_text(claim: Claim, outcome: Outcome) -> str:
    number = "none" if math.isnan(outcome.number) else f"{outcome.number:.{claim.digits}f} {claim.unit}"
    return f"{outcome.subject}: {number}" + (f" ({outcome.note})" if outcome.note else "")


def setting_text(claim: Claim, group: Group, named: Iterable[str]) -> str:
    """Model, evaluation rows, seeds and teachers, short: those of the teachers or tasks that are ``named``."""
    subjects = set(named) - {""}
    teachers = by_teacher(group.records)
    if claim.over == "teachers" and subjects:
        teachers = {teacher: members for teacher, members in teachers.items() if teacher in subjects}
    records = [record for members in teachers.values() for record in members]
    if claim.over == "tasks":
        tasks = {subject.partition(" (")[0] for subject in subjects}
        records = [record for record in records if record.task in tasks]
    models = dict.fromkeys((record.model.name, record.model.weights) for record in records)
    words = [" and ".join(name + (" (random weights)" if weights == "random" else "") for name, weights in models)]
    data = [d for record in records for d in record.data if d.role in ("evaluation", "second")]
    words += dict.fromkeys(f"{d.name} {d.split}, {d.rows:,} rows" for d in data)
    if any(record.teacher_seed is not None for record in records):
        words.append("teachers: " + ", ".join(teachers))
    if claim.over == "tasks":
        words.append("run seeds: " + ", ".join(map(str, sorted({record.seed for record in records}))))
    if claim.timed:
        words.append(", ".join(dict.fromkeys(record.device for record in records)))
    return "; ".join(words)
