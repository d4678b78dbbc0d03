"""Data and models of the user's own that are changed under the same name: another run, and never half of each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from prunekit.config.sections import Experiment, ModelConfig
from prunekit.config.task import TaskConfig
from prunekit.runs.local_input import local_input
from tests.support.commands import TINY, perform

CURVE = ["order=magnitude", "share=0.5"]


def words(number: int) -> str:
    """A sentence of its own, of words that the built-in tokenizer knows."""
    return " ".join(("cat", "dog")[number >> bit & 1] for bit in range(6))


def rows(flipped: bool = False) -> str:
    return "text,label\n" + "".join(f"{words(number)},{(number + flipped) % 2}\n" for number in range(64))


def own_files(folder: Path) -> list[str]:
    for name in ("train", "dev"):
        (folder / f"{name}.csv").write_text(rows())
    files = [f"task.files.train={folder}/train.csv", f"task.files.validation={folder}/dev.csv"]
    return [*TINY, "task=files", *files, "task.columns=[text]", "task.max_length=16", f"run.folder={folder}/runs"]


def test_an_edited_file_is_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*own_files(tmp_path), *CURVE]
    first = perform("prune_heads", *arguments)
    assert set(first["input"]) == {"task.files.train", "task.files.validation"}
    again = perform("prune_heads", *arguments)
    assert again == first
    assert f"finished before, on {first['finished'][:10]} " in capsys.readouterr().out.replace("\n", " ")

    (tmp_path / "dev.csv").write_text(rows(flipped=True))
    other = perform("prune_heads", *arguments)
    assert other["run_id"] != first["run_id"]
    assert other["metrics"]["baseline"] == pytest.approx(1 - first["metrics"]["baseline"])
    (tmp_path / "dev.csv").write_text(rows())
    assert perform("prune_heads", *arguments) == first

    (tmp_path / "train.csv").write_text(rows(flipped=True))
    forced = perform("prune_heads", *arguments, "run.force=true")
    assert forced["run_id"] != first["run_id"]
    assert forced["teacher"]["run_id"] != first["teacher"]["run_id"]  # not the one of the old file
    assert forced["model"]["fingerprint"] != first["model"]["fingerprint"]


def test_a_teacher_that_is_replaced_is_another_run(tmp_path: Path) -> None:
    files = own_files(tmp_path)
    (tmp_path / "dev.csv").write_text("text,label\n" + "".join(f"{words(n)},{int(n % 4 == 0)}\n" for n in range(64)))
    taught = perform("finetune", *files)
    mine = tmp_path / "mine"
    shutil.copytree(tmp_path / "runs" / "finetune" / taught["run_id"] / "model", mine)
    (mine / "optimizer.pt").write_bytes(b"1")
    arguments = [*files, f"teacher={mine}", *CURVE]
    first = perform("prune_heads", *arguments)
    assert set(first["input"]) == {"task.files.train", "task.files.validation", "teacher"}
    assert first["model"]["fingerprint"] == taught["model"]["fingerprint"]
    (mine / "optimizer.pt").write_bytes(b"2")  # no part of the model
    assert perform("prune_heads", *arguments)["run_id"] == first["run_id"]
    weights = load_file(mine / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name].roll(1, 0).contiguous()
    save_file(weights, mine / "model.safetensors", metadata={"format": "pt"})
    other = perform("prune_heads", *arguments)
    assert other["run_id"] != first["run_id"]
    assert other["model"]["fingerprint"] != first["model"]["fingerprint"]
    assert other["metrics"]["baseline"] == pytest.approx(1 - first["metrics"]["baseline"])
    assert abs(first["metrics"]["baseline"] - 0.5) > 0.1


def test_a_run_says_which_weights_it_is_of_and_what_trained_them(tmp_path: Path) -> None:
    arguments = [*TINY, f"run.folder={tmp_path}"]
    pruned, taught = perform("prune_heads", *arguments, *CURVE), perform("finetune", *arguments)
    assert "input" not in pruned  # generated data, and a teacher of ours
    assert pruned["model"]["fingerprint"] == taught["model"]["fingerprint"]
    assert pruned["teacher"]["device"] == f"{taught['device']['name']} ({taught['device']['type']})"
    same = perform("prune_heads", *arguments, *CURVE, "dtype=float64")
    assert same["run_id"] != pruned["run_id"]
    assert same["model"]["fingerprint"] == pruned["model"]["fingerprint"]


class Own:
    """All local input that a configuration can name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("train.de", "train.en", "dev.csv", "held.csv", "set/a.parquet", "set/.git/head", "set/runs/log",
                     "model/config.json", "model/vocab.txt", "teacher/config.json", "teacher/1.safetensors",
                     ):  # fmt: skip
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(name)
        index = json.dumps({"weight_map": {"a": "1.safetensors", "b": "/etc/hostname"}})
        (folder / "teacher" / "model.safetensors.index.json").write_text(index)

    def config(self, **task: Any) -> Experiment:
        files = {"train": f"{self.folder}/train", "validation": f"{self.folder}/dev.csv", "test": "nowhere.csv",
                 "held": f"{self.folder}/held.csv"}  # fmt: skip
        data: dict[str, Any] = {"files": files, "columns": ["de", "en"], "translation": True, **task}
        return Experiment(
            model=ModelConfig(name="m", path=f"{self.folder}/model"), task=TaskConfig(name="own", **data),
            teacher=f"{self.folder}/teacher",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("file", "setting", "task"),
    [
        ("train.de", "task.files.train", {}),
        ("train.en", "task.files.train", {}),
        ("dev.csv", "task.files.validation", {}),
        ("held.csv", "task.files.held", {"selection": "held"}),
        ("set/a.parquet", "task.source", {"source": "set"}),
        ("model/config.json", "model.path", {}),
        ("model/vocab.txt", "model.path", {}),
        ("teacher/config.json", "teacher", {}),
        ("teacher/1.safetensors", "teacher", {}),
    ],
)
def test_every_local_file_counts(
    file: str, setting: str, task: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Own(tmp_path)
    before = local_input(own.config(**task))
    (tmp_path / file).write_text("as long."[: len(file)] + file[8:])
    after = local_input(own.config(**task))
    assert {name for name in before | after if before.get(name) != after.get(name)} == {setting}
    assert set(before) == set(after) >= {"model.path", "teacher"}


@pytest.mark.parametrize("file", ["set/.git/head", "set/runs/log"])
def test_what_no_data_set_reads_does_not_count(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Own(tmp_path).config(source="set")
    config.run.folder = "set/runs"
    before = local_input(config)
    (tmp_path / file).write_text("changed")
    assert local_input(config) == before and "task.source" in before


@pytest.mark.parametrize("source", ["nyu-mll/glue", "demo", "sacrebleu", "x" * 5000])
def test_what_is_not_here_does_not_count(source: str) -> None:
    config = Experiment(
        model=ModelConfig(name="m", path="sentence-transformers/all-MiniLM-L6-v2"), teacher="x" * 5000,
        task=TaskConfig(name="t", source=source),
    )  # fmt: skip
    assert local_input(config) == {}
