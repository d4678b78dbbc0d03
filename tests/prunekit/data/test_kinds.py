"""A kind of task is declared once in settings; what reads, loses and evaluates it is there for each."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace

import pytest
import torch

from prunekit.config.task import TaskConfig
from prunekit.config.task_kinds import TASK_KINDS
from prunekit.data import kinds
from prunekit.data.kinds import KINDS, kind_of
from prunekit.data.kinds.base import TaskKind
from prunekit.runs.schema.answer_arrays import ARRAYS


def test_every_kind_is_known_wherever_kinds_are() -> None:
    names = [kind.name for kind in TASK_KINDS]
    assert len(set(names)) == len(names)
    assert set(names) == set(KINDS)
    assert all(type(kind).scores is not TaskKind.scores for kind in KINDS.values())


def test_a_kind_is_registered_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes that have a name, not what kinds have in common."""
    (tmp_path / "pairs_of_words.py").write_text(
        "from prunekit.data.kinds.classification import Classification\n"
        "class Common(Classification):\n    pass\n"
        "class PairsOfWords(Common):\n    name = 'pairs_of_words'\n    needs = 'pairs'\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path)])
    found = kinds.kinds()
    monkeypatch.delitem(sys.modules, "prunekit.data.kinds.pairs_of_words")
    monkeypatch.delattr(kinds, "pairs_of_words")
    assert set(found) == {*KINDS, "pairs_of_words"} and found["pairs_of_words"].needs == "pairs"
    batch = {"labels": torch.tensor([1])}
    loss = found["pairs_of_words"].example_losses(SimpleNamespace(logits=torch.zeros(1, 4)), batch)
    torch.testing.assert_close(loss, torch.tensor([math.log(4)]))


def test_answers_of_every_kind_have_their_arrays() -> None:
    assert {kind.name: kind.answers for kind in TASK_KINDS} == dict(ARRAYS)
    assert [array.name for array in ARRAYS["questions"]] == ["span", "exact_match", "answer_f1"]
    summed = {
        kind.name for kind in TASK_KINDS for array in kind.answers if array.between and array.name in kind.metrics
    }
    assert {kind.name for kind in TASK_KINDS if kind.of_sums is not None} == summed == {"tags", "translation"}
    assert all(callable(resolve_name(kind.of_sums)) for kind in TASK_KINDS if kind.of_sums is not None)


@pytest.mark.parametrize(
    ("task", "name", "outputs"),
    [
        (TaskConfig(labels=["a", "b", "c"]), "classification", 3),
        (TaskConfig(metrics=["pearson"]), "regression", 1),
        (TaskConfig(questions=True, columns=["q", "c"], metrics=["answer_f1"]), "questions", 2),
        (TaskConfig(tags=True, columns=["w"], labels=["O", "B-X"], metrics=["entity_f1"]), "tags", 2),
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


def test_the_loss_of_a_question_is_the_mean_over_first_and_last_token() -> None:
    """Each among the tokens of the row; in training, among all places of the batch."""
    output = SimpleNamespace(start_logits=torch.tensor([[0.0, math.log(3), 9.0]]), end_logits=torch.zeros(1, 3))
    batch = {
        "input_ids": torch.ones(1, 3, dtype=torch.long), "attention_mask": torch.tensor([[1, 1, 0]]),
        "start_positions": torch.tensor([1]), "end_positions": torch.tensor([0]),
    }  # fmt: skip
    kind = KINDS["questions"]
    expected = (math.log(4 / 3) + math.log(2)) / 2
    torch.testing.assert_close(kind.example_losses(output, batch), torch.tensor([expected]))
    start = math.log(4 + math.exp(9)) - math.log(3)
    torch.testing.assert_close(kind.training_loss(output, batch), torch.tensor((start + math.log(3)) / 2))
    rising = SimpleNamespace(start_logits=output.start_logits, end_logits=torch.arange(3.0)[None])
    answers = kind.predicted_labels(rising, batch)
    assert (answers["start_positions"].tolist(), answers["end_positions"].tolist()) == ([1], [1])
