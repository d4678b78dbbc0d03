"""Verbs on questions: `finetune` takes them, verbs that work on one output a row say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import prunekit
from prunekit.data.demo import vocabulary
from prunekit.data.kinds.questions import Windows
from prunekit.data.rows import load_rows
from prunekit.runs.teachers import load_teacher
from prunekit.support.errors import UserError
from tests.support.commands import TINY, composed, perform, refused
from tests.support.squad_data import generated, written


def questions(folder: Path) -> list[str]:
    files = [f"task.files.{name}={written(folder, generated(48, seed=seed, words=vocabulary()), f'{name}.jsonl')}"
             for seed, name in enumerate(("train", "validation"))]  # fmt: skip
    sizes = ["task.max_length=32", "task.stride=8", "task.question_length=8", "train.evaluation_examples=20"]
    return [*TINY, "task=questions", *files, *sizes, f"run.folder={folder}/runs"]


class RunInMemory:
    """What :func:`load_teacher` writes into a run."""

    def __init__(self) -> None:
        import torch

        self.device, self.data = torch.device("cpu"), list[Any]()
        self.teacher: dict[str, Any] | None = None
        self.model: dict[str, Any] = {}


def test_finetune_and_load_its_teacher(tmp_path: Path) -> None:
    settings = questions(tmp_path)
    record = perform("finetune", *settings)
    assert set(record["metrics"]) == {
        "answer_f1", "exact_match", "trivial", "above_trivial", "steps", "created"
    }  # fmt: skip
    assert [(item["role"], item["rows"], item["rows_available"]) for item in record["data"]] == [
        ("train", 48, 48), ("evaluation", 20, 48)
    ]  # fmt: skip
    home = tmp_path / "runs" / "finetune" / record["run_id"] / "model"
    model = prunekit.load(home)
    assert type(model).__name__ == "BertForQuestionAnswering"
    assert model.config.id2label == {0: "start", 1: "end"}

    config = composed("prune_fisher", *settings)
    run: Any = RunInMemory()
    teacher = load_teacher(config, run)
    assert run.teacher["value"] == record["metrics"]["answer_f1"]
    assert isinstance(teacher.encode(load_rows(config.task, "validation")), Windows)


@pytest.mark.parametrize("structure", ["learned", "dense"])
def test_cofi_takes_questions(tmp_path: Path, structure: str) -> None:
    student = [f"student.{name}" for name in (
        "held_out=12", "prune_epochs=3", "finetune_epochs=1", "batch_size=8", "evaluate_every=20",
    )]  # fmt: skip
    settings = ["sparsity=0.5", f"structure={structure}", "batch_sizes=[2]", "length=16", "repeats=1"]
    record = perform("prune_cofi", *questions(tmp_path), *student, *settings)
    assert {"answer_f1", "exact_match", "value", "speedup"} <= record["metrics"].keys()
    home = tmp_path / "runs" / "prune_cofi" / record["run_id"] / "model"
    assert type(prunekit.load(home)).__name__ == "BertForQuestionAnswering"


def test_the_best_of_the_epochs(tmp_path: Path) -> None:
    record = perform("finetune", *questions(tmp_path), "train.keep=best", "train.held_out=16", "train.epochs=2")
    assert 0 <= record["metrics"]["held_out"] <= 1


def test_a_teacher_with_another_kind_of_head(tmp_path: Path) -> None:
    classifier = perform("finetune", *TINY, "train.epochs=1", f"run.folder={tmp_path}/runs")
    folder = f"{tmp_path}/runs/finetune/{classifier['run_id']}/model"
    run: Any = RunInMemory()
    with pytest.raises(UserError) as told:
        load_teacher(composed("prune_fisher", *questions(tmp_path), f"teacher={folder}"), run)
    assert str(told.value) == (
        f"teacher: {folder} is a BertForSequenceClassification, task questions needs question answering; "
        "give a model that was fine-tuned for this task"
    )
    (tmp_path / "other").mkdir()
    reader = perform("finetune", *questions(tmp_path / "other"))
    folder = f"{tmp_path}/other/runs/finetune/{reader['run_id']}/model"
    with pytest.raises(UserError, match="is a BertForQuestionAnswering, task demo needs sequence classification"):
        load_teacher(composed("prune_fisher", *TINY, f"teacher={folder}"), run)


OF_ONE_OUTPUT = ["ablate_heads", "transfer", "prune_heads", "time_inference", "time_decoding", "benchmark"]


@pytest.mark.parametrize("verb", OF_ONE_OUTPUT)
def test_verbs_of_one_output_a_row(verb: str) -> None:
    kinds = "classification and regression" if verb == "benchmark" else "classification, regression and tags"
    expected = f"task: squad is extractive question answering, this verb takes {kinds}; `finetune`, .* and `latency_t"
    if verb == "time_decoding":
        expected = "task: squad is no translation; `time_inference` times encoders"
    with pytest.raises(UserError, match=expected):
        composed(verb, "task=squad")


@pytest.mark.parametrize("verb", ["finetune", "prune_fisher", "prune_cofi", "compress", "quantize", "latency_table"])
def test_verbs_of_questions(verb: str) -> None:
    with pytest.raises(UserError, match=f"this verb takes .*`{verb}`"):
        composed("prune_heads", "task=squad")
    assert composed(verb, "task=squad").task.questions


def test_the_line_at_the_command_line() -> None:
    assert refused("prune_heads", "task=squad").startswith("task: squad is extractive question answering, ")
