"""What rows score without a model: the least that a score has to exceed before it says anything.

For each metric of the task the best trivial answer, from the evaluation rows alone:

- classification: the same class for every row; accuracy of the majority, F1 of all positive, 0 by Matthews;
- regression: any number; correlations with a constant are 0 (:data:`prunekit.data.metrics.METRICS`);
- questions: no answer to any; the share of questions that have none, 0 where all have one;
- tags: the most frequent tag for every word; where that is O, F1 of entities is 0;
- translation: the source, copied.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from prunekit.config.task import TaskConfig
from prunekit.data.answers import question_scores
from prunekit.data.bleu import translation_scores
from prunekit.data.checked_rows import Rows
from prunekit.data.metrics import METRICS
from prunekit.data.tags.entities import sentence_counts, tag_scores

Scores = dict[str, float]
"""By metric of the task, in [0, 1]."""


def trivial_scores(task: TaskConfig, rows: Rows) -> Scores:
    """The best score of the task's trivial answer, by metric.

    Args:
        rows: that the task is evaluated on.
    """
    return TRIVIAL[task.kind](task, rows)


def _of_classes(task: TaskConfig, rows: Rows) -> Scores:
    answers = [np.full_like(rows.labels, answer) for answer in range(len(task.labels))]
    return {name: max(METRICS[name].compute(answer, rows.labels) for answer in answers) for name in task.metrics}


def _of_numbers(task: TaskConfig, rows: Rows) -> Scores:
    constant = np.full_like(rows.labels, rows.labels.mean())
    return {name: METRICS[name].compute(constant, rows.labels) for name in task.metrics}


def _of_questions(task: TaskConfig, rows: Rows) -> Scores:
    scores = question_scores(rows, [""] * len(rows))
    return {name: float(scores[name].mean()) for name in task.metrics}


def _of_tags(task: TaskConfig, rows: Rows) -> Scores:
    answer = int(np.bincount([tag for own in rows.labels for tag in own]).argmax())
    given = [(answer,) * len(own) for own in rows.labels]
    return tag_scores({name: sentence_counts(name, task.labels, rows.labels, given) for name in task.metrics})


def _of_translation(task: TaskConfig, rows: Rows) -> Scores:
    return translation_scores([source for (source,) in rows.texts], rows.labels.tolist(), task.metrics)


TRIVIAL: dict[str, Callable[[TaskConfig, Rows], Scores]] = {
    "classification": _of_classes, "regression": _of_numbers, "questions": _of_questions, "tags": _of_tags,
    "translation": _of_translation,
}  # fmt: skip
"""By kind of task."""
ANSWERS = {
    "classification": "one answer to all", "regression": "one answer to all", "questions": "no answer to any",
    "tags": "the most frequent tag to all", "translation": "copying the source",
}  # fmt: skip
"""The trivial answer in words, by kind of task."""
