"""Dimensions of the residual stream: gated by hooks, or removed for good.

With z a gate for every dimension, whatever is written to the stream is multiplied by z: the sum of the embeddings (or
what their projection gives), the outputs of both projections of a layer, and the outputs of the LayerNorms. Mean and
variance of a LayerNorm are over the dimensions whose gate is not 0, so that a gate of 0 is removal (CoFi, Xia et al.
2022: one mask shared by all layers). A soft gate is folded into tables, projections and LayerNorms, weight and bias;
the released code leaves the LayerNorms out and is off by what that makes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from prunekit.models.blocks import blocks
from prunekit.models.families.table import encoder_of, task_head
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_active: MutableMapping[nn.Module, list[Tensor]] = WeakKeyDictionary()
"""Gates of the contexts that a LayerNorm is in: its statistics need all of them at once."""


def gate_residual(hooks: ExitStack, model: PreTrainedModel, z: Tensor, check: Callable[[Tensor], None]) -> None:
    """Gate the stream until ``hooks`` are closed.

    Args:
        z: (hidden,) or (batch, hidden).
        check: called with whatever is about to be gated.
    """
    by_row = z.unsqueeze(1) if z.dim() == 2 else z  # against (batch, token, hidden)

    def scaled(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        check(output)
        return output * by_row.to(output.dtype)

    def normed(norm: nn.Module, inputs: tuple[Any, ...], _output: Tensor) -> Tensor:
        check(inputs[0])
        return _norm_of_remaining(norm, inputs[0], math.prod(gate.to(inputs[0].dtype) for gate in _active[norm]))

    def watch(norm: nn.Module) -> None:
        gates = _active.setdefault(norm, [])
        gates.append(by_row)
        hooks.callback(gates.pop)  # contexts end in the reverse of their order
        hooks.callback(norm.register_forward_hook(normed).remove)

    def summed(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        check(inputs[0])
        return (inputs[0] * by_row.to(inputs[0].dtype), *inputs[1:])

    projection = _projection(model)
    if projection is not None:
        hooks.callback(projection.register_forward_hook(scaled).remove)
    else:
        norm = _embedding_norm(model)
        hooks.callback(norm.register_forward_pre_hook(summed).remove)
        watch(norm)
    for block in blocks(model):
        for module in (block.o, block.ffn_out):
            hooks.callback(module.register_forward_hook(scaled).remove)
        for module in (block.attention_norm, block.ffn_norm):
            if isinstance(module, nn.LayerNorm):  # and was not skipped
                watch(module)


def embedding_writer(model: PreTrainedModel) -> nn.Module:
    """The module that writes the stream first: a projection of the embeddings, or the LayerNorm over their sum."""
    return _projection(model) or _embedding_norm(model)


def stream_readers(model: PreTrainedModel) -> list[Any]:
    """Linear layers that read the stream after the last layer.

    Raises:
        UserError: a task head that reads the embeddings again, or may read the stream in its own way.
    """
    family, head = encoder_of(model.config), task_head(model)
    own = family.task_heads[head]
    if own is None or not type(model).__module__.startswith("transformers.models."):
        reason = "reads its embeddings again at its output" if own is None else "is a class of its own"
        able = [name for name, readers in family.task_heads.items() if readers is not None]
        name, others = type(model).__name__, ", ".join(able)
        raise UserError(f"masks.hidden: {name} {reason}; hidden dimensions can go from {others}")
    return [*_parts(model, family.residual.readers), *(model.get_submodule(path) for path in own)]


def _norm_of_remaining(norm: Any, x: Tensor, z: Any) -> Tensor:
    """LayerNorm over the dimensions where z is not 0, times z: (..., hidden)."""
    mask = (z != 0).to(x.dtype)
    count = mask.sum(-1, keepdim=True)
    centred = (x - (x * mask).sum(-1, keepdim=True) / count) * mask
    variance = centred.square().sum(-1, keepdim=True) / count
    return (centred * torch.rsqrt(variance + norm.eps) * norm.weight + norm.bias) * z


@torch.no_grad()
def shrink_residual(model: PreTrainedModel, z: Tensor) -> None:
    """Cut the stream of a model in place by the masks of its dimensions, (hidden,).

    Raises:
        UserError: a language model, whose output layer is tied to the embeddings, or a class of the user's.
    """
    readers = stream_readers(model)
    remaining = (z != 0).nonzero().squeeze(1)
    gates = z[remaining]
    projection = _projection(model)
    if projection is not None:
        _keep_outputs(projection, remaining, gates)
    else:
        for table in _parts(model, encoder_of(model.config).residual.tables):
            table.weight = _like(table.weight, table.weight[:, remaining] * gates.to(table.weight))
            table.embedding_dim = len(remaining)
        _keep_norm(_embedding_norm(model), remaining, gates)
    for block in blocks(model):
        for module in (block.q, block.k, block.v, block.ffn_in):
            if isinstance(module, nn.Linear):
                _keep_inputs(module, remaining)
        for module in (block.o, block.ffn_out):
            _keep_outputs(module, remaining, gates)
        for module in (block.attention_norm, block.ffn_norm):
            _keep_norm(module, remaining, gates)
    for reader in readers:
        _keep_inputs(reader, remaining)


def _keep_inputs(linear: Any, remaining: Tensor) -> None:
    linear.weight = _like(linear.weight, linear.weight[:, remaining])
    linear.in_features = len(remaining)


def _keep_outputs(projection: Any, remaining: Tensor, gates: Tensor) -> None:
    """Of a linear layer, or of what is left of one."""
    if isinstance(projection, nn.Linear):
        factor = gates.to(projection.weight)
        projection.weight = _like(projection.weight, projection.weight[remaining] * factor[:, None])
        projection.out_features = len(remaining)
    if projection.bias is not None:
        projection.bias = _like(projection.bias, projection.bias[remaining] * gates.to(projection.bias))


def _keep_norm(norm: Any, kept: Tensor, gates: Tensor) -> None:
    if isinstance(norm, nn.LayerNorm):  # and was not skipped
        factor = gates.to(norm.weight)
        norm.weight = _like(norm.weight, norm.weight[kept] * factor)
        norm.bias = _like(norm.bias, norm.bias[kept] * factor)
    norm.normalized_shape = (len(kept),)


def _like(old: Tensor, new: Tensor) -> nn.Parameter:
    return nn.Parameter(new.contiguous(), requires_grad=old.requires_grad)


def _projection(model: PreTrainedModel) -> nn.Module | None:
    """What brings embeddings to the hidden size, if the model has it."""
    path = encoder_of(model.config).residual.projection
    modules = _parts(model, (path,)) if path else []
    return modules[0] if modules else None


def _embedding_norm(model: PreTrainedModel) -> nn.Module:
    return model.base_model.get_submodule(encoder_of(model.config).residual.norm)


def _parts(model: PreTrainedModel, paths: tuple[str, ...]) -> list[Any]:
    """The modules of the base model and of the task head at these paths; those that are there."""
    there = {**dict(model.named_modules()), **dict(model.base_model.named_modules())}
    return [there[path] for path in paths if path in there]
