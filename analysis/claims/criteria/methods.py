"""Which method of pruning is better? Judged per task from runs that differ in nothing else, from records alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.claims.claim import Outcome
from analysis.claims.criteria.curves import curves_of, pairs
from analysis.claims.criteria.michel import advantage
from analysis.claims.registry import criterion
from analysis.compare.method_pairs import method_pairs
from analysis.data.groups import Group, by_condition, by_setting, teacher_of
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.intervals.replicates import of_pairs, of_teachers
from analysis.intervals.row_errors import difference, stage_score, stage_scores


@criterion
def better(group: Group, journal: Journal, *, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Outcome]:
    """Points of one way of pruning over another, the mean over budgets, and over methods where no one is named."""
    outcomes = []
    for task, both in method_pairs(group.records, first, second).items():
        scores = [(stage_score(one, journal, last=True), stage_score(other, journal, last=True)) for one, other in both]
        own = [one for one, _ in both]
        note = _at(own)
        if "method" not in first:
            note = f"{', '.join(sorted({str(one.metrics['method']) for one in own}))} {note}"
        outcomes.append(Outcome(of_pairs([(teacher_of(one), one.seed) for one in own], scores), note, task))
    return outcomes


@criterion
def better_after(group: Group, journal: Journal, *, stage: str, before: str) -> list[Outcome]:
    """Points of the models after a stage over those of the same runs after a stage before it, the mean over budgets."""
    outcomes = []
    for setting, members in by_setting(group.records).items():
        after = [(record, stage_scores(record, journal)) for record in members]
        both = [(record, (scores[stage], scores[before])) for record, scores in after if {stage, before} <= set(scores)]
        if both:
            own, scores = zip(*both, strict=True)
            outcomes.append(
                Outcome(of_pairs([(teacher_of(one), one.seed) for one in own], scores), _at(own), setting.task)
            )
    return outcomes


@criterion
def better_order(group: Group, journal: Journal, *, order: str, other: str) -> list[Outcome]:
    """Points of one order of heads over another, the mean over the shares pruned of both, without none and all.

    Of the conditions of a task that counts in which the most teachers have both orders.
    """
    outcomes = []
    for setting, members in by_setting(group.records).items():
        conditions = [
            [curves_of(condition.records, journal, order=name) for name in (order, other)]
            for condition in by_condition(members)
        ]
        ours, theirs = max(conditions, key=lambda both: len(both[0].keys() & both[1].keys()))
        values, scores, better_at = {}, [], []
        for teacher in sorted(ours.keys() & theirs.keys()):
            if (mean := advantage(ours[teacher].series(), theirs[teacher].series(), 0.0)) is not None:
                values[teacher] = 100 * mean.number
                better_at.append(mean.note)
                for share in mean.shares:
                    scores += pairs(ours[teacher], share, theirs[teacher], share)
        if values:
            note = "; ".join(dict.fromkeys(better_at))
            outcomes.append(Outcome(of_teachers(values, scores, difference), note, setting.task, tuple(values)))
    return outcomes


def _at(records: Sequence[Record]) -> str:
    budgets = sorted({100 * float(record.config["constraint"]) for record in records})
    return f"at {', '.join(f'{budget:g}' for budget in budgets)} % of the MACs"
