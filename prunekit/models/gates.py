"""Soft gates on heads, neurons and sublayers, applied by hooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.models.blocks import attention_blocks, describe, ffn_blocks
from prunekit.models.masks import Masks, check_masks
from prunekit.models.residual import gate_residual
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def gated(model: PreTrainedModel, masks: Masks) -> Iterator[None]:
    """Run a model with gates; the hooks are gone afterwards, on exceptions too. Contexts can be nested.

    A head's gate multiplies its slice of the input of the attention output projection, which equals masking
    its attention weights (Michel et al. 2019, Sec. 2.3). A neuron's gate multiplies its input to the second
    FFN projection. A sublayer's gate multiplies the projection's output, bias included, before the residual;
    the LayerNorm after it stays, unless ``masks.skip_norms`` and the gate is exactly 0. The gate of a hidden
    dimension multiplies whatever is written there, see :mod:`prunekit.models.residual`. Gradients flow to float gates;
    with a batch dimension, one per example. Within ``generate``, all beams of an example have the example's gates.
    Masks may be on another device than the model.

    Raises:
        UserError: a shape that does not fit the model, or gates for another batch size than the input's.
    """
    layout = describe(model)
    check_masks(masks, layout)
    masks = masks.to(model.device)
    attentions = attention_blocks(model)
    with ExitStack() as hooks:
        if not layout.is_encoder:
            _check_examples(hooks, attentions[0].module, masks)
        for block in attentions:
            if block.heads:
                gate = masks.heads[block.kind][..., block.layer, : block.heads]
                _scale_input(hooks, block.o, gate, block.head_size, f"heads[{block.kind!r}]", block.in_decoder)
            if not block.attention_removed:
                gate = masks.layers[block.kind][..., block.layer]
                _scale_output(hooks, block.o, gate, f"layers[{block.kind!r}]", block.in_decoder)
        for ffn in ffn_blocks(model):
            if ffn.neurons:
                gate = masks.neurons[..., ffn.layer, : ffn.neurons]
                _scale_input(hooks, ffn.ffn_out, gate, 1, "neurons", ffn.in_decoder)
            if not ffn.ffn_removed:
                gate = masks.layers["ffn"][..., ffn.layer]
                _scale_output(hooks, ffn.ffn_out, gate, "layers['ffn']", ffn.in_decoder)
        if masks.hidden is not None and not _is_open(masks.hidden):
            gate_residual(hooks, model, masks.hidden, partial(_check_batch, masks.hidden, 1, name="hidden"))
        if masks.skip_norms:  # the last hooks: of what a LayerNorm gives under all other gates
            for block in attentions:
                gate = masks.layers[block.kind][..., block.layer]
                _skip_norm(hooks, block.attention_norm, gate, f"layers[{block.kind!r}]", block.in_decoder)
            for ffn in ffn_blocks(model):
                _skip_norm(hooks, ffn.ffn_norm, masks.layers["ffn"][..., ffn.layer], "layers['ffn']", ffn.in_decoder)
        yield


def _check_examples(hooks: ExitStack, encoder: nn.Module, masks: Masks) -> None:
    """A decoder may have several rows for an example, so gates for another batch show only where the encoder begins."""
    named = [(f"heads[{kind!r}]", mask, 2) for kind, mask in masks.heads.items()]
    named += [("neurons", masks.neurons, 2), *((f"layers[{kind!r}]", mask, 1) for kind, mask in masks.layers.items())]

    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        for name, mask, own in named:
            if mask.dim() > own:
                _check_batch(mask, mask.dim() - 1, inputs[0], name)

    hooks.callback(encoder.register_forward_pre_hook(hook).remove)


def _scale_input(
    hooks: ExitStack, projection: nn.Module, gate: Tensor, size: int, name: str, in_decoder: bool
) -> None:
    """Multiply every run of ``size`` features by its entry of the gate: (units,), (batch[, token], units)."""
    if _is_open(gate):
        return

    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        features, *rest = inputs
        factor = _by_row(gate, 1, features, name, in_decoder).to(features.dtype).repeat_interleave(size, dim=-1)
        if factor.dim() == 2:
            factor = factor.unsqueeze(1)
        return (features * factor, *rest)

    hooks.callback(projection.register_forward_pre_hook(hook).remove)


def _scale_output(hooks: ExitStack, projection: nn.Module, gate: Tensor, name: str, in_decoder: bool) -> None:
    """Multiply the output by a gate of shape () or (batch,)."""
    if _is_open(gate):
        return

    def hook(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return output * _by_row(gate, 0, output, name, in_decoder).to(output.dtype).reshape(-1, 1, 1)

    hooks.callback(projection.register_forward_hook(hook).remove)


def _skip_norm(hooks: ExitStack, norm: nn.Module, gate: Tensor, name: str, in_decoder: bool) -> None:
    """Give the input of a LayerNorm back where the gate of its sublayer, () or (batch,), is 0."""
    if bool((gate != 0).all()):
        return

    def hook(_module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        off = _by_row(gate, 0, output, name, in_decoder) == 0
        return torch.where(off.reshape(-1, 1, 1), inputs[0], output)

    hooks.callback(norm.register_forward_hook(hook).remove)


def _is_open(gate: Tensor) -> bool:
    """A bool mask that keeps everything needs no hook."""
    return gate.dtype == torch.bool and bool(gate.all())


def _by_row(gate: Tensor, own: int, features: Tensor, name: str, in_decoder: bool) -> Tensor:
    """The gate for the rows of features; beams of an example, which follow each other, share its gate."""
    if in_decoder and gate.dim() == own + 1 and len(features) % max(len(gate), 1) == 0:
        gate = gate.repeat_interleave(len(features) // max(len(gate), 1), 0)
    _check_batch(gate, own, features, name)
    return gate


def _check_batch(gate: Tensor, own: int, features: Tensor, name: str) -> None:
    leading = gate.shape[: gate.dim() - own]
    if leading and leading != features.shape[: len(leading)]:
        given, wanted = tuple(leading), tuple(features.shape[: len(leading)])
        raise UserError(f"masks.{name} has gates for a batch of {given}; the model's input is {wanted}")
