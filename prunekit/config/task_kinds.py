"""The kinds of task as settings know them: which settings ask for one, its metrics, its outputs and its checks.

What is read, encoded and lost for each kind is in :mod:`prunekit.data.kinds`, under the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prunekit.config.task import TaskConfig

CLASS_METRICS = ("accuracy", "f1", "matthews")
REGRESSION_METRICS = ("pearson", "spearman")
QUESTION_METRICS = ("answer_f1", "exact_match")
TRANSLATION_METRICS = ("bleu", "chrf")
SPECIAL_TOKENS = 4  # at most: RoBERTa's, before, after and between two texts


def _no_problems(_task: TaskConfig) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True)
class KindSettings:
    """What the settings of a task say for one kind."""

    name: str
    is_asked: Callable[[TaskConfig], bool]
    metrics: tuple[str, ...]
    outputs: Callable[[TaskConfig], int]
    """Of a model's task head; 0 where the output is the vocabulary."""
    problems: Callable[[TaskConfig], Iterator[str]] = _no_problems


def _problems_of_questions(task: TaskConfig) -> Iterator[str]:
    if len(task.columns) != 2:
        yield f"columns: {task.columns} should be two columns, question and context"
    if task.labels:
        yield f"labels: {task.labels} should be empty, questions=true has answers in the column {task.label!r}"
    room = task.max_length - task.question_length - SPECIAL_TOKENS
    if not 0 <= task.stride < room:
        yield (
            f"stride: {task.stride} is outside [0, {room}), the room that max_length={task.max_length} leaves for "
            f"the context beside question_length={task.question_length} and {SPECIAL_TOKENS} special tokens"
        )


def _problems_of_translation(task: TaskConfig) -> Iterator[str]:
    if len(task.columns) != 2:
        yield f"columns: {task.columns} should be two columns, source and target"
    if task.labels or task.questions:
        yield "translation: a task is one of translation, questions and classification (labels), not several"


TASK_KINDS = (
    KindSettings(
        "translation", lambda task: task.translation, TRANSLATION_METRICS, lambda task: 0, _problems_of_translation
    ),
    KindSettings("questions", lambda task: task.questions, QUESTION_METRICS, lambda task: 2, _problems_of_questions),
    KindSettings("classification", lambda task: bool(task.labels), CLASS_METRICS, lambda task: len(task.labels)),
    KindSettings("regression", lambda task: True, REGRESSION_METRICS, lambda task: 1),
)
"""A task is of the first kind that its settings ask for, and passes the checks of all that they do."""


def kind_settings(task: TaskConfig) -> KindSettings:
    """Of the kind that a task is."""
    return next(kind for kind in TASK_KINDS if kind.is_asked(task))
