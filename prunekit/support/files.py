"""Files that are whole or not there: everything is written beside its place and renamed into it."""

from __future__ import annotations

import glob
import json
import logging
import math
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

log = logging.getLogger(__name__)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path (file or folder) that replaces ``path`` when the block ends well and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{process_name()}.tmp")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():  # a folder does not replace another: the old one moves away as a whole
            path.rename(temporary.with_suffix(".old.tmp"))
        temporary.replace(path)
    finally:
        remove(temporary, temporary.with_suffix(".old.tmp"))


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock among processes; a line says so where another one has it.

    Args:
        path: of the lock file; its folders are created.
        what: is worked on under the lock, for that line.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        log.warning("%s: another process is at it; waiting until it is done", what)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def remove(*paths: Path) -> None:
    """Delete files, links and folders, where they are there; what a link leads to stays."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed process left half-written in a folder. Only for who holds the folder's lock."""
    remove(*list(folder.rglob(".*.tmp")))


def remove_abandoned(path: Path) -> None:
    """Delete what processes of this machine that are gone were writing for a path when they were killed.

    What one had moved away of it stays where nothing is in its place.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = left.name.removeprefix(f".{path.name}.").removesuffix(".tmp")
        if is_gone(process.removesuffix(".old")) and (not process.endswith(".old") or path.exists()):
            remove(left)


def process_name() -> str:
    """Of this process among those of all machines, and of all containers of one, that share a folder."""
    return f"{socket.gethostname()}-{os.getpid()}"


def is_gone(process: str) -> bool:
    """Whether a process of this machine had that name (:func:`process_name`) and runs no more."""
    machine, _, number = process.rpartition("-")
    if machine != socket.gethostname() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's, or no number of a process
        return False
    return False


def write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """JSON-ready copy: numpy scalars become Python's, NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
