"""A pruned model, written into a shape of stock transformers; see :mod:`prunekit.models.export.stock_shape`."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from prunekit.models.blocks import AttentionBlock, FFNBlock
from prunekit.models.empty_sublayers import SkippedNorm
from prunekit.models.export.stock_shape import LayerParts, StockShape, layers_of, new_stock, outer_names
from prunekit.models.families.anatomy import Encoder
from prunekit.models.families.table import family_of
from prunekit.models.residual import embedding_writer
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def stock_model(model: PreTrainedModel, shape: StockShape) -> PreTrainedModel:
    """A model of a stock class that computes what ``model`` computes, in eval mode, of its dtype and on its device.

    Raises:
        UserError: the first sublayer is gone with its LayerNorm, and nothing before it has one.
    """
    with no_init_weights():
        stock: Any = new_stock(model, shape.config)
    stock.to(device=model.device, dtype=model.dtype)
    _write_outside(model, stock, shape.copies)
    for source, target in zip(shape.layers, layers_of(stock), strict=True):
        for block, into in zip(source.attention, target.attention, strict=True):
            _write_attention(block, into, shape.copies)
        _write_ffn(source.ffn, target.ffn, shape.copies)
    _write_norms(model, stock, shape)
    stock.tie_weights()
    if model.can_generate():
        stock.generation_config = copy.deepcopy(model.generation_config)
    written: PreTrainedModel = stock.eval()
    return written


def _write_outside(model: PreTrainedModel, stock: PreTrainedModel, copies: int) -> None:
    """Embeddings, pooler and task head: what writes the stream writes every copy, all else reads the first one."""
    source, target, writers = model.state_dict(), stock.state_dict(), _writers(model)
    for name in outer_names(model):
        tensor = source[name]
        if copies > 1 and name in writers:
            tensor = torch.cat([tensor] * copies, dim=writers[name])
        _write(target[name], tensor)


def _writers(model: PreTrainedModel) -> dict[str, int]:
    """Tensors outside of the layers that write the stream, and in which dimension they have it."""
    family = family_of(model.config)
    if not isinstance(family, Encoder):
        return {}
    writer = embedding_writer(model)
    own = {id(tensor): 0 for tensor in writer.parameters()}
    if isinstance(writer, nn.LayerNorm):
        tables = dict(model.base_model.named_modules())
        own |= {id(tables[path].weight): 1 for path in family.residual.tables if path in tables}
    return {name: own[id(tensor)] for name, tensor in model.named_parameters() if id(tensor) in own}


def _write(target: Tensor, tensor: Tensor) -> None:
    """Into the first rows and columns; the rest is zeros."""
    target.zero_()
    target[tuple(slice(size) for size in tensor.shape)] = tensor


def _write_attention(block: AttentionBlock, into: AttentionBlock, copies: int) -> None:
    size, room = block.head_size, into.head_size
    assert into.q is not None and into.k is not None and into.v is not None
    # attention divides by the root of the head size, which has grown with the zeros
    places = _places(block)
    factors = (math.sqrt(room / size) if room != size else 1.0, 1.0, 1.0)
    for source, target, factor in zip((block.q, block.k, block.v), (into.q, into.k, into.v), factors, strict=True):
        target.weight.zero_()
        target.bias.zero_()
        if source is not None:
            inputs = source.in_features
            by_head = target.weight.view(-1, room, target.in_features)
            by_head[places, :size, :inputs] = source.weight.view(-1, size, inputs) * factor
            target.bias.view(-1, room)[places, :size] = source.bias.view(-1, size) * factor
    output: Any = into.o
    output.weight.zero_()
    if block.heads:
        projection: Any = block.o
        spread = output.weight.new_zeros(projection.out_features, output.in_features)
        spread.view(len(spread), -1, room)[:, places, :size] = projection.weight.view(len(spread), -1, size)
        output.weight.copy_(_copied(spread, copies))
    _write_bias(output, block.o, copies)


def _places(block: AttentionBlock) -> Tensor:
    """(head,): where heads go. Those with a bias outside their projections stay where the table of it has them."""
    if block.paths.bias is None or not block.heads:
        return torch.arange(block.heads)
    remaining: Tensor = attrgetter(block.paths.computing)(block.module).remaining
    return remaining


def _write_ffn(block: FFNBlock, into: FFNBlock, copies: int) -> None:
    first, second = into.ffn_in, into.ffn_out
    assert isinstance(first, nn.Linear) and isinstance(second, nn.Linear)
    if block.neurons:
        own_first: Any = block.ffn_in
        own_second: Any = block.ffn_out
        _write(first.weight, own_first.weight)
        _write(first.bias, own_first.bias)
        _write(second.weight, _copied(own_second.weight, copies))
    else:
        for tensor in (first.weight, first.bias, second.weight):
            tensor.zero_()
    _write_bias(second, block.ffn_out, copies)


def _write_bias(target: Any, source: Any, copies: int) -> None:
    target.bias.zero_()
    if source.bias is not None:
        target.bias.copy_(_copied(source.bias, copies))


def _copied(tensor: Tensor, copies: int) -> Tensor:
    return torch.cat([tensor] * copies)


def _write_norms(model: PreTrainedModel, stock: PreTrainedModel, shape: StockShape) -> None:
    """The LayerNorms of the layers. The input of one that is gone comes straight from the one before, as the sublayer
    between them is gone, too: the second then takes the first one's weight and bias, which leaves the first to
    normalise only, and normalising twice is normalising once: but for eps, which is then added twice to a variance that
    the second time is near 1."""
    before: Any = None
    if isinstance(family_of(model.config), Encoder):
        writer = embedding_writer(stock)
        before = writer if isinstance(writer, nn.LayerNorm) else None
    for own, into in _norms(shape, layers_of(stock)):
        if not isinstance(own, SkippedNorm):
            into.weight.copy_(_copied(own.weight, shape.copies))
            into.bias.copy_(_copied(own.bias, shape.copies))
        elif before is None:
            raise UserError(
                f"format: the first sublayer has lost its LayerNorm, and a stock {model.config.model_type} has none "
                "before it; use format=native or format=onnx"
            )
        else:
            into.load_state_dict(before.state_dict())
            before.reset_parameters()
        before = into


def _norms(shape: StockShape, targets: list[LayerParts]) -> Iterator[tuple[Any, Any]]:
    """Of every LayerNorm of the layers, in order, the pruned model's and the stock one's."""
    for part, target in zip(shape.layers, targets, strict=True):
        yield from zip(part.norms, target.norms, strict=True)
