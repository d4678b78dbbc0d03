"""Metrics computed anew from the answers of models alone: of all rows, and of bootstrap resamples of them."""

from __future__ import annotations

from pkgutil import resolve_name

import numpy as np

from prunekit.config.task_kinds import TASK_KINDS
from prunekit.data.metrics import METRICS
from prunekit.evaluation.row_answers import RowAnswers


def rescored(answers: RowAnswers, metric: str, model: int) -> float:
    """What the record of a model's evaluation says of a metric, to the last digit.

    Args:
        metric: one of the task's, by name.
        model: its place among the answers.
    """
    if metric not in answers.given:
        return METRICS[metric].compute(predicted(answers, model), _gold(answers))
    own = answers.given[metric][..., model]
    if own.ndim > 1:
        return float(_of_sums(answers, metric, own.sum(0, dtype=np.int64)))
    return float(_of_each(own).mean())


def resampled(answers: RowAnswers, metric: str, model: int, counts: np.ndarray) -> np.ndarray:
    """The metric on resampled rows, (resample,).

    Args:
        counts: how often each resample has each row, (resample, row).
    """
    if metric not in answers.given:
        return METRICS[metric].resampled(predicted(answers, model), _gold(answers), counts)
    own = answers.given[metric][..., model]
    if own.ndim > 1:
        return _of_sums(answers, metric, counts @ own.astype(float))
    return counts @ _of_each(own) / counts.sum(1)


def right_answers(answers: RowAnswers, metric: str, model: int) -> np.ndarray | None:
    """Which rows are answered right, bool, (row,), where the metric is the mean of that: McNemar's test is then exact.

    None for any other metric.
    """
    if metric in answers.given:
        own = answers.given[metric][..., model]
        return own if own.dtype == bool else None
    if metric not in METRICS or not METRICS[metric].is_accuracy:
        return None
    return predicted(answers, model) == _gold(answers)


def predicted(answers: RowAnswers, model: int) -> np.ndarray:
    """Classes, int64, or scores, (row,), of one model."""
    if "score" in answers.given:
        return np.ascontiguousarray(answers.given["score"][..., model])
    return answers.given["class"][..., model].astype(np.int64)


def _gold(answers: RowAnswers) -> np.ndarray:
    assert answers.gold is not None
    return answers.gold if "score" in answers.given else answers.gold.astype(np.int64)


def _of_each(values: np.ndarray) -> np.ndarray:
    """Of every row, (row,)."""
    return np.ascontiguousarray(values.astype(np.float64))


def _of_sums(answers: RowAnswers, metric: str, sums: np.ndarray) -> np.ndarray:
    """The score of each of several sums over rows, (..., statistic) to (...), as the kind of task has it."""
    [name] = [kind.of_sums for kind in TASK_KINDS if kind.name == answers.kind]
    assert name is not None
    return np.asarray(resolve_name(name)(metric, sums))
