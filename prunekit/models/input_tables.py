"""How much of an input a model has rows for: in its tables of positions, of words and of token types."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from prunekit.models.families.anatomy import Encoder
from prunekit.models.families.table import family_of
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class InputTables:
    """Sizes of a model's embedding tables."""

    positions: int
    """The most tokens of an input."""
    places: int
    """The most places of an input with its padding: more than ``positions`` where padding has a position of its own."""
    words: int
    """Token ids are below this."""
    target_words: int
    """Of an encoder-decoder's targets; of an encoder as ``words``."""
    token_types: int
    """Token types are below this; 0 where the family has none."""


def input_tables(model: PreTrainedModel) -> InputTables:
    """Of a task model or base model of the architecture table, pruned or not."""
    family = family_of(model.config)
    places = positions = int(model.config.max_position_embeddings)
    if not isinstance(family, Encoder):
        words: int = attrgetter("num_embeddings")(model.get_input_embeddings())
        output: Any = model.get_output_embeddings()
        return InputTables(positions, places, words, words if output is None else output.out_features, 0)
    tables = [attrgetter(path)(model.base_model) for path in family.residual.tables]
    embeddings, own, *types = tables
    if own.padding_idx is not None:  # RoBERTa counts positions from the padding id on
        positions -= own.padding_idx + 1
        if model.config.pad_token_id != own.padding_idx:  # MPNet's is 1 for any tokenizer: then padding counts, too
            places = positions
    words = embeddings.num_embeddings
    return InputTables(positions, places, words, words, types[0].num_embeddings if types else 0)


def positions(model: PreTrainedModel) -> int:
    """The most tokens that the model has positions for."""
    return input_tables(model).positions


def check_length(setting: str, tokens: int, model: PreTrainedModel) -> None:
    """Refuse a number of tokens that the model has no positions for.

    Raises:
        UserError: it has too few (naming the setting).
    """
    if tokens > (most := positions(model)):
        raise UserError(f"{setting}: {tokens} tokens are too many, this model has {most} positions")
