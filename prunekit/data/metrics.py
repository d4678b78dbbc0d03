"""The metrics of the GLUE benchmark (Wang et al. 2019), each as one number and on bootstrap resamples.

``Metric.compute`` is the library's definition (scikit-learn, SciPy) and is what every reported value comes
from. ``Metric.resampled`` gives the same number for a thousand resamples of the rows at once, from weighted
sums.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

from prunekit.support.errors import UserError


@dataclass(frozen=True)
class Metric:
    """One metric; higher is better for all of them."""

    name: str
    compute: Callable[[np.ndarray, np.ndarray], float]
    """(predictions (examples,), labels (examples,)) -> value."""
    resampled: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    """(predictions, labels, counts (resamples, examples)) -> (resamples,): the value with row i present
    counts[:, i] times."""
    is_accuracy: bool = False
    """A mean of right and wrong answers, to which McNemar's test and the Wilson interval apply."""


def _accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float(sklearn_metrics.accuracy_score(labels, predictions))


def _f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float(sklearn_metrics.f1_score(labels, predictions, pos_label=1, zero_division=0.0))


def _matthews(predictions: np.ndarray, labels: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="A single label was found")
        return float(sklearn_metrics.matthews_corrcoef(labels, predictions))


def _pearson(predictions: np.ndarray, labels: np.ndarray) -> float:
    return _correlation(stats.pearsonr, predictions, labels)


def _spearman(predictions: np.ndarray, labels: np.ndarray) -> float:
    return _correlation(stats.spearmanr, predictions, labels)


def _correlation(correlate: Callable, predictions: np.ndarray, labels: np.ndarray) -> float:
    if np.ptp(predictions) == 0 or np.ptp(labels) == 0:
        return 0.0
    return float(correlate(predictions.astype(np.float64), labels.astype(np.float64)).statistic)


def _resampled_accuracy(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return counts @ (predictions == labels) / counts.sum(1)


def _resampled_f1(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    predicted, positive = predictions == 1, labels == 1
    return _divide(2 * (counts @ (predicted & positive)), counts @ predicted + counts @ positive)


def _resampled_matthews(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # Gorodkin (2004) for K classes: the correlation of the one-hot codes of predictions and labels.
    classes = np.union1d(predictions, labels)
    total = counts.sum(1)
    predicted, true = counts @ (predictions[:, None] == classes), counts @ (labels[:, None] == classes)
    covariance = (counts @ (predictions == labels)) * total - (predicted * true).sum(1)
    spread = (total**2 - (predicted**2).sum(1)) * (total**2 - (true**2).sum(1))
    return _divide(covariance, np.sqrt(spread))


def _resampled_pearson(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    # Centred first: the correlation does not change, and the one-pass sums keep their digits.
    x = predictions.astype(np.float64) - np.mean(predictions, dtype=np.float64)
    y = labels.astype(np.float64) - np.mean(labels, dtype=np.float64)
    total = counts.sum(1)
    sum_x, sum_y, sum_xx, sum_yy, sum_xy = (counts @ np.stack([x, y, x * x, y * y, x * y], 1)).T
    spread_x, spread_y = total * sum_xx - sum_x**2, total * sum_yy - sum_y**2
    constant = (spread_x <= 1e-12 * total * sum_xx) | (spread_y <= 1e-12 * total * sum_yy)
    spread = np.where(constant, 0.0, spread_x * spread_y)
    return _divide(total * sum_xy - sum_x * sum_y, np.sqrt(spread))


def _resampled_spearman(predictions: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    x, y = _resampled_ranks(predictions, counts), _resampled_ranks(labels, counts)
    total = counts.sum(1, keepdims=True)
    x, y = x - (total + 1) / 2, y - (total + 1) / 2  # (total + 1) / 2 is the mean of any ranks
    spread = (counts * x * x).sum(1) * (counts * y * y).sum(1)
    return _divide((counts * x * y).sum(1), np.sqrt(spread))


def _resampled_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Each row's rank in each resample, tied rows sharing the mean of their ranks; (resamples, examples)."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    in_group = np.add.reduceat(counts[:, order], starts, axis=1)
    up_to_group = np.cumsum(in_group, axis=1)
    return (up_to_group - (in_group - 1) / 2)[:, group]


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(denominator, float), where=denominator > 0)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _accuracy, _resampled_accuracy, is_accuracy=True),
        Metric("f1", _f1, _resampled_f1),
        Metric("matthews", _matthews, _resampled_matthews),
        Metric("pearson", _pearson, _resampled_pearson),
        Metric("spearman", _spearman, _resampled_spearman),
    )
}
"""All metrics by name.

- ``accuracy``: share of right predictions.
- ``f1``: of class 1, as GLUE reports it for MRPC and QQP; 0 where class 1 is neither predicted nor present.
- ``matthews``: Matthews correlation coefficient (CoLA); 0 for constant predictions.
- ``pearson``, ``spearman``: correlations (STS-B); 0 for constant predictions, where they are not defined: a
  model that answers the same to everything has learnt nothing about the order.
"""


def predictions(logits: np.ndarray, regression: bool) -> np.ndarray:
    """What a model answers: the most likely class, or the score itself.

    Args:
        logits: (..., examples, labels); regression has one label.

    Returns:
        (..., examples): int64 classes, or scores of the logits' dtype.
    """
    return logits[..., 0] if regression else logits.argmax(-1)


def evaluate(
    names: Sequence[str], logits: np.ndarray, labels: np.ndarray, regression: bool
) -> dict[str, float]:
    """The named metrics of a model's logits.

    Args:
        names: keys of :data:`METRICS`.
        logits: (examples, labels).
        labels: (examples,), classes or scores.

    Raises:
        UserError: an unknown metric, no examples, or F1 of more than two classes.
    """
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UserError(f"metric {', '.join(unknown)}: not known, there are {', '.join(METRICS)}")
    if "f1" in names and logits.shape[-1] > 2:
        raise UserError(f"metric f1: it is of two classes and there are {logits.shape[-1]}, take accuracy or matthews")
    if len(labels) == 0:
        raise UserError("evaluation: the set has no examples, at least one is needed")
    answers = predictions(logits, regression=regression)
    return {name: METRICS[name].compute(answers, labels) for name in names}
