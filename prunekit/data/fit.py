"""Whether a tokenizer and the rows that it encoded fit a model: what would be read wrongly is refused here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples
from prunekit.data.tokenizers import is_built_in
from prunekit.models.input_tables import InputTables
from prunekit.support.errors import UserError

MOST_UNKNOWN = 0.5
"""Share of the words that a tokenizer may not know."""
OWN_TOKENIZER = "give the model its own tokenizer"
OTHER_MODELS = "choose scale=small, or a model that has a tokenizer (as model=minilm-l6)"


def check_vocabulary(tokenizer: Any, tables: InputTables) -> None:
    """Refuse a tokenizer with more words than the model; tokens that were added to it count once a row has them.

    Raises:
        UserError: it has.
    """
    size = int(tokenizer.vocab_size)
    if size > tables.words:
        raise UserError(
            f"{_named(tokenizer)} has {size} words, the model's table of embeddings {tables.words}; "
            "give the model its own tokenizer"
        )


def check_ids(task: str, tokenizer: Any, ids: Sequence[Sequence[int]], words: int, row_of: Sequence[int]) -> None:
    """Refuse ids without an embedding.

    Args:
        words: ids are below this.
        row_of: the row of each entry of ``ids``, for the message.

    Raises:
        UserError: an id is beyond the table (naming its row).
    """
    for example, row in enumerate(ids):
        if max(row, default=0) >= words:
            raise UserError(
                f"{_named(tokenizer)} gives token {max(row)} in row {row_of[example]} (counted from 0) of task {task}, "
                f"the model's table of embeddings ends at {words - 1}; give the model its own tokenizer"
            )


def check_words(task: str, tokenizer: Any, ids: Sequence[Sequence[int]]) -> None:
    """Refuse a tokenizer that does not know most of the words: a model would be trained and scored on blanks.

    Raises:
        UserError: it does not.
    """
    unknown = tokenizer.unk_token_id
    if unknown is None:
        return
    flat = np.fromiter(chain.from_iterable(ids), np.int64)
    others = [number for number in tokenizer.all_special_ids if number != unknown]
    text = flat[~np.isin(flat, others)]
    share = float((text == unknown).mean()) if len(text) else 0.0
    if share <= MOST_UNKNOWN:
        return
    right = f"it has those of the built-in data alone, {OTHER_MODELS}" if is_built_in(tokenizer) else OWN_TOKENIZER
    raise UserError(f"{_named(tokenizer)} does not know {share:.0%} of the words of task {task}; {right}")


def check_length(task: TaskConfig, tokenizer: Any, positions: int) -> None:
    """Refuse inputs longer than the model.

    Raises:
        UserError: ``task.max_length`` is more than the model has positions for.
    """
    if task.max_length > positions:
        hint = f"; for other than the built-in data {OTHER_MODELS}"
        raise UserError(
            f"task.max_length: {task.max_length} is more than the {positions} positions of this model, "
            f"give task.max_length={positions} or less{hint if is_built_in(tokenizer) else ''}"
        )


def fitted(examples: Examples, tables: InputTables) -> Examples:
    """The examples as a model reads them: no wider than its positions, and with token types only where it tells them
    apart.

    Raises:
        UserError: a token type beyond the model's.
    """
    types = examples.token_type_ids
    if types is not None and tables.token_types < 2:  # all tokens are of the one type that there is
        types = None
    most = max((max(row, default=0) for row in types), default=0) if types is not None else 0
    if types is not None and most >= tables.token_types:
        raise UserError(
            f"task {examples.rows.task.name}: token type {most} in the input, the model has {tables.token_types}; "
            "give the model its own tokenizer"
        )
    return dataclasses.replace(examples, token_type_ids=types, widest=tables.positions)


def _named(tokenizer: Any) -> str:
    name = tokenizer.name_or_path
    if is_built_in(tokenizer):
        return "the built-in tokenizer"
    return f"tokenizer of {name}" if name else "the tokenizer that the training data gave"
