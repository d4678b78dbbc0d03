"""What a model costs: parameters by part, and multiply-accumulate operations (MACs)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from prunekit.architectures import family_of
from prunekit.blocks import attention_blocks, describe, ffn_blocks
from prunekit.errors import UserError

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


def cost(model: PreTrainedModel, sequence_length: int) -> Cost:
    """Parameters and MACs of a model, pruned or not.

    MACs as the released code of Kwon et al. 2022 counts them: :func:`head_macs` and :func:`neuron_macs`, at every
    call of a layer. Biases, softmax, activations, LayerNorm, residuals, embeddings and everything after the layers
    are not counted.
    """
    if sequence_length < 1:
        raise UserError(f"sequence_length: {sequence_length} is not a length, give at least 1 token")
    attentions, ffns, hidden = attention_blocks(model), ffn_blocks(model), describe(model).hidden
    every = _parameters([model])
    attention = _parameters(module for block in attentions for module in (block.q, block.k, block.v, block.o))
    ffn = _parameters(module for block in ffns for module in (block.ffn_in, block.ffn_out))
    base = model.base_model
    paths = family_of(model.config).embeddings
    embeddings = _parameters(module for name, module in base.named_modules() if name in paths)
    macs = sum(
        len(block.calls) * block.heads * head_macs(hidden, block.head_size, sequence_length) for block in attentions
    ) + sum(len(block.calls) * block.neurons * neuron_macs(hidden, sequence_length) for block in ffns)
    return Cost(
        parameters=every,
        embeddings=embeddings,
        attention=attention,
        ffn=ffn,
        other=every - embeddings - attention - ffn,
        macs=macs,
    )


def head_macs(hidden: int, head_size: int, length: int) -> int:
    """MACs of a head for one sequence: ``3Ldh + 2L²h + Lhd`` for L tokens, hidden size d and head size h."""
    return 3 * length * hidden * head_size + 2 * length * length * head_size + length * head_size * hidden


def neuron_macs(hidden: int, length: int) -> int:
    """MACs of an intermediate neuron for one sequence: ``2Ld``."""
    return 2 * length * hidden


def _parameters(modules: Iterable[nn.Module | None]) -> int:
    unique = {id(p): p.numel() for module in modules if module is not None for p in module.parameters()}
    return sum(unique.values())
