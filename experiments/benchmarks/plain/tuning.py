"""Mask tuning the plain way, as the authors' code takes it: six passes over the data per layer, all units computed.

For every layer: the inputs of both models (at layer 0 by running whole models), both models' layer for the attention,
and both again for the FFN. LSMR solves the normal equations, with its usual tolerances.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from scipy.sparse.linalg import lsmr
from torch import Tensor

from prunekit.data.batches import Batch, model_inputs
from prunekit.forward.replay import layer_input
from prunekit.models.blocks import Block, blocks
from prunekit.models.gates import gated
from prunekit.models.masks import Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class LayerCall:
    """One batch at a layer's door."""

    x: Tensor
    """(row, token, d)"""
    others: dict[str, Any]
    """What else the layer takes."""
    real: Tensor
    """bool, (row, token), False for padding."""


@torch.no_grad()
def plain_tune(model: PreTrainedModel, masks: Masks, batches: list[Batch], assistant: Masks) -> Masks:
    """Soft masks of the heads and neurons that ``masks`` keep; stops for good at a solution that is no good."""
    layers = blocks(model)
    soft = Masks({"self": masks.heads["self"].double()}, masks.neurons.double(), masks.layers)
    fitted, own = Side(model, assistant), Side(model, soft)
    for layer, block in enumerate(layers):
        for side in (fitted, own):
            side.enter(layers[layer - 1] if layer else None, batches)
        for sublayer, row in (("attention", soft.heads["self"][layer]), ("ffn", soft.neurons[layer])):
            remaining = row.nonzero().flatten()
            if not len(remaining) or (sublayer, layer) == ("attention", 0):
                continue
            if sublayer == "attention":
                products, moments = attention_equations(block, remaining, fitted, own)
            else:
                products, moments = ffn_equations(block, remaining, fitted, own, first_token=layer == len(layers) - 1)
            scales, stopped = solution(products, moments)
            scales = scales[: len(remaining)]
            if stopped >= 3 or scales.abs().max() > 10:
                return soft
            row[remaining] *= scales
    return soft


class Side:
    """One of the two models, on its way through the layers."""

    def __init__(self, model: PreTrainedModel, masks: Masks) -> None:
        self.model, self.masks = model, masks
        self.calls: list[LayerCall] = []

    def enter(self, before: Block | None, batches: list[Batch]) -> None:
        """Collect the inputs of the next layer, from those of the layer before."""
        with gated(self.model, self.masks):
            if before is not None:
                self.calls = [LayerCall(run_layer(before, call), call.others, call.real) for call in self.calls]
                return
            with watched_calls(blocks(self.model)[0].module) as given:
                for batch in batches:
                    self.model(**model_inputs(batch))
        reals = [batch["attention_mask"].bool() for batch in batches]
        self.calls = [LayerCall(x, others, real) for (x, others), real in zip(given, reals, strict=True)]

    def passes(self, block: Block, *modules: Any, first_token: bool = False) -> Iterator[list[Tensor]]:
        """Run a layer on all batches: the inputs that its modules then have, (token, width), without padding."""
        for call in self.calls:
            with gated(self.model, self.masks), watched_calls(*modules) as given:
                run_layer(block, call)
            yield [x[:, 0] if first_token else x[call.real] for x, _others in given]


def run_layer(block: Block, call: LayerCall) -> Tensor:
    output = block.module(call.x, **call.others)
    return output if isinstance(output, Tensor) else output[0]


@contextmanager
def watched_calls(*modules: Any) -> Iterator[list[tuple[Tensor, dict[str, Any]]]]:
    """First input and all other arguments by name, of modules as they run, in their order."""
    given: list[tuple[Tensor, dict[str, Any]]] = []

    def keep(module: Any, args: tuple[Any, ...], others: dict[str, Any]) -> None:
        names = [*inspect.signature(module.forward).parameters][1:]
        named = dict(zip(names, args[1:], strict=False)) | others
        named.pop("hidden_states", None)
        given.append((layer_input(args, others), named))

    hooks = [module.register_forward_pre_hook(keep, with_kwargs=True) for module in modules]
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


def attention_equations(block: Block, remaining: Tensor, fitted: Side, own: Side) -> tuple[Tensor, Tensor]:
    """AᵀA and Aᵀb, from A written out: each kept head's output, and a column of ones."""
    weight = block.o.get_parameter("weight").unflatten(1, (block.heads, block.head_size))[:, remaining]
    products, moments = torch.zeros(()), torch.zeros(())
    for (wanted,), (seen,), call in zip(
        fitted.passes(block, block.attention_norm), own.passes(block, block.o), own.calls, strict=True
    ):
        by_head = seen.unflatten(1, (block.heads, block.head_size))[:, remaining]
        outputs = torch.einsum("thk,dhk->tdh", by_head, weight).flatten(0, 1)
        matrix = torch.cat([outputs, torch.ones(len(outputs), 1, device=outputs.device)], 1)
        missing = wanted - block.o.get_parameter("bias") - call.x[call.real]
        products, moments = products + matrix.T @ matrix, moments + matrix.T @ missing.flatten()
    return products, moments


def ffn_equations(block: Block, kept: Tensor, fitted: Side, own: Side, first_token: bool) -> tuple[Tensor, Tensor]:
    """AᵀA and Aᵀb of the kept neurons; b is of the whole FFN, whose input is caught before neurons are masked."""
    weight = block.ffn_out.get_parameter("weight")[:, kept]
    products, moments = torch.zeros(()), torch.zeros(())
    for (other,), (y, active) in zip(
        fitted.passes(block, block.ffn_in, first_token=first_token),
        own.passes(block, block.ffn_in, block.ffn_out, first_token=first_token),
        strict=True,
    ):
        active = active[:, kept]
        wanted = other + block.ffn_out(block.activation(block.ffn_in(other)))
        missing = wanted - block.ffn_out.get_parameter("bias") - y
        products, moments = products + active.T @ active, moments + (active * (missing @ weight)).sum(0)
    return products * (weight.T @ weight), moments


def solution(products: Tensor, moments: Tensor) -> tuple[Tensor, int]:
    """Scales, and why the solver stopped (from 3 on it gave up)."""
    matrix, right = products.double().cpu().numpy(), moments.double().cpu().numpy()
    change, stopped, *_ = lsmr(matrix, right - matrix.sum(1), damp=1)
    return 1 + torch.from_numpy(change), int(stopped)
