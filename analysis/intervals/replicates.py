"""One value a run from frames of runs: what an interval over teachers, seeds or draws is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.intervals.estimates import TEACHERS, Estimate, over_runs
from analysis.intervals.positive import Positive, positive
from analysis.intervals.row_errors import ErrorOverRows, ScoreOnRows, difference, row_error

if TYPE_CHECKING:
    import pandas as pd

RUN = ["teacher", "seed"]


def values_of(rows: pd.DataFrame, column: str = "value") -> list[float]:
    """A teacher's mean where there are several teachers, because its runs are not independent, else a seed's."""
    by = RUN[:1] if rows["teacher"].nunique() > 1 else RUN
    values: list[float] = rows.groupby(by)[column].mean().tolist()
    return values


def with_each(averaged: pd.DataFrame, rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """With ``each``: what every mean is of, as :func:`values_of` has it.

    Arguments:
        averaged: a row a cell ``by`` of ``rows``, sorted by these columns.
        rows: a row a run; each cell has a run of a teacher and seed once.
    """
    import pandas as pd

    each = [tuple(values_of(members)) for _, members in rows.groupby(list(by), sort=True)]
    return averaged.assign(each=pd.Series(each, index=averaged.index, dtype=object))


def estimate(
    rows: pd.DataFrame,
    column: str = "value",
    scores: Sequence[Sequence[ScoreOnRows]] = (),
    effect: Callable[..., Any] | None = None,
) -> Estimate:
    """The mean of a column over runs, and over rows where ``scores`` say what it is made of, as ``effect(...)``."""
    values = values_of(rows, column)
    of = TEACHERS if rows["teacher"].nunique() > 1 else ""
    if effect is None:
        return over_runs(values, of=of)
    error = row_error(scores, effect)
    return over_runs(values, error.error, error.rows, error.by, of=of)


def positive_mean(rows: pd.DataFrame, column: str) -> Positive:
    """The geometric mean over runs of a column of times or ratios."""
    return positive(values_of(rows, column), of=TEACHERS if rows["teacher"].nunique() > 1 else "")


def of_pairs(runs: Sequence[tuple[str, int]], scores: Sequence[tuple[ScoreOnRows, ScoreOnRows]]) -> Estimate:
    """Points of one method over another, the mean over runs: what claims and ranks say of the same runs is one number.

    Arguments:
        runs: the teacher of each pair, and its seed.
        scores: of both methods, on the same rows.
    """
    import pandas as pd

    rows = pd.DataFrame([
        {"teacher": teacher, "seed": seed, "difference": difference(own.value, other.value)}
        for (teacher, seed), (own, other) in zip(runs, scores, strict=True)
    ])  # fmt: skip
    return estimate(rows, "difference", scores, difference)


def of_two_samples(first: Sequence[float], second: Sequence[float], over_rows: ErrorOverRows) -> Estimate:
    """The mean of one sample of runs less that of another, which are no pairs: Welch's, of a single run in either none.

    Its degrees of freedom are rounded down: of 200,000 simulated pairs of samples of two and three runs, whose standard
    errors were from alike to ten times as large, 93.8 to 98.0 % lie in their interval of 95 %, and without that 91.4 to
    96.7 %.

    Arguments:
        over_rows: of the difference.
    """
    import numpy as np

    mean = float(np.mean(first) - np.mean(second))
    error = over_runs([mean], over_rows.error, over_rows.rows, over_rows.by)
    if min(len(first), len(second)) < 2:
        return error
    each = [float(np.var(sample, ddof=1)) / len(sample) for sample in (first, second)]
    lost = sum(part**2 / (len(sample) - 1) for part, sample in zip(each, (first, second), strict=True))
    freedom = int(sum(each) ** 2 / lost + 1e-9) if lost else len(first) + len(second) - 2
    return replace(error, runs=freedom + 1, spread=math.sqrt(sum(each) * (freedom + 1)))


def of_teachers(
    values: Mapping[str, float], scores: Sequence[Sequence[ScoreOnRows]] = (), effect: Callable[..., Any] | None = None
) -> Estimate:
    """The same of one value a teacher."""
    if effect is None:
        return over_runs(list(values.values()))
    error = row_error(scores, effect)
    return over_runs(list(values.values()), error.error, error.rows, error.by)


def beside(own: Mapping[str, float], margins: Mapping[str, float], difference: Estimate) -> tuple[Estimate, float]:
    """Numbers and a margin that teachers have each their own of: the means, with the spread of the differences.

    Arguments:
        difference: of the number and the margin.
    """
    value, margin = (sum(numbers.values()) / len(numbers) for numbers in (own, margins))
    return replace(difference, value=value), margin
