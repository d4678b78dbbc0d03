"""Gold answers of extractive questions, checked against their contexts (Rajpurkar et al. 2016, SQuAD)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from prunekit.config.task import TaskConfig
from prunekit.support.errors import UserError


class Answer(NamedTuple):
    """A span of the context."""

    text: str
    start: int
    """Its first character's place in the context."""


def gold_answers(task: TaskConfig, where: str, texts: list[tuple[str, ...]], column: list[Any]) -> np.ndarray:
    """The answer column, ``{"text": [...], "answer_start": [...]}`` a row, as (rows,) tuples of :class:`Answer`.

    A row without an answer has an empty tuple, where the task allows that.

    Raises:
        UserError: an answer is missing, malformed, or not in the context at its place (names the row).
    """
    gold = np.empty(len(column), dtype=object)
    for row, ((_, context), entry) in enumerate(zip(texts, column, strict=True)):
        try:
            pairs = zip(entry["text"], entry["answer_start"], strict=True)
            answers = tuple(Answer(text, int(start)) for text, start in pairs)
        except (TypeError, KeyError, ValueError):
            raise UserError(
                f"{where}, row {row}: {task.label} {entry!r} should be "
                '{"text": ["as in the context", ...], "answer_start": [its first character, ...]}'
            ) from None
        for text, start in answers:
            if not isinstance(text, str) or not text or start < 0 or not context.startswith(text, start):
                raise UserError(
                    f"{where}, row {row}: the answer {text!r} is not in the context at answer_start {start}, "
                    f"there is {context[max(start, 0) : max(start, 0) + len(str(text))]!r}"
                )
        if not answers and task.no_answer is None:
            raise UserError(f"{where}, row {row}: no answer; task.no_answer=0 takes questions without one")
        gold[row] = answers
    return gold
