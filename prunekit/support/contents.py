"""Hashes of files and folders, by which input that was changed in place is told from what it was; without torch."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_hash(path: Path) -> str:
    """Hash of what is in a file; read once in a process as long as the file stays as it is.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    state = path.stat()  # the time of the last change, which no copy and no `touch` sets back
    return _read(str(path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def files_hash(folder: Path, files: Iterable[Path]) -> str:
    """Hash of some files below a folder: of their names in it, and of what is in them.

    Raises:
        OSError: one is not there, or cannot be read.
    """
    names = {str(path.relative_to(folder)): path for path in files}
    text = "".join(f"{name}\0{file_hash(path)}\n" for name, path in sorted(names.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@functools.lru_cache(maxsize=4096)
def _read(path: str, *state: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]
