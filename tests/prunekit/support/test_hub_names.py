"""Which names the Hub is not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_there


@pytest.mark.parametrize("name", ["./a", "../a", "/a/b", "~/a", "a/b/c", "runs/nothing"])
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
