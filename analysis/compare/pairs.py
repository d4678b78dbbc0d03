"""Two methods on the same rows, compared answer by answer: the difference, its interval, and a test.

The interval is that of claims on the same runs (:mod:`analysis.intervals.estimates`): over runs and over the rows that
all of them answer, on which both methods are paired. Several teachers are the runs, else the seeds of one: pair by pair
where both methods have the same, and two samples of runs where they do not. Of runs without recorded answers each score
has a band, and those of two methods are taken to be independent over the rows: too wide.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any

from analysis.intervals.estimates import ANSWERS, CONFIDENCE, over_runs
from analysis.intervals.replicates import of_pairs, of_two_samples
from analysis.intervals.row_errors import ScoreOnRows, difference, row_error

if TYPE_CHECKING:
    from analysis.intervals.estimates import Estimate
    from prunekit.evaluation.row_answers import RowAnswers

MCNEMAR, STUDENT, WELCH, ROWS_ALONE = "McNemar", "Student", "Welch", "rows alone"
"""Tests: exact, of one run each, where the metric is a share of right answers; over teachers or runs pair by pair; over
two samples of runs; over rows, where a method has a single run, which says nothing of another."""
LONE = (MCNEMAR, ROWS_ALONE)
"""Tests over rows alone: p-values and intervals that say nothing of another run."""
LEAST_P = 0.001
"""Smaller p-values are not told apart in texts."""


@dataclass(frozen=True)
class Answered:
    """One model of a run, and what it answered."""

    run_id: str
    teacher: str
    answers: RowAnswers
    model: int
    """Its place among the answers."""
    draw: Hashable = 0
    """What tells it from other runs on its teacher, and is the same of a run of another method: its seed."""

    def score(self, metric: str) -> ScoreOnRows:
        """Computed once: a model is held against many."""
        from prunekit.evaluation.rescoring import rescored

        if metric not in self._scores:
            value = rescored(self.answers, metric, self.model)
            self._scores[metric] = ScoreOnRows(value, nan, len(self.answers), metric, self.answers, self.model)
        return self._scores[metric]

    @cached_property
    def _scores(self) -> dict[str, ScoreOnRows]:
        return {}


@dataclass(frozen=True)
class Banded:
    """One model of a run, and the band of its score: the run itself or one that it is held against has no answers."""

    run_id: str
    teacher: str
    on_rows: ScoreOnRows
    draw: Hashable = 0
    """As that of :class:`Answered`."""

    def score(self, metric: str) -> ScoreOnRows:
        return replace(self.on_rows, answers=None)


Models = Sequence[Answered | Banded]
"""Of one method."""


def with_answers(first: Sequence[Banded], second: Sequence[Banded]) -> tuple[Models, Models]:
    """The models of two methods with what they answer, where all of them have recorded it; else as they are."""
    answered: list[list[Answered]] = []
    for models in (first, second):
        answered.append([
            Answered(run.run_id, run.teacher, run.on_rows.answers, run.on_rows.model, run.draw)
            for run in models if run.on_rows.answers is not None
        ])  # fmt: skip
    if [len(models) for models in answered] == [len(first), len(second)]:
        return answered[0], answered[1]
    return first, second


@dataclass(frozen=True)
class Paired:
    """One method less another, in the metric's own unit."""

    difference: float
    """Of the means over teachers, of each over its runs."""
    low: float
    high: float
    """Ends of its 95 % interval."""
    p_value: float
    test: str
    """:data:`MCNEMAR`, :data:`STUDENT`, :data:`WELCH` or :data:`ROWS_ALONE`."""
    teachers: int
    """That both have; runs of others are left out."""
    by: str = ANSWERS
    """What its error over rows is from: :data:`ANSWERS`, which pair them, or :data:`BANDS`."""

    @property
    def undecided(self) -> bool:
        """Does its interval contain 0? Then nothing tells the two methods apart."""
        return self.low <= 0 <= self.high

    @property
    def same_answers(self) -> bool:
        """Does no row tell them apart, both right or both wrong? Then there is nothing to test."""
        return self.by == ANSWERS and self.low == self.high == 0

    @property
    def reversed(self) -> Paired:
        """The other method less this one."""
        return replace(self, difference=-self.difference, low=-self.high, high=-self.low)


def compare_pair(metric: str, first: Models, second: Models) -> Paired:
    """The first method less the second.

    Arguments:
        first, second: runs of each, all on the same rows, all with answers or all without.

    Raises:
        ValueError: they are of different rows, or have no teacher in common.
    """
    answered = [run.answers for run in (*first, *second) if isinstance(run, Answered)]
    rows = {(one.kind, one.rows, len(one)) for one in answered}
    if len(rows) > 1:
        raise ValueError("answers to different rows: " + " and ".join(sorted(name for _, name, _ in rows)))
    common = {run.teacher for run in first} & {run.teacher for run in second}
    if not common:
        raise ValueError("no teacher in common")
    ours, theirs = ([run for run in runs if run.teacher in common] for runs in (first, second))
    points = _points(metric, ours, theirs)
    test, p_value = STUDENT if same_draws(ours, theirs) or len(common) > 1 else WELCH, points.p_value
    low, high = points.interval(CONFIDENCE)
    if points.single:
        test, (low, high) = ROWS_ALONE, points.alone(CONFIDENCE) or (points.value, points.value)
    if len(ours) == len(theirs) == 1 and (exact := _mcnemar(metric, ours[0], theirs[0])) is not None:
        test, p_value = MCNEMAR, exact
    return Paired(points.value / 100, low / 100, high / 100, p_value, test, len(common), points.by)


def p_text(p_value: float) -> str:
    """
    >>> p_text(0.0234), p_text(0.00002)
    ('p = 0.023', 'p < 0.001')
    """
    return f"p = {p_value:.2g}" if p_value >= LEAST_P else f"p < {LEAST_P:g}"


def same_draws(first: Models, second: Models) -> bool:
    """Has each run of one method its like among those of the other?"""
    ours, theirs = ({(run.teacher, run.draw) for run in runs} for runs in (first, second))
    return ours == theirs and len(ours) == len(first) == len(second)


def _points(metric: str, first: Models, second: Models) -> Estimate:
    """The difference in points; of runs that are no pairs, of a mean over teachers or of two samples of runs."""
    ours, theirs = (sorted(runs, key=lambda run: (run.teacher, repr(run.draw))) for runs in (first, second))
    if same_draws(ours, theirs):
        pairs = [(own.score(metric), other.score(metric)) for own, other in zip(ours, theirs, strict=True)]
        return of_pairs([(run.teacher, place) for place, run in enumerate(ours)], pairs)
    scores = [[run.score(metric) for run in runs] for runs in (ours, theirs)]

    def apart(*values: Any) -> list[Any]:
        """By teacher, of a value or a column of values a run."""
        sides = [list(zip(ours, values[: len(ours)], strict=True)), list(zip(theirs, values[len(ours) :], strict=True))]
        return [
            difference(*(_mean([value for run, value in side if run.teacher == teacher]) for side in sides))
            for teacher in sorted({run.teacher for run in ours})
        ]

    if all(isinstance(run, Answered) for run in (*ours, *theirs)):
        error = row_error([scores[0] + scores[1]], lambda *values: _mean(apart(*values)))
    else:
        error = row_error([[_together(side) for side in scores]], difference)
    samples = [[100 * one.value for one in side] for side in scores]
    by_teacher = apart(*(one.value for side in scores for one in side))
    if len(by_teacher) > 1:
        return over_runs(by_teacher, error.error, error.rows, error.by)
    return of_two_samples(samples[0], samples[1], error)


def _together(scores: Sequence[ScoreOnRows]) -> ScoreOnRows:
    """The mean of one method's scores; on the same rows their errors move together."""
    rows = min(one.rows for one in scores)
    return ScoreOnRows(_mean([one.value for one in scores]), _mean([one.error for one in scores]), rows)


def _mean(values: Sequence[Any]) -> Any:
    return sum(values) / len(values)


def _mcnemar(metric: str, one: Answered | Banded, other: Answered | Banded) -> float | None:
    """Its p-value; None where the metric is no share of right answers, or answers are not recorded."""
    from prunekit.evaluation.rescoring import right_answers
    from prunekit.support.statistics import mcnemar

    if isinstance(one, Banded) or isinstance(other, Banded):
        return None
    right = [right_answers(run.answers, metric, run.model) for run in (one, other)]
    return None if right[0] is None or right[1] is None else float(mcnemar(right[1], right[0]))
