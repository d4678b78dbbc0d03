"""Which names the Hub is not asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_there


@pytest.mark.parametrize("name", ["./a", "../a", "/a/b", "~/a", "a/b/c", "runs/nothing"])
def test_a_folder_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(UserError, match=f"^teacher: {name}: not a folder, .*; give the folder of a model$"):
        check_there(name, "teacher")


def test_what_may_be_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also under the name of a folder, where its cache has it, as what it is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for folder in ("owner/here", "hub/models--owner--cached", "hub/datasets--owner--rows"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("bert-base-uncased", "nobody/nothing", "owner/here", "./owner/here", "owner/cached"):
        check_there(name)
    check_there("owner/rows", kind="dataset")
    for name, kind in (("owner/rows", "model"), ("owner/cached", "dataset"), ("owner/gone", "model")):
        with pytest.raises(UserError, match=f"^{name}: .* as owner is one, .*; give the folder of a {kind}$"):
            check_there(name, kind=kind)
