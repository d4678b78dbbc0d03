"""What the models of a run answer: written part by part, so that an interrupted run finds what it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prunekit.evaluation.row_answers import AnswerSheet, RowAnswers, joined, spelled
from prunekit.runs.schema.answer_file import FILE, read_answers, write_answers
from prunekit.support.files import remove
from prunekit.training import processes

Models = Sequence[Mapping[str, Any]]


class AnswerParts:
    """Answers of a run in its folder: a file a part while it goes on, all of them together at its end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.parts = folder / "answers"
        """Only an interrupted run needs it."""
        self._used: dict[Path, None] = {}

    def add(self, role: str, models: Models, answers: RowAnswers) -> None:
        """Keep what models answer.

        Args:
            role: of the rows, as the record's data has it.
            models: what tells each from the others of the role.
        """
        if processes.rank() > 0:
            return  # the record is the first one's
        path = self._path(role, models)
        write_answers(path, {role: AnswerSheet(tuple(models), answers)})
        self._used[path] = None

    def has(self, role: str, models: Models) -> bool:
        """Whether an interrupted run has kept that; it is then a part of this one."""
        path = self._path(role, models)
        try:
            read_answers(path)
        except (OSError, ValueError):
            return False
        self._used[path] = None
        return True

    def forget(self) -> None:
        """What an interrupted run has kept was of other rows or weights."""
        remove(self.parts)

    def join(self) -> dict[str, AnswerSheet]:
        """Write all parts together, and return them by role."""
        by_role: dict[str, list[AnswerSheet]] = {}
        for path in self._used:
            for role, sheet in read_answers(path).items():
                by_role.setdefault(role, []).append(sheet)
        sheets = {role: joined(own) for role, own in by_role.items()}
        if sheets:
            write_answers(self.path, sheets)
        return sheets

    def _path(self, role: str, models: Models) -> Path:
        names = "\n".join([role, *map(spelled, models)])
        return self.parts / f"{hashlib.sha256(names.encode()).hexdigest()[:16]}.npz"
