"""Significance tests and confidence bands, on plain NumPy arrays.

``examples`` is always the last axis of an array of predictions or of correct/incorrect marks; leading axes
(heads, ablations, layers) are tested independently of each other, each against the same baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

#: A metric on resampled rows: ``metric(predictions, labels, counts) -> (resamples,)``, where ``counts`` of
#: shape (resamples, examples) says how often each row was drawn. ``prunekit.data.metrics`` has one for every
#: GLUE metric.
ResampledMetric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Band(NamedTuple):
    """An estimate with its confidence band."""

    value: np.ndarray | float
    low: np.ndarray | float
    high: np.ndarray | float


def mcnemar(baseline_correct: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Exact two-sided McNemar p-values of models against one baseline on the same examples.

    Of the discordant examples (right in one model only), under the null hypothesis each falls to either model
    with probability 1/2; the p-value is the two-sided exact binomial one (McNemar 1947, with the binomial in
    place of the chi-square approximation). Without discordant examples it is 1.

    Args:
        baseline_correct: bool, (examples,).
        correct: bool, (..., examples).

    Returns:
        p-values, (...), float64.

    Raises:
        ValueError: the numbers of examples differ.
    """
    baseline_correct, correct = np.asarray(baseline_correct, bool), np.asarray(correct, bool)
    if baseline_correct.ndim != 1 or correct.shape[-1:] != baseline_correct.shape:
        raise ValueError(f"paired test needs the same examples: {baseline_correct.shape} and {correct.shape}")
    lost = (baseline_correct & ~correct).sum(-1)
    gained = (~baseline_correct & correct).sum(-1)
    # With probability 1/2 the binomial is symmetric, so that both tails are equally heavy.
    return np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(lost, gained), lost + gained, 0.5))


def bootstrap_counts(examples: int, *, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each example is drawn in each bootstrap resample.

    Returns:
        float64, (resamples, examples); every row sums to ``examples``. The same arguments give the same
        resamples, so that all models of a comparison are tested on the same ones.
    """
    generator = np.random.default_rng(seed)
    drawn = generator.integers(examples, size=(resamples, examples))
    rows = np.arange(resamples)[:, None] * examples
    return (
        np.bincount((drawn + rows).ravel(), minlength=resamples * examples).reshape(drawn.shape).astype(float)
    )


def paired_bootstrap(
    metric: ResampledMetric,
    baseline: np.ndarray,
    predictions: np.ndarray,
    labels: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    """Two-sided paired bootstrap p-values of models against one baseline (Koehn 2004, "Statistical
    significance tests for machine translation evaluation").

    The test set is resampled with replacement, and the differences are tested by :func:`two_sided`.

    Args:
        metric: the metric on resampled rows.
        baseline: predictions of the baseline, (examples,).
        predictions: predictions of the models, (..., examples).
        labels: (examples,).

    Returns:
        p-values, (...), float64.

    Raises:
        ValueError: the numbers of examples differ.
    """
    if labels.ndim != 1 or baseline.shape != labels.shape or predictions.shape[-1:] != labels.shape:
        shapes = f"{baseline.shape}, {predictions.shape} and {labels.shape}"
        raise ValueError(f"paired test needs the same examples: {shapes}")
    counts = bootstrap_counts(len(labels), resamples=resamples, seed=seed)
    baseline_values = metric(baseline, labels, counts)
    p_values = np.empty(predictions.shape[:-1])
    for place in np.ndindex(p_values.shape):
        p_values[place] = two_sided(metric(predictions[place], labels, counts) - baseline_values)
    return p_values


def two_sided(differences: np.ndarray) -> float:
    """p-value of differences d_b of two models on B bootstrap resamples of the test set, (resamples,).

    p = 2 min((1 + #{d_b <= 0}) / (B + 1), (1 + #{d_b >= 0}) / (B + 1)), at most 1: the added ones keep a finite
    number of resamples from ever giving 0. The smallest possible value is 2 / (B + 1); models that are equal on
    every resample have 1.
    """
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, 2 * (1 + float(tail)) / (len(differences) + 1))


def benjamini_hochberg(p_values: np.ndarray, *, level: float = 0.01) -> np.ndarray:
    """Which hypotheses are rejected when the false discovery rate over all of them is held at ``level``.

    Benjamini and Hochberg (1995): with the m p-values in ascending order, all up to the largest k with
    p_(k) <= level k / m are rejected. All entries of ``p_values``, whatever its shape, are one family of
    tests.

    Returns:
        bool, the shape of ``p_values``; True is significant.
    """
    p_values = np.asarray(p_values, float)
    return adjusted_p_values(p_values) <= level


def adjusted_p_values(p_values: np.ndarray) -> np.ndarray:
    """The lowest level at which :func:`benjamini_hochberg` rejects each hypothesis, in the shape of ``p_values``."""
    adjusted = stats.false_discovery_control(p_values, axis=None, method="bh")
    return adjusted.reshape(p_values.shape)


def accuracy_band(correct: np.ndarray, *, confidence: float = 0.95) -> Band:
    """Accuracy with its Wilson score interval over examples (Wilson 1927).

    Args:
        correct: bool, (examples,).
    """
    test = stats.binomtest(int(np.sum(correct)), len(correct))
    interval = test.proportion_ci(confidence, method="wilson")
    return Band(test.statistic, interval.low, interval.high)


def bootstrap_band(
    metric: ResampledMetric,
    predictions: np.ndarray,
    labels: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Band:
    """A metric with its percentile bootstrap interval over examples (Efron 1979).

    Args:
        metric: the metric on resampled rows.
        predictions: (examples,).
        labels: (examples,).
    """
    value = metric(predictions, labels, np.ones((1, len(labels))))[0]
    counts = bootstrap_counts(len(labels), resamples=resamples, seed=seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(metric(predictions, labels, counts), [tail, 1 - tail])
    return Band(float(value), float(low), float(high))


def mean_band(values: np.ndarray, *, confidence: float = 0.95) -> Band:
    """Mean over seeds with the Student t confidence interval: mean ± t(n − 1) s / √n, s the sample deviation.

    Args:
        values: (seeds, ...), at least one seed.

    Returns:
        mean, low and high of shape (...). A single seed says nothing about its spread: low and high are NaN.
    """
    values = np.asarray(values, float)
    seeds = len(values)
    mean = values.mean(0)
    if seeds == 1:
        unknown = np.full_like(mean, np.nan)
        return Band(mean, unknown, unknown)
    half = stats.t.ppf((1 + confidence) / 2, seeds - 1) * values.std(0, ddof=1) / np.sqrt(seeds)
    return Band(mean, mean - half, mean + half)


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where it is not defined, as in :func:`pearson`."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(stats.spearmanr(first, second).statistic)


def spearman_error(first: np.ndarray, second: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> float:
    """Standard error of :func:`spearman` over pairs: of its bootstrap (Efron 1979), ranks taken anew in each resample.

    Args:
        first, second: (pairs,).
    """
    drawn = np.random.default_rng(seed).integers(len(first), size=(resamples, len(first)))
    ranks = [stats.rankdata(values[drawn], axis=1) for values in (first, second)]
    one, two = (rank - rank.mean(1, keepdims=True) for rank in ranks)
    scale = np.sqrt((one**2).sum(1) * (two**2).sum(1))
    return float(np.std((one * two).sum(1)[scale > 0] / scale[scale > 0], ddof=1))


def pearson(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Pearson's r and its two-sided p-value under the hypothesis of no correlation (exact for normal
    variables).

    Returns:
        (r, p); (NaN, NaN) where r is not defined, because one of the two is constant or there are fewer than
        2 pairs.
    """
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan"), float("nan")
    result = stats.pearsonr(first, second)
    return float(result.statistic), float(result.pvalue)
