"""Scores of tags: F1 of entities as CoNLL scores them (Tjong Kim Sang and De Meulder 2003, Sec. 4), and the share of
words with the right tag. Both are made of what each sentence counts, so that sentences can be resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from prunekit.config.task_kinds import OUTSIDE
from prunekit.support.extras import of_extra
from prunekit.support.statistics import Band, bootstrap_counts, two_sided

Numbers = Sequence[Sequence[int]] | Sequence[np.ndarray] | np.ndarray
"""Of tags, by sentence and word."""
NO_TAG = -1
"""What a word has that the model gave none, as it was cut off."""


def entities(tags: Sequence[str]) -> frozenset[tuple[str, int, int]]:
    """Entities of a sentence: type, first and last word.

    As CoNLL's script and seqeval read them, whatever the scheme: a tag that goes on with no entity begins one.

    >>> sorted(entities(["O", "I-PER", "I-PER", "B-PER", "I-LOC"]))
    [('LOC', 4, 4), ('PER', 1, 2), ('PER', 3, 3)]
    """
    with of_extra("tags"):
        from seqeval.metrics.sequence_labeling import get_entities

    return frozenset(get_entities(list(tags)))


def tag_counts(
    metric: str, labels: Sequence[str], gold: Numbers, given: Numbers
) -> np.ndarray:
    """What a metric counts in each sentence, (sentence, statistic), whole numbers.

    Of ``entity_f1`` right entities, given ones and gold ones; of ``token_accuracy`` words with the right tag, and all.

    Args:
        labels: names of the tags.
        gold: the number of every word's tag, by sentence.
        given: the model's, :data:`NO_TAG` where it gave none: a wrong tag, and no entity.
    """
    if metric == "token_accuracy":
        return np.asarray([
            (sum(a == b for a, b in zip(own, right, strict=True)), len(right))
            for own, right in zip(given, gold, strict=True)
        ])  # fmt: skip
    names = tuple(labels)
    counts = []
    for own, right in zip(given, gold, strict=True):
        mine, theirs = _entities(names, tuple(own)), _entities(names, tuple(right))
        counts.append((len(mine & theirs), len(mine), len(theirs)))
    return np.asarray(counts)


@lru_cache(maxsize=2**16)  # models of one task give most sentences the same tags
def _entities(labels: tuple[str, ...], numbers: tuple[int, ...]) -> frozenset[tuple[str, int, int]]:
    return entities([OUTSIDE if number == NO_TAG else labels[number] for number in numbers])


def counted_scores(metric: str, counts: np.ndarray) -> np.ndarray:
    """The score of summed counts, (..., statistic) to (...); 0 where nothing is counted."""
    counts = np.asarray(counts, float)
    if metric == "token_accuracy":
        return _divide(counts[..., 0], counts[..., 1])
    precision, recall = _divide(counts[..., 0], counts[..., 1]), _divide(counts[..., 0], counts[..., 2])
    return _divide(2 * precision * recall, precision + recall)


def tag_scores(counts: Mapping[str, np.ndarray]) -> dict[str, float]:
    """By metric, from what each sentence counts, (sentence, statistic)."""
    return {metric: float(counted_scores(metric, own.sum(0))) for metric, own in counts.items()}


def tag_band(metric: str, counts: np.ndarray, *, seed: int = 0) -> Band:
    """A score with its 95 % percentile bootstrap interval over sentences.

    Args:
        counts: (sentence, statistic).
    """
    drawn = counted_scores(metric, bootstrap_counts(len(counts), seed=seed) @ counts)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Band(float(counted_scores(metric, counts.sum(0))), float(low), float(high))


def tag_p_values(metric: str, baseline: np.ndarray, others: Sequence[np.ndarray], *, seed: int = 0) -> np.ndarray:
    """Two-sided p-values of models against a baseline, (model,): paired bootstrap over sentences (Koehn 2004).

    Args:
        baseline: counts, (sentence, statistic). others: a model's each.
    """
    resamples = bootstrap_counts(len(baseline), seed=seed)
    own = counted_scores(metric, resamples @ baseline)
    return np.asarray([two_sided(counted_scores(metric, resamples @ counts) - own) for counts in others])


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=np.asarray(denominator) > 0)
