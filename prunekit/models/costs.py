"""What a model costs: parameters by part, and multiply-accumulate operations (MACs)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from prunekit.models.blocks import attention_blocks, describe, ffn_blocks
from prunekit.models.families.encoder_decoders import CROSS
from prunekit.models.families.table import family_of
from prunekit.models.input_tables import check_length
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Cost:
    """Numbers of parameters; ``parameters`` is the sum of the other four. A shared parameter counts once."""

    parameters: int
    embeddings: int
    """Token, position and type embeddings, their LayerNorm and projection to the hidden size."""
    attention: int
    """Query, key, value and output projections."""
    ffn: int
    """Both projections of every FFN."""
    other: int
    """LayerNorms of the layers, pooler and task head."""
    macs: int
    """Of the layers, for one sequence."""


def cost(model: PreTrainedModel, sequence_length: int, target_length: int | None = None) -> Cost:
    """Parameters and MACs of a model, pruned or not.

    MACs as the released code of Kwon et al. 2022 counts them: :func:`head_macs` and :func:`neuron_macs`, at every
    call of a layer. Biases, softmax, activations, LayerNorm, residuals, embeddings and everything after the layers
    are not counted. Of an encoder-decoder: one pass over a source and a whole target, as in training; cross attention
    has its keys and values from the source.

    Args:
        sequence_length: tokens of the input; of an encoder-decoder, of the source.
        target_length: tokens of an encoder-decoder's target; None for as many as the source has.

    Raises:
        UserError: a length below 1 or above the model's positions, or a target for an encoder.
    """
    layout = describe(model)
    if layout.is_encoder and target_length is not None:
        raise UserError(f"target_length: {layout.family} is an encoder and has no target, leave it out")
    source, target = sequence_length, sequence_length if target_length is None else target_length
    for name, length in (("sequence_length", source), ("target_length", target)):
        if length < 1:
            raise UserError(f"{name}: {length} is not a length, give at least 1 token")
        check_length(name, length, model)
    attentions, ffns, hidden = attention_blocks(model), ffn_blocks(model), layout.hidden
    every = _parameters([model])
    attention = _parameters(module for block in attentions for module in (block.q, block.k, block.v, block.o))
    ffn = _parameters(module for block in ffns for module in (block.ffn_in, block.ffn_out))
    base = model.base_model
    paths = family_of(model.config).embeddings
    embeddings = _parameters(module for name, module in base.named_modules() if name in paths)
    macs = 0
    for block in attentions:
        queries = target if block.in_decoder else source
        keys = source if block.kind == CROSS else queries
        macs += len(block.calls) * block.heads * head_macs(hidden, block.head_size, queries, keys)
    for ffn_block in ffns:
        length = target if ffn_block.in_decoder else source
        macs += len(ffn_block.calls) * ffn_block.neurons * neuron_macs(hidden, length)
    return Cost(
        parameters=every,
        embeddings=embeddings,
        attention=attention,
        ffn=ffn,
        other=every - embeddings - attention - ffn,
        macs=macs,
    )


def head_macs(hidden: int, head_size: int, length: int, keys: int | None = None) -> int:
    """MACs of a head for one sequence: ``3Ldh + 2L²h + Lhd`` for L tokens, hidden size d and head size h; of cross
    attention from L tokens to K ``keys``: ``(L + 2K)dh + 2LKh + Lhd``."""
    keys = length if keys is None else keys
    projections = (length + 2 * keys) * hidden * head_size + length * head_size * hidden
    return projections + 2 * length * keys * head_size


def neuron_macs(hidden: int, length: int) -> int:
    """MACs of an intermediate neuron for one sequence: ``2Ld``."""
    return 2 * length * hidden


def head_weights(hidden: int, head_size: int) -> int:
    """Weights of one head: its part of the query, key, value and output matrices."""
    return 4 * hidden * head_size


def neuron_weights(hidden: int) -> int:
    """Weights of one FFN neuron: its row of one matrix and its column of the other."""
    return 2 * hidden


def _parameters(modules: Iterable[nn.Module | None]) -> int:
    unique = {id(p): p.numel() for module in modules if module is not None for p in module.parameters()}
    return sum(unique.values())
