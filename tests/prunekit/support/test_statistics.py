"""Statistics against brute force, textbook formulas and SciPy's scalar versions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from prunekit.data.metrics import METRICS
from prunekit.support import statistics


def test_mcnemar_by_enumeration() -> None:
    """All 2^n ways to give n discordant examples to the two models."""
    for lost, gained in [(0, 0), (0, 1), (1, 1), (0, 5), (2, 5), (6, 1), (4, 4)]:
        baseline = np.array([True] * lost + [False] * gained + [True, False])
        correct = np.array([False] * lost + [True] * gained + [True, False])
        observed = abs(lost - gained)
        ways = list(itertools.product([0, 1], repeat=lost + gained))
        extreme = sum(abs(2 * sum(way) - len(way)) >= observed for way in ways)
        assert statistics.mcnemar(baseline, correct) == pytest.approx(extreme / len(ways), abs=1e-12)


def test_mcnemar_over_many_heads() -> None:
    generator = np.random.default_rng(0)
    baseline = generator.random(400) < 0.8
    correct = generator.random((3, 4, 400)) < 0.75
    p_values = statistics.mcnemar(baseline, correct)
    assert p_values.shape == (3, 4)
    for place in np.ndindex(3, 4):
        lost = int((baseline & ~correct[place]).sum())
        discordant = int((baseline != correct[place]).sum())
        assert p_values[place] == pytest.approx(stats.binomtest(lost, discordant, 0.5).pvalue, abs=1e-12)


def test_mcnemar_refuses_other_examples() -> None:
    with pytest.raises(ValueError, match="same examples"):
        statistics.mcnemar(np.ones(3, bool), np.ones((2, 4), bool))


def test_bootstrap_counts_are_a_seeded_resample() -> None:
    counts = statistics.bootstrap_counts(50, resamples=200, seed=3)
    assert counts.shape == (200, 50)
    assert (counts.sum(1) == 50).all()
    assert np.array_equal(counts, statistics.bootstrap_counts(50, resamples=200, seed=3))
    assert not np.array_equal(counts, statistics.bootstrap_counts(50, resamples=200, seed=4))
    assert (counts == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


def test_paired_bootstrap_is_the_loop_over_resamples() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(2, size=60)
    baseline = np.where(generator.random(60) < 0.9, labels, 1 - labels)
    models = np.where(generator.random((2, 60)) < 0.75, labels, 1 - labels)
    for name in ("f1", "matthews"):
        metric = METRICS[name]
        p_values = statistics.paired_bootstrap(
            metric.resampled, baseline, models, labels, resamples=99, seed=5
        )
        for model, p_value in zip(models, p_values, strict=True):
            below = above = 0
            for row in statistics.bootstrap_counts(60, resamples=99, seed=5).astype(int):
                drawn = np.repeat(np.arange(60), row)
                difference = metric.compute(model[drawn], labels[drawn])
                difference -= metric.compute(baseline[drawn], labels[drawn])
                below, above = below + (difference <= 1e-12), above + (difference >= -1e-12)
            assert p_value == pytest.approx(min(1, 2 * (1 + min(below, above)) / 100), abs=1e-12)


def test_paired_bootstrap_extremes() -> None:
    labels = np.tile([0, 1], 100)
    wrong = np.zeros_like(labels)
    metric = METRICS["accuracy"].resampled
    same, worse = statistics.paired_bootstrap(metric, labels, np.stack([labels, wrong]), labels)
    assert same == 1
    assert worse == pytest.approx(2 / 1001)
    assert statistics.paired_bootstrap(metric, wrong, labels, labels) == pytest.approx(2 / 1001)


@pytest.mark.parametrize(("level", "least", "most"), [(0.01, 0.004, 0.017), (0.05, 0.037, 0.065)])
def test_two_sided_rejects_as_often_as_it_says(level: float, least: float, most: float) -> None:
    """2,000 pairs of models that are equally good, on 200 rows each; the bounds are three standard errors and more."""
    differences = np.random.default_rng(0).normal(size=(200, 2000))
    means = statistics.bootstrap_counts(200, resamples=1000, seed=1) @ differences / 200
    p_values = np.array([statistics.two_sided(column) for column in means.T])
    assert least < (p_values < level).mean() < most
    assert p_values.min() >= 2 / 1001 and p_values.max() <= 1


def test_two_sided_by_hand() -> None:
    assert statistics.two_sided(np.zeros(9)) == 1
    assert statistics.two_sided(np.array([1.0, 2.0, 3.0])) == statistics.two_sided(-np.array([1.0, 2.0, 3.0])) == 0.5
    assert statistics.two_sided(np.array([-1.0, *np.ones(18)])) == pytest.approx(0.2)


def test_paired_bootstrap_agrees_with_mcnemar_on_accuracy() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(3, size=1000)
    baseline = np.where(generator.random(1000) < 0.85, labels, (labels + 1) % 3)
    worse = np.where(generator.random(1000) < 0.97, baseline, (labels + 1) % 3)
    exact = statistics.mcnemar(baseline == labels, worse == labels)
    bootstrap = statistics.paired_bootstrap(METRICS["accuracy"].resampled, baseline, worse, labels)
    assert exact < 0.01
    assert bootstrap < 0.01


def test_benjamini_hochberg_by_hand() -> None:
    p_values = np.array([[0.001, 0.2], [0.004, 0.0075]])
    # thresholds 0.0025 0.005 0.0075 0.01 for the sorted 0.001 0.004 0.0075 0.2
    assert statistics.benjamini_hochberg(p_values, level=0.01).tolist() == [[True, False], [True, True]]
    # the largest k counts, not the first failure: 0.004 > 0.0033 fails by itself, and passes through 0.0099
    assert statistics.benjamini_hochberg(np.array([0.004, 0.0062, 0.0099]), level=0.01).all()
    assert not statistics.benjamini_hochberg(np.array([0.004, 0.02, 0.5]), level=0.01).any()


def test_accuracy_band_is_wilsons_formula() -> None:
    correct, examples, z = 83, 100, stats.norm.ppf(0.975)
    band = statistics.accuracy_band(np.arange(examples) < correct)
    share = correct / examples
    centre = (share + z**2 / (2 * examples)) / (1 + z**2 / examples)
    half = z / (1 + z**2 / examples) * math.sqrt(share * (1 - share) / examples + z**2 / (4 * examples**2))
    assert band.value == pytest.approx(0.83)
    assert band.low == pytest.approx(centre - half)
    assert band.high == pytest.approx(centre + half)


def test_bootstrap_band_is_near_wilson_for_accuracy() -> None:
    labels = np.zeros(2000, int)
    answers = (np.arange(2000) < 400).astype(int)
    band = statistics.bootstrap_band(METRICS["accuracy"].resampled, answers, labels)
    wilson = statistics.accuracy_band(answers == labels)
    assert band.value == pytest.approx(0.8)
    assert band.low == pytest.approx(wilson.low, abs=0.004)
    assert band.high == pytest.approx(wilson.high, abs=0.004)
    shares = statistics.bootstrap_counts(2000) @ (answers == labels) / 2000
    assert (band.low, band.high) == pytest.approx(np.quantile(shares, [0.025, 0.975]))


def test_mean_band_by_hand() -> None:
    band = statistics.mean_band(np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]]))
    # mean 3, s = sqrt((4 + 1 + 9) / 2), t(0.975, 2) = 4.302653
    half = 4.302652729911275 * math.sqrt(7) / math.sqrt(3)
    assert np.allclose(band.value, [3, 5])
    assert np.allclose(band.low, [3 - half, 5])
    assert np.allclose(band.high, [3 + half, 5])
    single = statistics.mean_band(np.array([0.7]))
    assert single.value == 0.7
    assert np.isnan(single.low) and np.isnan(single.high)


def test_pearson_by_hand() -> None:
    x, y = np.array([1.0, 2.0, 3.0, 5.0]), np.array([2.0, 1.0, 4.0, 6.0])
    r, p_value = statistics.pearson(x, y)
    expected = np.cov(x, y)[0, 1] / (x.std(ddof=1) * y.std(ddof=1))
    t = expected * math.sqrt(2 / (1 - expected**2))
    assert r == pytest.approx(expected)
    assert p_value == pytest.approx(2 * stats.t.sf(t, 2))
    assert np.isnan(statistics.pearson(x, np.ones(4))).all()
