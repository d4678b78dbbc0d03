"""Files and folders are replaced as a whole, and what a killed process left can be told from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunekit.support.files import atomic_path, remove_leftovers


def write(path: Path, name: str) -> None:
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / name).write_text(name)


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    write(tmp_path / "model", "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]


def test_a_folder_killed_while_it_was_replaced_is_old_new_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a mixture of both: another run could not tell it from a whole one."""
    write(tmp_path / "model", "old")

    def dies(self: Path, target: Path) -> Path:
        assert not target.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "model", "new")


def test_leftovers_are_removed_at_any_depth(tmp_path: Path) -> None:
    for name in (".model.12.tmp", ".model.12.old.tmp", "tables"):
        (tmp_path / name).mkdir()
    for name in ("tables/.heads.csv.12.tmp", ".model.12.tmp/weights", "tables/heads.csv", ".hidden"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == [".hidden", "tables", "tables/heads.csv"]
