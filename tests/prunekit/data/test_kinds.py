"""A kind of task is declared once in settings; what reads, loses and evaluates it is there for each."""

from __future__ import annotations

import pytest

from prunekit.config.task import TaskConfig
from prunekit.config.task_kinds import TASK_KINDS
from prunekit.data.kinds import KINDS, kind_of
from prunekit.evaluation.evaluate import EVALUATIONS


def test_every_kind_is_known_wherever_kinds_are() -> None:
    names = [kind.name for kind in TASK_KINDS]
    assert len(set(names)) == len(names)
    assert set(names) == set(KINDS) == set(EVALUATIONS)


@pytest.mark.parametrize(
    ("task", "name", "outputs"),
    [
        (TaskConfig(labels=["a", "b", "c"]), "classification", 3),
        (TaskConfig(metrics=["pearson"]), "regression", 1),
        (TaskConfig(questions=True, columns=["q", "c"], metrics=["answer_f1"]), "questions", 2),
        (TaskConfig(translation=True, columns=["de", "en"], metrics=["bleu"]), "translation", 0),
    ],
)
def test_the_kind_of_a_task(task: TaskConfig, name: str, outputs: int) -> None:
    task.source = "demo"
    task.max_length = 512
    assert list(task.problems()) == []
    assert (task.kind, kind_of(task).name, task.outputs) == (name, name, outputs)
    assert task.regression == (name == "regression")


def test_a_task_of_two_kinds_is_refused() -> None:
    both = TaskConfig(source="demo", columns=["a", "b"], questions=True, translation=True, metrics=["bleu"])
    assert (
        "translation: a task is one of translation, questions and classification, not several; questions=true beside "
        "it asks for answers, leave one of them out"
    ) in [*both.problems()]
