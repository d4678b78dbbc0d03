"""Two methods on the same rows, compared answer by answer: the difference, its interval, and a test.

The interval is a bootstrap's over rows, and where there are several over teachers and over the seeds of each as well:
in every resample both methods have the same rows and teachers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from prunekit.evaluation.row_answers import RowAnswers

RESAMPLES = 1000


@dataclass(frozen=True)
class Answered:
    """One model of a run, and what it answered."""

    run_id: str
    teacher: str
    answers: RowAnswers
    model: int
    """Its place among the answers."""


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
    """``McNemar``: exact, of one run each, where the metric is a share of right answers; else ``bootstrap``."""
    teachers: int
    """That both have; runs of others are left out."""


def compare_pair(
    metric: str, first: Sequence[Answered], second: Sequence[Answered], resamples: int = RESAMPLES, seed: int = 0
) -> Paired:
    """The first method less the second.

    Arguments:
        first, second: runs of each, all on the same rows.

    Raises:
        ValueError: they are of different rows, or have no teacher in common.
    """
    import numpy as np

    from prunekit.evaluation.rescoring import resampled, rescored, right_answers
    from prunekit.support.statistics import bootstrap_counts, mcnemar, two_sided

    rows = {(run.answers.kind, run.answers.rows, len(run.answers)) for run in (*first, *second)}
    if len(rows) != 1:
        raise ValueError("answers to different rows: " + " and ".join(sorted(name for _, name, _ in rows)))
    teachers = sorted({run.teacher for run in first} & {run.teacher for run in second})
    if not teachers:
        raise ValueError("no teacher in common")
    sides = [{one: [run for run in runs if run.teacher == one] for one in teachers} for runs in (first, second)]
    counts = bootstrap_counts(len(first[0].answers), resamples=resamples, seed=seed)
    generator = np.random.default_rng([seed, 1])
    means, drawn = [], []
    for side in sides:
        values = {one: [rescored(run.answers, metric, run.model) for run in side[one]] for one in teachers}
        means.append(np.mean([np.mean(values[one]) for one in teachers]))
        drawn.append({
            one: np.stack([resampled(run.answers, metric, run.model, counts) for run in side[one]]) for one in teachers
        })  # fmt: skip
    differences = resampled_differences(drawn[0], drawn[1], generator)
    low, high = np.quantile(differences, [0.025, 0.975])
    test, p_value = "bootstrap", two_sided(differences)
    if len(teachers) == 1 and all(len(side[teachers[0]]) == 1 for side in sides):
        one, other = (right_answers(run.answers, metric, run.model) for side in sides for run in side[teachers[0]])
        if one is not None and other is not None:
            test, p_value = "McNemar", float(mcnemar(other, one))
    return Paired(float(means[0] - means[1]), float(low), float(high), p_value, test, len(teachers))


def resampled_differences(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], generator: np.random.Generator
) -> np.ndarray:
    """The difference in each resample, (resample,): teachers are drawn for both, runs of each teacher for each method.

    Arguments:
        first, second: by teacher, the metric of each run on each resample of the rows, (run, resample).
    """
    import numpy as np

    teachers = list(first)
    resamples = next(iter(first.values())).shape[1]
    chosen = generator.integers(len(teachers), size=(len(teachers), resamples))
    total = np.zeros(resamples)
    for slot in chosen:
        for number, teacher in enumerate(teachers):
            own = _resampled_mean(first[teacher], generator) - _resampled_mean(second[teacher], generator)
            total += np.where(slot == number, own, 0.0)
    return total / len(teachers)


def _resampled_mean(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The mean over runs drawn with replacement, anew in each resample, (resample,); ``values``: (run, resample)."""
    runs, resamples = values.shape
    chosen = generator.integers(runs, size=(runs, resamples))
    mean: np.ndarray = values[chosen, range(resamples)].mean(0)
    return mean
