"""Rows of a task's split as they were read: texts, labels, and the checks of a table that all kinds of task share."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prunekit.config.checks import near
from prunekit.config.task import TaskConfig
from prunekit.support.errors import RowError, UserError

log = logging.getLogger(__name__)

_SAMPLE_SEED = 20190525  # of evaluation samples: the same rows in every run


@dataclass(frozen=True)
class Rows:
    """Texts (one tuple of one or two strings a row) and labels: int, float for regression, for questions the gold
    answers (object, a tuple of :class:`prunekit.data.kinds.questions.Answer` a row), for translation the target
    (object, a string a row; the text is the source). For tags texts are the words of a sentence, and labels numbers of
    their tags (object, a tuple a row)."""

    task: TaskConfig
    split: str
    texts: list[tuple[str, ...]]
    labels: np.ndarray
    available: int

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int] | np.ndarray) -> Rows:
        texts = [self.texts[int(i)] for i in indices]
        return Rows(self.task, self.split, texts, self.labels[np.asarray(indices, dtype=int)], self.available)

    def sample(self, examples: int | None, seed: int = _SAMPLE_SEED) -> Rows:
        """A seeded sample without replacement, in the original order; all rows if there are no more."""
        if examples is None or examples >= len(self):
            return self
        chosen = np.random.default_rng(seed).permutation(len(self))[:examples]
        return self.take(np.sort(chosen))

    def record(self, role: str) -> dict[str, Any]:
        """How the run record names this data."""
        return {
            "role": role, "name": self.task.name, "source": source_name(self.task), "split": self.split,
            "rows": len(self), "rows_available": self.available, "fingerprint": self.fingerprint(),
        }  # fmt: skip

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for text, label in zip(self.texts, self.labels.tolist(), strict=True):
            digest.update("\x1f".join(text).encode() + f"\x1e{label}\x1d".encode())
        return digest.hexdigest()[:16]


@functools.lru_cache(maxsize=1000)
def notice(line: str) -> None:
    """Log a line about data once, however often a process reads it."""
    log.warning(line)


def check_columns(task: TaskConfig, where: str, table: Any, *, label: bool = True) -> None:
    """Refuse a table without one of the columns that the task names.

    Args:
        label: whether the label column is needed.
    """
    found = column_names(table)
    settings = dict.fromkeys(task.columns, "task.columns=[...] names those of the texts")
    if label:
        settings[task.label] = "task.label= names that of the answers"
    for column, setting in settings.items():
        if column not in found:
            names = ", ".join(found)
            raise UserError(f"{where}: no column {column!r}, {near(column, found)} (columns: {names}); {setting}")


def column_names(table: Any) -> list[str]:
    """Of a table of `datasets`, or of one by columns."""
    return list(table.column_names) if hasattr(table, "column_names") else list(table)


def checked_texts(where: str, columns: Sequence[str], table: Any) -> list[tuple[str, ...]]:
    """The text columns of a table, row by row; refuses an empty table, what is no text, and rows with none at all."""
    texts: list[tuple[str, ...]] = list(zip(*(table[column][:] for column in columns), strict=True))
    if not texts:
        raise UserError(f"{where}: the split is empty")
    for row, text in enumerate(texts):
        if not all(isinstance(part, str) for part in text):
            raise RowError(where, row, f"{list(columns)} should be text, found {text!r}")
        if not any(part.strip() for part in text):
            raise RowError(where, row, f"there is no text in {', '.join(columns)}, leave the row out")
    return texts


def source_name(task: TaskConfig) -> str:
    """Where a task's data comes from, as records say it."""
    if task.source == "files":
        return "files: " + ", ".join(Path(path).name for path in task.files.values() if path)
    return f"{task.source} {task.subset}" if task.subset else task.source
