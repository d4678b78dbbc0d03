"""The shape in which stock transformers can hold a pruned model, and what does not fit it without zeros.

A stock model has one hidden size D, in every layer n heads of size D / n and one number of neurons, and a LayerNorm
after every sublayer. A pruned one is written in the smallest such shape that holds it:

- heads and neurons that a layer lacks are zeros; heads may be wider than they were, with zeros, too;
- a layer of which nothing is left, its LayerNorms neither, is left out;
- mean and variance of a LayerNorm change with zeros in the stream. Where dimensions of the stream are gone, D is their
  number, or a multiple of it where heads or a pooler need more: every dimension is then in the stream several times,
  which leaves mean and variance as they are. As often as there are heads is always enough, for a prime number, too.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from prunekit.models.blocks import (
    AttentionBlock,
    FFNBlock,
    attention_blocks,
    attention_for_transformers,
    describe,
    ffn_blocks,
)
from prunekit.models.empty_sublayers import SkippedNorm
from prunekit.models.families.anatomy import Encoder, Stack
from prunekit.models.families.table import family_of, task_head
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

BARE = "Model"
"""The task head of models without one."""
MOST_WEIGHTS = 10**9
"""Of a model whose stream is there several times: 4 GB of float32, which are built, written and read again."""


@dataclass(frozen=True, eq=False)
class LayerParts:
    """One physical layer with its sublayers."""

    attention: tuple[AttentionBlock, ...]
    ffn: FFNBlock

    @property
    def norms(self) -> list[nn.Module]:
        """Its LayerNorms, in order, or what is in their place."""
        return [*(block.attention_norm for block in self.attention), self.ffn.ffn_norm]

    @property
    def gone(self) -> bool:
        """Whether the layer gives its input back."""
        return all(isinstance(norm, SkippedNorm) for norm in self.norms)


@dataclass(frozen=True)
class StockShape:
    """Where a pruned model goes."""

    config: PreTrainedConfig
    """Of a stock model."""
    copies: int
    """How often the stream has each of its dimensions."""
    layers: tuple[LayerParts, ...]
    """Of the pruned model, those that are written."""
    lost: tuple[str, ...]
    """Where the stock model is larger than the pruned one, a phrase each; nowhere if empty."""

    @property
    def inexact(self) -> str:
        """Why outputs may differ, to be put behind how much they do; nothing where no LayerNorm is filled in."""
        norms = [norm for part in self.layers for norm in part.norms]
        if not any(isinstance(norm, SkippedNorm) for norm in norms):
            return ""
        eps = max(norm.eps for norm in norms if isinstance(norm, nn.LayerNorm))
        return f" (LayerNorms that are gone are filled in, which with their eps of {eps:g} is not exact)"


def layers_of(model: PreTrainedModel) -> list[LayerParts]:
    """The physical layers of a model, pruned or not, an encoder-decoder's encoder first."""
    attention = attention_blocks(model)
    return [
        LayerParts(tuple(block for block in attention if block.module is ffn.module), ffn) for ffn in ffn_blocks(model)
    ]


def outer_names(model: PreTrainedModel) -> list[str]:
    """Names in the state dict of what is in no layer: embeddings, pooler, task head."""
    inside = {part.ffn.module for part in layers_of(model)}
    prefixes = tuple(f"{name}." for name, module in model.named_modules() if module in inside)
    return [name for name in model.state_dict() if not name.startswith(prefixes)]


def stock_shape(model: PreTrainedModel) -> StockShape:
    """The smallest shape of stock transformers that holds a model, of copies of its stream the fewest.

    Raises:
        UserError: a model without a task head whose stream would be there several times, a LayerNorm is gone whose
            place cannot be filled, or a part is larger than the configuration says.
    """
    check_skipped(model)
    layers = tuple(_remaining(model))
    hidden, stacks = describe(model).hidden, family_of(model.config).stacks
    # this many hold as many heads as before, each as wide as the whole stream was
    enough = max(getattr(model.config, stack.heads) for stack in stacks) * math.ceil(model.config.hidden_size / hidden)
    config = copy.deepcopy(model.config)
    if hasattr(config, "prunekit"):
        del config.prunekit

    def shaped(least: int) -> tuple[int, dict[str, torch.Size]]:
        """The fewest copies, ``least`` or more, among which the heads fit, and all shapes of a model with them."""
        for copies in range(least, enough + 1):
            config.hidden_size = copies * hidden
            if all(_fill_sizes(config, stack, layers, getattr(model.config, stack.heads)) for stack in stacks):
                break
        return copies, stock_shapes(model, config)

    copies, shapes = shaped(1)
    if _too_large(model, shapes) and copies < enough:
        copies, shapes = shaped(_copies_for_outside(model, (copies, shapes), shaped(enough)))
    if too_large := _too_large(model, shapes):
        raise UserError(
            f"format: a stock {model.config.model_type} of this configuration has no room for {', '.join(too_large)}; "
            "use format=native or format=onnx"
        )
    weights = sum(shape.numel() for shape in shapes.values())
    if copies > 1 and weights > MOST_WEIGHTS:
        raise UserError(
            f"format: padded it would have {copies} copies of each of its {hidden} hidden dimensions and "
            f"{weights / 1e9:.1f} billion weights, of {model.num_parameters() / 1e9:.2f}; use format=native "
            "or format=onnx"
        )
    if copies > 1 and task_head(model) == BARE:
        raise UserError(
            f"format: a {type(model).__name__} gives its stream, {hidden} numbers a token, of which a stock one needs "
            f"{copies} copies; give the model with its task head, or use format=native or format=onnx"
        )
    return StockShape(config, copies, layers, tuple(_lost(model, config, copies, layers, shapes)))


def check_skipped(model: PreTrainedModel) -> None:
    """Refuse removed sublayers without LayerNorm where a stock model's LayerNorm cannot be made to give its input back.

    Raises:
        UserError: layers that are shared, or an encoder-decoder's of which something is left.
    """
    family = family_of(model.config)
    in_groups = "num_hidden_groups" in family.sizes
    for part in layers_of(model):
        some = any(isinstance(norm, SkippedNorm) for norm in part.norms)
        if some and (in_groups or not (isinstance(family, Encoder) or part.gone)):
            raise UserError(
                f"format: layer {part.ffn.layer} has lost a LayerNorm, which stock {model.config.model_type} cannot do "
                "without there; use format=native or format=onnx"
            )


def _remaining(model: PreTrainedModel) -> list[LayerParts]:
    """Without layers of which nothing is left; of a stack one at least."""
    layers = layers_of(model)
    remaining = [part for part in layers if not part.gone]
    for decoder in sorted({part.ffn.in_decoder for part in layers}):
        if not any(part.ffn.in_decoder == decoder for part in remaining):
            remaining.append(next(part for part in layers if part.ffn.in_decoder == decoder))
    return sorted(remaining, key=layers.index)


def _fill_sizes(config: Any, stack: Stack, layers: tuple[LayerParts, ...], before: int) -> bool:
    """Give the configuration the sizes of a stack that had ``before`` heads; False if no number of heads holds what is
    left."""
    own = [part for part in layers if part.ffn.in_decoder == stack.decoder]
    if all(len(part.ffn.calls) == 1 for part in own):  # shared layers all stay
        setattr(config, stack.depth, len(own))
    setattr(config, stack.neurons, max(1, *(part.ffn.neurons for part in own)))
    blocks = [block for part in own for block in part.attention]
    size, most = blocks[0].head_size, max(1, *(block.heads for block in blocks))
    exactly = [most] if most * size == config.hidden_size else []
    choices = chain(exactly, [before], range(most, config.hidden_size + 1))
    if any(paths.bias for paths in stack.attention):  # its table has every head of the unpruned model
        choices = chain([before])
    for heads in choices:
        if heads >= most and config.hidden_size % heads == 0 and config.hidden_size // heads >= size:
            setattr(config, stack.heads, heads)
            return True
    return False


def _copies_for_outside(
    model: PreTrainedModel, few: tuple[int, dict[str, torch.Size]], many: tuple[int, dict[str, torch.Size]]
) -> int:
    """How often the stream has to be there for the room that embeddings, pooler and task head need; as often as in
    ``many`` where that is not enough.

    Args:
        few, many: copies, and the shapes of a stock model with them: every dimension is linear in their number.
    """
    own, (low, narrow), (high, wide) = model.state_dict(), few, many
    least = low
    for name in outer_names(model):
        for have, at_low, at_high in zip(own[name].shape, narrow.get(name, ()), wide.get(name, ()), strict=False):
            if at_low < have <= at_high:
                least = max(least, low + math.ceil((have - at_low) * (high - low) / (at_high - at_low)))
            elif have > at_high:
                return high
    return least


def _too_large(model: PreTrainedModel, shapes: dict[str, torch.Size]) -> list[str]:
    """Tensors of embeddings, pooler and task head that have no room in a stock model of these shapes."""
    own = model.state_dict()
    return [
        name
        for name in outer_names(model)
        if name not in shapes or any(have > room for have, room in zip(own[name].shape, shapes[name], strict=True))
    ]


def new_stock(model: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
    """A stock model of the same class, with the attention that transformers has for it."""
    architecture: Any = type(model)
    how = attention_for_transformers(config, model.config._attn_implementation)
    stock: PreTrainedModel = architecture._from_config(config, attn_implementation=how)
    return stock


def stock_shapes(model: PreTrainedModel, config: PreTrainedConfig) -> dict[str, torch.Size]:
    """Of every tensor of a stock model of the same class."""
    with torch.device("meta"):
        stock = new_stock(model, config)
    return {name: tensor.shape for name, tensor in stock.state_dict().items()}


def _lost(
    model: PreTrainedModel, config: Any, copies: int, layers: tuple[LayerParts, ...], shapes: dict[str, torch.Size]
) -> list[str]:
    lost = []
    hidden = describe(model).hidden
    if copies > 1:
        lost.append(f"hidden size {hidden}: every dimension is there {copies} times, {config.hidden_size} in all")
    for stack in family_of(model.config).stacks:
        own = [part for part in layers if part.ffn.in_decoder == stack.decoder]
        for paths in stack.attention:
            blocks = [block for part in own for block in part.attention if block.kind == paths.kind]
            if any(block.heads * block.head_size != config.hidden_size for block in blocks):
                counts, heads = ", ".join(str(block.heads) for block in blocks), getattr(config, stack.heads)
                width = config.hidden_size // heads
                wider = "" if width == blocks[0].head_size else f" of size {width} instead of {blocks[0].head_size}"
                lost.append(f"{paths.kind} heads by layer {counts}: each layer has {heads}{wider}")
        neurons = [part.ffn.neurons for part in own]
        if any(count != getattr(config, stack.neurons) for count in neurons):
            counts, where = ", ".join(map(str, neurons)), " of the decoder" if stack.decoder else ""
            lost.append(f"neurons{where} by layer {counts}: each layer has {getattr(config, stack.neurons)}")
    if copies == 1:
        own_state = model.state_dict()
        for name in outer_names(model):
            if shapes[name] != own_state[name].shape:
                lost.append(f"{name} of {tuple(own_state[name].shape)}: it is {tuple(shapes[name])}")
    return lost
