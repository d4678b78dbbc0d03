"""Effects of single heads on tags, tested for significance on resampled sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from prunekit.config.task import TaskConfig
from prunekit.data.kinds.tags import Sentences
from prunekit.data.tags.entities import tag_counts, tag_p_values, tag_scores
from prunekit.evaluation.comparison import Comparison
from prunekit.evaluation.evaluate import Evaluated, evaluated
from prunekit.evaluation.row_answers import RowAnswers, of_sentences
from prunekit.heads.tables import WHOLE, without
from prunekit.models.layout import Layout
from prunekit.models.masks import Masks


@dataclass(frozen=True)
class TagEffects:
    """What :func:`prunekit.heads.effects.head_comparisons` says and records."""

    compared: dict[str, dict[str, Comparison]]
    """By ablation and attention kind."""
    whole: Evaluated
    models: list[dict[str, Any]]
    """What tells each model of ``answers`` from the others."""
    answers: RowAnswers


def tag_comparisons(
    task: TaskConfig,
    sentences: Sentences,
    baseline: np.ndarray,
    ablated: Mapping[str, np.ndarray],
    layout: Layout,
    *,
    seed: int,
    tested: bool,
) -> TagEffects:
    """Compare every model with the whole one.

    Args:
        baseline: most likely tag of every token, (example, token).
        ablated: by ablation, (layer, head, example, token).
        layout: of the whole model.
        tested: False leaves p-values NaN.
    """

    def counted(predicted: np.ndarray) -> dict[str, np.ndarray]:
        given = sentences.given(predicted)
        return {name: tag_counts(name, task.labels, sentences.labels, given) for name in task.metrics}

    whole, metric = counted(baseline), task.metric
    exists = Masks.ones(layout).heads["self"]
    models, counts = [WHOLE], [whole]
    compared = {}
    for name, predicted in ablated.items():
        own = []
        for layer, head in exists.nonzero().tolist():
            own.append(counted(predicted[layer, head]))
            models.append(without(name, "self", layer, head))
        counts += own
        first = tag_scores(whole)[metric]
        values = np.full(exists.shape, np.nan)
        p_values = values.copy()
        values[exists.numpy()] = [tag_scores(one)[metric] for one in own]
        if tested:
            p_values[exists.numpy()] = tag_p_values(metric, whole[metric], [one[metric] for one in own], seed=seed)
        compared[name] = {"self": Comparison(metric, first, values, values - first, p_values)}
    answers = of_sentences(sentences.rows.fingerprint(), counts, task.kind)
    return TagEffects(compared, evaluated(task, sentences, sentences.given(baseline)), models, answers)
