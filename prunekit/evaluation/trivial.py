"""Whether a model is any better than one answer to everything, where nothing else tells that its outputs fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from prunekit.config.task import TaskConfig
from prunekit.data.checked_rows import notice
from prunekit.data.label_order import is_generic, output_names
from prunekit.data.metrics import METRICS

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def warn_if_trivial(task: TaskConfig, model: PreTrainedModel, score: float, labels: np.ndarray) -> None:
    """Say so where a whole classifier whose outputs have no names is not above the best constant answer.

    Its outputs may then stand for the task's labels in another order, which nobody can tell from ``LABEL_0``.

    Args:
        score: the model's, by the first metric of the task.
        labels: of the rows that it was evaluated on, (row,).
    """
    if task.kind != "classification" or not is_generic(output_names(model)):
        return
    trivial = trivial_score(task, labels)
    if score <= trivial:
        notice(
            f"the whole model's {task.metric} on task {task.name} is {score:.3f}, one answer to all gives "
            f"{trivial:.3f}; its outputs have no names: if they are not in the order {', '.join(task.labels)}, "
            "set id2label in its config.json"
        )


def trivial_score(task: TaskConfig, labels: np.ndarray) -> float:
    """The best score of one answer to everything, by the first metric of a classification task."""
    compute = METRICS[task.metric].compute
    return max(compute(np.full_like(labels, answer), labels) for answer in range(len(task.labels)))
