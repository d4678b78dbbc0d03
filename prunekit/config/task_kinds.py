"""The kinds of task as settings know them: which settings ask for one, its metrics, its outputs,
its answers and its checks.

What is read, encoded and lost for each kind is in :mod:`prunekit.data.kinds`, under the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prunekit.config.checks import one_of
from prunekit.config.kind_answers import GOLD, AnswerArray

if TYPE_CHECKING:
    from prunekit.config.task import TaskConfig

CLASS_METRICS = ("accuracy", "f1", "matthews")
REGRESSION_METRICS = ("pearson", "spearman")
QUESTION_METRICS = ("answer_f1", "exact_match")
TRANSLATION_METRICS = ("bleu", "chrf")
TAG_METRICS = ("entity_f1", "token_accuracy")
OUTSIDE = "O"
"""The tag of a word that is in no entity."""
OF_ENTITIES = ("B", "I", "E", "S")
"""What stands before a hyphen and the type of an entity: IOB1, IOB2 and BIOES (Tjong Kim Sang and Veenstra 1999)."""
BILOU = {"L": "E", "U": "S"}
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
    answers: tuple[AnswerArray, ...]
    """What is recorded of a model's answers to rows. An array with the name of a metric holds what the metric is the
    mean of; with an axis more, what it is computed from once that is summed over rows."""
    of_sums: str | None = None
    """``module:function`` from a metric's name and such sums, (..., statistic), to scores, (...): a name, as settings
    import nothing that computes; of a module without torch, as figures ask it, too."""
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


def _problems_of_tags(task: TaskConfig) -> Iterator[str]:
    if len(task.columns) != 1:
        yield f"columns: {task.columns} should be one column, that of the words of a sentence"
    if not task.labels:
        yield "labels: tags=true needs the names of the tags, give task.labels=[O,B-PER,I-PER]"
    if task.translation or task.questions:
        other = "translation" if task.translation else "questions"
        yield f"tags: a task is one of tags, translation, questions and classification; leave {other}=true out"
    if "entity_f1" in task.metrics:
        for label in task.labels:
            prefix, _, entity = label.partition("-")
            if prefix in BILOU and entity:
                yield f"labels: {label!r} is of BILOU, which is not read; write {BILOU[prefix]}-{entity}, as BIOES does"
            elif label != OUTSIDE and (prefix not in OF_ENTITIES or not entity):
                yield (
                    f"labels: {label!r} is no tag of entities ({OUTSIDE}, or {', '.join(OF_ENTITIES)} before -TYPE), "
                    "which entity_f1 is of; give task.metrics=[token_accuracy]"
                )


TASK_KINDS = (
    KindSettings(
        "tags", lambda task: task.tags, TAG_METRICS, lambda task: len(task.labels), "tags=true", (
            AnswerArray("entity_f1", "u", "entities of the sentence: right ones, given ones, gold ones", between=3,
                        optional=True),
            AnswerArray("token_accuracy", "u", "words of the sentence: with the right tag, all", between=2,
                        optional=True),
        ), "prunekit.data.tags.entities:counted_scores", _problems_of_tags,
    ),
    KindSettings(
        "translation", lambda task: task.translation, TRANSLATION_METRICS, lambda task: 0, "translation=true", (
            AnswerArray("bleu", "u", "words of hypothesis and of reference, then for orders 1 to 4 matches, and "
                        "n-grams", between=10, optional=True),
            AnswerArray("chrf", "u", "for orders 1 to 6 of characters: n-grams of hypothesis, of reference, matches",
                        between=18, optional=True),
        ), "prunekit.data.bleu:corpus_scores", _problems_of_translation,
    ),
    KindSettings(
        "questions", lambda task: task.questions, QUESTION_METRICS, lambda task: 2, "questions=true", (
            AnswerArray("span", "u", "first character of the answer in the context and the one after its last; equal: "
                        "no answer", between=2),
            AnswerArray("exact_match", "b", "the answer is one of the gold answers"),
            AnswerArray("answer_f1", "f", "F1 of its words, best over the gold answers"),
        ), problems=_problems_of_questions,
    ),
    KindSettings(
        "classification", lambda task: bool(task.labels), CLASS_METRICS, lambda task: len(task.labels), "labels=[A,B]",
        (
            AnswerArray(GOLD, "u", "the label, in the order of the task's labels"),
            AnswerArray("class", "u", "the most likely label"),
        ),
    ),
    KindSettings(
        "regression", lambda task: True, REGRESSION_METRICS, lambda task: 1, "labels=[]", (
            AnswerArray(GOLD, "f", "the label"), AnswerArray("score", "f", "the model's output"),
        ),
    ),
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
