"""Files and folders are replaced as a whole, and what a killed process left can be told from them."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from prunekit.support.files import (
    atomic_path,
    locked,
    process_name,
    remove,
    remove_abandoned,
    remove_leftovers,
)


def write(path: Path, name: str) -> None:
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / name).write_text(name)


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    write(tmp_path / "model", "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]


def test_two_machines_that_write_one_path_write_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with atomic_path(tmp_path / "model") as own:
        monkeypatch.setattr(socket, "gethostname", lambda: "another.machine")
        with atomic_path(tmp_path / "model") as other:
            assert own != other and other.name == f".model.another.machine-{os.getpid()}.tmp"
            own.touch()
            other.touch()


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


def test_what_killed_processes_were_writing_is_removed(tmp_path: Path) -> None:
    """Of this path, and not what the others write that are at it."""
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    host = socket.gethostname()
    there, number = process_name(), int(gone.stdout)
    assert there == f"{host}-{os.getpid()}"
    dead = f"{host}-{number}"
    stay = [f".out.{there}.tmp", f".other.{dead}.tmp", f".out.{dead}.tmpl", f".out.gz.{dead}.tmp", f".out.{host}-x.tmp",
            f".out.{host}-\N{SUPERSCRIPT TWO}.tmp", ".out.\N{SUPERSCRIPT TWO}.tmp", f".out.{number}.tmp",
            f".out.another-machine-{number}.tmp"]  # fmt: skip
    for name in [*stay, f".out.{dead}.tmp", f".out.{dead}.old.tmp"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").touch()
    remove_abandoned(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {*stay, f".out.{dead}.old.tmp"}  # all that is left of it
    (tmp_path / "out").mkdir()
    remove_abandoned(tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {*stay, "out"}


def test_leftovers_are_removed_at_any_depth(tmp_path: Path) -> None:
    for name in (".model.12.tmp", ".model.12.old.tmp", "tables"):
        (tmp_path / name).mkdir()
    for name in ("tables/.heads.csv.12.tmp", ".model.12.tmp/weights", "tables/heads.csv", ".hidden"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == [".hidden", "tables", "tables/heads.csv"]


def test_who_waits_for_a_lock_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "locks" / "a.lock"
    with locked(path, "runs/verb/1"):
        pass
    assert not caplog.messages
    other = filelock.FileLock(path)
    other.acquire()

    class Ends(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            other.release()

    handler = Ends()
    logging.getLogger("prunekit.support.files").addHandler(handler)
    try:
        with locked(path, "runs/verb/1"):
            assert caplog.messages == ["runs/verb/1: another process is at it; waiting until it is done"]
    finally:
        logging.getLogger("prunekit.support.files").removeHandler(handler)


def test_what_a_link_leads_to_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    remove(tmp_path / "link", tmp_path / "nothing")
    assert not (tmp_path / "link").exists() and (tmp_path / "own" / "file").exists()
