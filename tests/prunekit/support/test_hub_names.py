"""Which names the Hub is not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_no_folder_of_runs, check_there, no_model


@pytest.mark.parametrize("name", ["./a", "../a", "/a/b", "~/a", "a/b/c", "a b", "runs/nothing"])
@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_folder_that_is_not_there(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "finetune" / "0").mkdir(parents=True)
    (tmp_path / "runs" / "finetune" / "0" / "config.yaml").touch()
    with pytest.raises(UserError, match=f"^teacher: {name}: not a folder, .*; give the folder of a {kind}$"):
        check_there(name, "teacher", kind)


def test_what_may_be_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beside a clone in a folder of its owner's name, or in one where runs might be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "here" / "onnx").mkdir(parents=True)
    (tmp_path / "owner" / "here" / "config.json").touch()
    (tmp_path / "runs").mkdir()
    for name in ("bert-base-uncased", "nobody/nothing", "owner/here", "./owner/here", "owner/there", "runs/nothing"):
        check_there(name)


def test_a_folder_of_runs_is_told_from_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example is of a run that has its model, which the first here has not."""
    monkeypatch.chdir(tmp_path)
    for run in ("finetune/0", "finetune/1", "transfer/2"):
        Path("runs", run).mkdir(parents=True)
        Path("runs", run, "config.yaml").touch()
    Path("runs/finetune/1/model").mkdir()
    Path("runs/finetune/1/model/config.json").touch()
    for folder in ("runs", "runs/finetune"):
        with pytest.raises(UserError) as told:
            check_no_folder_of_runs(Path(folder), "source")
        wanted = f"source: {folder} is a folder of runs; give one of them, such as runs/finetune/1"
        assert str(told.value) == wanted
        assert no_model(Path(folder)) == (
            "a folder of runs; give the model of one of them, such as runs/finetune/1/model"
        )
    assert no_model(Path("runs/finetune/1")) == "a run; give its model, runs/finetune/1/model"
    for other in ("runs/finetune/0", "runs/transfer", "runs/finetune/1/model"):
        assert no_model(Path(other)) == "no readable config.json; give the folder of a saved model"
    check_no_folder_of_runs(Path("runs/finetune/1"), "source")
