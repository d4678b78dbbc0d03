"""Metrics against values worked out by hand, resampled metrics against the library on repeated rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prunekit.data import metrics
from prunekit.support.errors import UserError
from prunekit.support.statistics import bootstrap_counts

LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 1])
# 2 true positives, 2 false negatives, 1 false positive, 3 true negatives
ANSWERS = np.array([1, 1, 0, 0, 0, 1, 0, 0])


def test_classification_metrics_by_hand() -> None:
    logits = np.eye(2)[ANSWERS]
    values = metrics.evaluate(["accuracy", "f1", "matthews"], logits, LABELS, regression=False)
    assert values["accuracy"] == pytest.approx(5 / 8)
    assert values["f1"] == pytest.approx(2 * 2 / (2 * 2 + 2 + 1))
    assert values["matthews"] == pytest.approx((2 * 3 - 1 * 2) / math.sqrt(3 * 4 * 4 * 5))


def test_regression_metrics_by_hand() -> None:
    logits = np.array([[1.0], [2.0], [4.0], [3.0]], np.float32)
    labels = np.array([0.0, 1.0, 2.0, 5.0])
    values = metrics.evaluate(["pearson", "spearman"], logits, labels, regression=True)
    # centred: -1.5 -0.5 1.5 0.5 and -2 -1 0 3
    assert values["pearson"] == pytest.approx(5 / math.sqrt(5 * 14))
    assert values["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))


@pytest.mark.parametrize("name", list(metrics.METRICS))
def test_constant_predictions(name: str) -> None:
    labels = np.array([0, 1, 1, 2]) if name in ("pearson", "spearman") else np.array([0, 1, 1, 1])
    metric = metrics.METRICS[name]
    expected = 0.25 if name == "accuracy" else 0.0
    constant = np.zeros(4, labels.dtype)
    assert metric.compute(constant, labels) == expected
    assert metric.resampled(constant, labels, np.ones((1, 4))) == pytest.approx(expected)


@pytest.mark.parametrize("name", list(metrics.METRICS))
@pytest.mark.parametrize("classes", [2, 3])
def test_resampled_is_the_metric_of_the_repeated_rows(name: str, classes: int) -> None:
    generator = np.random.default_rng(0)
    labels: np.ndarray
    answers: np.ndarray
    if name in ("pearson", "spearman"):
        labels = generator.integers(0, 11, 40) / 2 + 300  # ties, and far from 0
        answers = (labels + generator.normal(size=40)).astype(np.float32)
        answers[:5] = answers[5]
    elif name == "f1" and classes == 3:
        pytest.skip("F1 is a metric of two classes")
    else:
        labels = generator.integers(classes, size=40)
        answers = np.where(generator.random(40) < 0.7, labels, generator.integers(classes, size=40))
    counts = bootstrap_counts(40, resamples=50, seed=1)
    fast = metrics.METRICS[name].resampled(answers, labels, counts)
    for value, row in zip(fast, counts.astype(int), strict=True):
        drawn = np.repeat(np.arange(40), row)
        assert value == pytest.approx(metrics.METRICS[name].compute(answers[drawn], labels[drawn]), abs=1e-9)


def test_predictions_keep_leading_dimensions() -> None:
    logits = np.arange(24.0).reshape(2, 4, 3)
    assert (metrics.predictions(logits, regression=False) == 2).all()
    assert metrics.predictions(logits[..., :1], regression=True).tolist() == logits[..., 0].tolist()


def test_bad_input() -> None:
    with pytest.raises(UserError, match="metric bleu: not known, there are accuracy"):
        metrics.evaluate(["bleu"], np.eye(2), np.array([0, 1]), regression=False)
    with pytest.raises(UserError, match="no examples"):
        metrics.evaluate(["accuracy"], np.zeros((0, 2)), np.zeros(0, int), regression=False)
