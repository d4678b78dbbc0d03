"""Soft gates on heads, neurons and sublayers, applied by hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.blocks import attention_blocks, describe, ffn_blocks
from prunekit.errors import UserError
from prunekit.masks import Masks
from prunekit.residual import gate_residual

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def gated(model: PreTrainedModel, masks: Masks) -> Iterator[None]:
    """Run a model with gates; the hooks are gone afterwards, on exceptions too. Contexts can be nested.

    A head's gate multiplies its slice of the input of the attention output projection, which equals masking
    its attention weights (Michel et al. 2019, Sec. 2.3). A neuron's gate multiplies its input to the second
    FFN projection. A sublayer's gate multiplies the projection's output, bias included, before the residual;
    the LayerNorm after it stays. The gate of a hidden dimension multiplies whatever is written there, see
    :mod:`prunekit.residual`. Gradients flow to float gates; with a batch dimension, one per example.

    Raises:
        UserError: a shape that does not fit the model, or gates for another batch size than the input's.
    """
    masks.check(describe(model))
    with ExitStack() as hooks:
        for block in attention_blocks(model):
            if block.heads:
                gate = masks.heads[block.kind][..., block.layer, : block.heads]
                _scale_input(hooks, block.o, gate, block.head_size, f"heads[{block.kind!r}]")
            if not block.attention_removed:
                gate = masks.layers[block.kind][..., block.layer]
                _scale_output(hooks, block.o, gate, f"layers[{block.kind!r}]")
        for ffn in ffn_blocks(model):
            if ffn.neurons:
                gate = masks.neurons[..., ffn.layer, : ffn.neurons]
                _scale_input(hooks, ffn.ffn_out, gate, 1, "neurons")
            if not ffn.ffn_removed:
                _scale_output(hooks, ffn.ffn_out, masks.layers["ffn"][..., ffn.layer], "layers['ffn']")
        if masks.hidden is not None and not _is_open(masks.hidden):
            gate_residual(hooks, model, masks.hidden, partial(_check_batch, masks.hidden, 1, name="hidden"))
        yield


def _scale_input(hooks: ExitStack, projection: nn.Module, gate: Tensor, size: int, name: str) -> None:
    """Multiply every run of ``size`` features by its entry of the gate: (units,), (batch[, token], units)."""
    if _is_open(gate):
        return

    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        features, *rest = inputs
        _check_batch(gate, 1, features, name)
        factor = gate.to(features.dtype).repeat_interleave(size, dim=-1)
        if factor.dim() == 2:
            factor = factor.unsqueeze(1)
        return (features * factor, *rest)

    hooks.callback(projection.register_forward_pre_hook(hook).remove)


def _scale_output(hooks: ExitStack, projection: nn.Module, gate: Tensor, name: str) -> None:
    """Multiply the output by a gate of shape () or (batch,)."""
    if _is_open(gate):
        return

    def hook(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        _check_batch(gate, 0, output, name)
        return output * gate.to(output.dtype).reshape(-1, 1, 1)

    hooks.callback(projection.register_forward_hook(hook).remove)


def _is_open(gate: Tensor) -> bool:
    """A bool mask that keeps everything needs no hook."""
    return gate.dtype == torch.bool and bool(gate.all())


def _check_batch(gate: Tensor, own: int, features: Tensor, name: str) -> None:
    leading = gate.shape[: gate.dim() - own]
    if leading and leading != features.shape[: len(leading)]:
        given, wanted = tuple(leading), tuple(features.shape[: len(leading)])
        raise UserError(f"masks.{name} has gates for a batch of {given}; the model's input is {wanted}")
