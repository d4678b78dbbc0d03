"""Scores of translations, as sacreBLEU computes them (Post 2018), and the signature that says how.

As all metrics here they are in [0, 1]: BLEU 0.36 is what papers write as 36 points.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from prunekit.config.task_kinds import TRANSLATION_METRICS
from prunekit.support.extras import of_extra
from prunekit.support.statistics import Band, bootstrap_counts, two_sided

RESAMPLES = 1000


def scorer(metric: str, references: Sequence[str] | None = None) -> Any:
    """The metric of sacreBLEU: detokenised, case-sensitive BLEU (tokenizer 13a), or chrF2."""
    with of_extra("translation"):
        from sacrebleu import BLEU, CHRF

    return {"bleu": BLEU, "chrf": CHRF}[metric](references=None if references is None else [list(references)])


def translation_scores(hypotheses: Sequence[str], references: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """Corpus scores by name."""
    return {name: scorer(name).corpus_score(list(hypotheses), [list(references)]).score / 100 for name in wanted}


def sentence_counts(metric: str, hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """What a metric counts in each sentence, (sentence, statistic), whole numbers: their sums decide the corpus score.

    Of BLEU the words of hypothesis and reference, then matches and n-grams of each order; of chrF for each order of
    characters the n-grams of hypothesis and reference, and the matches.
    """
    return np.asarray(scorer(metric, references)._extract_corpus_statistics(list(hypotheses), None))


def counted_score(metric: str, counts: np.ndarray) -> float:
    """The corpus score of summed counts, (statistic,)."""
    return float(_scorer_of_counts(metric)._compute_score_from_stats(counts.tolist()).score / 100)


def corpus_scores(metric: str, counts: np.ndarray) -> np.ndarray:
    """:func:`counted_score` of each of several, (..., statistic) to (...)."""
    flat = [counted_score(metric, row) for row in counts.reshape(-1, counts.shape[-1])]
    return np.asarray(flat).reshape(counts.shape[:-1])


@cache
def _scorer_of_counts(metric: str) -> Any:
    return scorer(metric)


@cache
def signature(metric: str) -> str:
    """How a metric is computed: sacreBLEU's signature, which includes its version."""
    own = scorer(metric)
    own.corpus_score(["a"], [["a"]])  # it is known once something was scored
    return str(own.get_signature())


def signatures(metrics: Sequence[str]) -> dict[str, str]:
    """By name of the metric; empty where the metrics are not of translation."""
    return {f"{name}_signature": signature(name) for name in metrics if name in TRANSLATION_METRICS}


def bleu_band(metric: str, hypotheses: Sequence[str], references: Sequence[str], *, seed: int = 0) -> Band:
    """A corpus score with its 95 % percentile bootstrap interval over sentences."""
    value, scores = _resampled(scorer(metric, references), hypotheses, seed)
    low, high = np.quantile(scores, [0.025, 0.975])
    return Band(value, float(low), float(high))


def _resampled(own: Any, hypotheses: Sequence[str], seed: int) -> tuple[float, np.ndarray]:
    """A corpus score, and those of the bootstrap resamples of its sentences, (resample,)."""
    statistics = np.asarray(own._extract_corpus_statistics(list(hypotheses), None), dtype=float)
    value = own._compute_score_from_stats(statistics.sum(0).tolist()).score / 100
    drawn = bootstrap_counts(len(statistics), resamples=RESAMPLES, seed=seed) @ statistics
    return value, np.asarray([own._compute_score_from_stats(row.tolist()).score / 100 for row in drawn])


def untested(
    metric: str, baseline: Sequence[str], others: Sequence[Sequence[str]], references: Sequence[str]
) -> tuple[float, np.ndarray, np.ndarray]:
    """As :func:`paired_p_values`, without the test: p-values are NaN."""
    first, *scores = (translation_scores(one, references, [metric])[metric] for one in (baseline, *others))
    return first, np.asarray(scores), np.full(len(scores), np.nan)


def paired_p_values(
    metric: str, baseline: Sequence[str], others: Sequence[Sequence[str]], references: Sequence[str], *, seed: int = 0
) -> tuple[float, np.ndarray, np.ndarray]:
    """Paired bootstrap test of systems against a baseline (Koehn 2004; 1,000 resamples), see
    :func:`prunekit.support.statistics.two_sided`; sacreBLEU counts words, and its own test is not used: it rejects
    twice as often as it says.

    Returns:
        the baseline's score, the systems' scores, (system,), and their two-sided p-values, (system,).
    """
    own = scorer(metric, references)
    first, resampled = _resampled(own, baseline, seed)
    found = [_resampled(own, other, seed) for other in others]
    p_values = [two_sided(scores - resampled) for _, scores in found]
    return first, np.asarray([score for score, _ in found]), np.asarray(p_values)
