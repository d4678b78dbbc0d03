"""The kinds of task as settings know them: which settings ask for one, its metrics, its outputs and its checks.

What is read, encoded and lost for each kind is in :mod:`prunekit.data.kinds`, under the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunekit.config.checks import one_of

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
    asked_by: str
    """The setting that asks for it, as it is written on a command line."""
    problems: Callable[[TaskConfig], Iterator[str]] = _no_problems


def _problems_of_questions(task: TaskConfig) -> Iterator[str]:
    if len(task.columns) != 2:
        yield f"columns: {task.columns} should be two columns, question and context"
    if task.labels:
        yield f"labels: {task.labels} should be empty, questions=true has answers in the column {task.label!r}"
    room = task.max_length - task.question_length - SPECIAL_TOKENS
    if room <= 0:
        yield (
            f"question_length: {task.question_length} and {SPECIAL_TOKENS} special tokens leave no room for the "
            f"context in max_length={task.max_length}, give both so that some is left"
        )
    elif not 0 <= task.stride < room:
        yield (
            f"stride: {task.stride} is outside [0, {room}), the room that max_length={task.max_length} leaves for "
            f"the context beside question_length={task.question_length} and {SPECIAL_TOKENS} special tokens"
        )


def _problems_of_translation(task: TaskConfig) -> Iterator[str]:
    if len(task.columns) != 2:
        yield f"columns: {task.columns} should be two columns, source and target"
    if task.labels or task.questions:
        also = f"labels={task.labels} beside it asks for classes, give task.labels=[]"
        if task.questions:
            also = "questions=true beside it asks for answers, leave one of them out"
        yield f"translation: a task is one of translation, questions and classification, not several; {also}"


TASK_KINDS = (
    KindSettings(
        "translation", lambda task: task.translation, TRANSLATION_METRICS, lambda task: 0, "translation=true",
        _problems_of_translation,
    ),
    KindSettings(
        "questions", lambda task: task.questions, QUESTION_METRICS, lambda task: 2, "questions=true",
        _problems_of_questions,
    ),
    KindSettings(
        "classification", lambda task: bool(task.labels), CLASS_METRICS, lambda task: len(task.labels), "labels=[A,B]"
    ),
    KindSettings("regression", lambda task: True, REGRESSION_METRICS, lambda task: 1, "labels=[]"),
)  # fmt: skip
"""A task is of the first kind that its settings ask for, and passes the checks of all that they do."""


def kind_settings(task: TaskConfig) -> KindSettings:
    """Of the kind that a task is."""
    return next(kind for kind in TASK_KINDS if kind.is_asked(task))


def problems_of_metric(task: TaskConfig, metric: str) -> Iterator[str]:
    """A metric of no kind, or of another kind than the settings ask for: one of the two was forgotten."""
    own = kind_settings(task)
    other = next((kind for kind in TASK_KINDS if metric in kind.metrics), None)
    if other is None:
        yield from one_of("metrics", metric, own.metrics)
    elif other is not own:
        choices = ", ".join(own.metrics)
        if own.name == "regression":  # which nothing asks for
            setting = other.asked_by.partition("=")[0]
            yield (
                f"{setting}: not given, so the task is regression, but {metric} is a metric of {other.name}; give "
                f"task.{other.asked_by}, or task.metrics of {choices}"
            )
        else:
            yield (
                f"metrics: {metric} is one of {other.name} (task.{other.asked_by}), and {own.asked_by} makes the task "
                f"{own.name}; choose from {choices}"
            )
