"""Metrics computed anew from the answers of models alone: of all rows, and of bootstrap resamples of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prunekit.data.bleu import corpus_scores
from prunekit.data.metrics import METRICS
from prunekit.data.tags.entities import counted_scores
from prunekit.evaluation.row_answers import RowAnswers

COUNTED: dict[str, Callable[[str, np.ndarray], np.ndarray]] = {"tags": counted_scores, "translation": corpus_scores}
"""Kinds of task whose metrics are functions of sums over the rows: from a metric and sums, (..., statistic), to the
score, (...)."""


def rescored(answers: RowAnswers, metric: str, model: int) -> float:
    """What the record of a model's evaluation says of a metric, to the last digit.

    Args:
        metric: one of the task's, by name.
        model: its place among the answers.
    """
    if answers.kind in COUNTED:
        return float(COUNTED[answers.kind](metric, answers.given[metric][..., model].sum(0, dtype=np.int64)))
    if answers.kind == "questions":
        return float(_of_each(answers, metric, model).mean())
    return METRICS[metric].compute(predicted(answers, model), _gold(answers))


def resampled(answers: RowAnswers, metric: str, model: int, counts: np.ndarray) -> np.ndarray:
    """The metric on resampled rows, (resample,).

    Args:
        counts: how often each resample has each row, (resample, row).
    """
    if answers.kind in COUNTED:
        sums = counts @ answers.given[metric][..., model].astype(float)
        return np.asarray(COUNTED[answers.kind](metric, sums))
    if answers.kind == "questions":
        return counts @ _of_each(answers, metric, model) / counts.sum(1)
    return METRICS[metric].resampled(predicted(answers, model), _gold(answers), counts)


def right_answers(answers: RowAnswers, metric: str, model: int) -> np.ndarray | None:
    """Which rows are answered right, bool, (row,), where the metric is the mean of that: McNemar's test is then exact.

    None for any other metric.
    """
    if answers.kind == "questions":
        return answers.given[metric][..., model] if metric == "exact_match" else None
    if metric not in METRICS or not METRICS[metric].is_accuracy:
        return None
    return predicted(answers, model) == _gold(answers)


def predicted(answers: RowAnswers, model: int) -> np.ndarray:
    """Classes, int64, or scores, (row,), of one model."""
    if answers.kind == "regression":
        return np.ascontiguousarray(answers.given["score"][..., model])
    return answers.given["class"][..., model].astype(np.int64)


def _gold(answers: RowAnswers) -> np.ndarray:
    assert answers.gold is not None
    return answers.gold if answers.kind == "regression" else answers.gold.astype(np.int64)


def _of_each(answers: RowAnswers, metric: str, model: int) -> np.ndarray:
    """Of every question, (row,)."""
    return np.ascontiguousarray(answers.given[metric][..., model].astype(np.float64))
