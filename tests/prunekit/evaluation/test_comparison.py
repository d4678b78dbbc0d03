"""Models beside a baseline: scores and p-values are those of a plain loop over examples."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from prunekit.config.task import TaskConfig
from prunekit.evaluation.comparison import Comparison, compare
from prunekit.support.statistics import bootstrap_counts

THREE = TaskConfig(name="demo", labels=["a", "b", "c"])
TWO = TaskConfig(name="mrpc", labels=["no", "yes"], metrics=["f1", "accuracy"])


def problem(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a baseline and of 2 x 2 models on 12 examples, and labels; the last model is the baseline itself."""
    generator = np.random.default_rng(classes)
    labels = generator.integers(classes, size=12)
    baseline = generator.normal(size=(12, classes)) + 2 * np.eye(classes)[labels]
    others = generator.normal(size=(2, 2, 12, classes)) + np.eye(classes)[labels]
    others[1, 1] = baseline
    return baseline, others, labels


def test_accuracy_by_counting() -> None:
    baseline, others, labels = problem(3)
    found = compare(THREE, baseline, others, labels)
    right = [bool(row.argmax() == label) for row, label in zip(baseline, labels, strict=True)]
    assert (found.metric, found.baseline) == ("accuracy", pytest.approx(sum(right) / 12))
    assert found.values.shape == found.deltas.shape == found.p_values.shape == (2, 2)
    for place in np.ndindex(2, 2):
        own = [bool(row.argmax() == label) for row, label in zip(others[place], labels, strict=True)]
        lost = sum(one and not other for one, other in zip(right, own, strict=True))
        gained = sum(other and not one for one, other in zip(right, own, strict=True))
        tail = sum(comb(lost + gained, k) for k in range(min(lost, gained) + 1)) / 2 ** (lost + gained)
        assert found.values[place] == pytest.approx(sum(own) / 12)
        assert found.deltas[place] == pytest.approx((sum(own) - sum(right)) / 12)
        assert found.p_values[place] == pytest.approx(min(1, 2 * tail))
    assert len(np.unique(found.values)) > 2 and found.p_values.min() < 0.5
    assert (found.deltas[1, 1], found.p_values[1, 1]) == (0, 1)


@pytest.mark.parametrize("task", [THREE, TWO])
def test_heads_that_are_not_there_have_no_numbers(task: TaskConfig) -> None:
    """A pruned model has layers of fewer heads; what is there is tested as it is alone."""
    baseline, others, labels = problem(len(task.labels))
    alone = compare(task, baseline, others[:, 0], labels)
    others[1, 1] = np.nan
    found = compare(task, baseline, others, labels)
    for name in ("values", "deltas", "p_values"):
        own = getattr(found, name)
        assert np.isnan(own).tolist() == [[False, False], [False, True]]
        assert np.array_equal(own[:, 0], getattr(alone, name))


def f1(answers: np.ndarray, labels: np.ndarray) -> float:
    both, either = ((answers == 1) & (labels == 1)).sum(), (answers == 1).sum() + (labels == 1).sum()
    return 2 * both / either if either else 0.0


def test_f1_by_drawing_the_rows_again() -> None:
    baseline, others, labels = problem(2)
    found: Comparison = compare(TWO, baseline, others, labels, seed=4)
    assert (found.metric, found.baseline) == ("f1", pytest.approx(f1(baseline.argmax(1), labels)))
    counts = bootstrap_counts(12, seed=4).astype(int)
    for place in np.ndindex(2, 2):
        answers = others[place].argmax(1)
        assert found.values[place] == pytest.approx(f1(answers, labels))
        assert found.deltas[place] == pytest.approx(f1(answers, labels) - f1(baseline.argmax(1), labels))
        differences = np.array([
            f1(np.repeat(answers, row), np.repeat(labels, row))
            - f1(np.repeat(baseline.argmax(1), row), np.repeat(labels, row))
            for row in counts
        ])  # fmt: skip
        tail = min((differences <= 0).sum(), (differences >= 0).sum())
        assert found.p_values[place] == pytest.approx(min(1, 2 * (1 + tail) / 1001))
    assert found.p_values[1, 1] == 1
    other = compare(TWO, baseline, others, labels)
    assert np.array_equal(other.values, found.values) and not np.array_equal(other.p_values, found.p_values)
    assert np.array_equal(other.p_values, compare(TWO, baseline, others, labels, seed=0).p_values)
