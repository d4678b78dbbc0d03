"""Inputs of a task's longest length with random tokens and answers: nothing is read and nothing downloaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds.questions import Answer, Windows
from prunekit.data.kinds.translation import Pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FIRST_WORD = 5
"""Below it are the special tokens of the families."""


def random_examples(model: PreTrainedModel, task: TaskConfig, rows: int, seed: int) -> Examples:
    """So many examples of ``task.max_length`` tokens, none of which is padding.

    Of questions every row has one window, and an answer of one token; of translation targets are as long as sources.
    """
    generator = np.random.default_rng(seed)
    length, words, config = task.max_length, int(model.config.vocab_size), model.config
    ids = generator.integers(FIRST_WORD, words, (rows, length)).tolist()
    types = [[0] * length for _ in ids] if getattr(config, "type_vocab_size", 0) > 1 else None
    pad = int(config.pad_token_id or 0)
    texts: list[tuple[str, ...]] = [("random", str(row)) for row in range(rows)]
    if task.questions:
        return _windows(task, ids, types, pad, generator)
    if task.translation:
        targets = generator.integers(FIRST_WORD, words, (rows, length)).tolist()
        said = Rows(task, task.train, texts, np.asarray([""] * rows, dtype=object), rows)
        return Pairs(said, ids, None, pad, targets, tokenizer=None)
    labels: Any = generator.integers(0, max(1, len(task.labels)), rows)
    if task.regression:
        labels = generator.uniform(0, 5, rows)
    return Examples(Rows(task, task.train, texts, labels, rows), ids, types, pad)


def _windows(
    task: TaskConfig, ids: list[list[int]], types: list[list[int]] | None, pad: int, generator: np.random.Generator
) -> Windows:
    """A question of half the tokens at most, and a context whose words have one character and one token each."""
    rows, length = len(ids), task.max_length
    first = min(task.question_length, length // 2)
    places = np.arange(length - first, dtype=np.int32)
    offsets = np.stack([2 * places, 2 * places + 1], 1)
    chosen = generator.integers(0, len(places), rows)
    answers = np.empty(rows, dtype=object)
    for row, place in enumerate(chosen.tolist()):
        answers[row] = (Answer("x", 2 * place),)
    texts: list[tuple[str, ...]] = [("random", " ".join("x" * len(places)))] * rows
    asked = Rows(task, task.train, texts, answers, rows)
    where = (first + chosen).astype(np.int64)
    return Windows(
        asked, ids, types, pad, np.arange(rows), np.full(rows, first), [offsets] * rows, where, where,
    )  # fmt: skip
