"""Masks by rule, for models of which nearly all is gone: latency depends on what is left only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.cofi.sparsity import PrunableSize
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Shape:
    """Where what remains is."""

    name: str
    hidden: float
    """Share of the hidden dimensions that stay."""
    layers: float
    """Share of the attention sublayers that stay, and of the FFN sublayers."""

    def masks(self, model: PreTrainedModel, sparsity: float) -> Masks:
        """Of a model that is not pruned; bool.

        In sublayers that stay, heads and neurons do in equal shares, a head at least; as many neurons that the
        sparsity is met as nearly as can be, one a sublayer at least.
        """
        layout, size, masks = describe(model), PrunableSize.of(model), Masks.ones(describe(model))
        [kind] = masks.heads
        heads, neurons = masks.heads[kind], masks.neurons
        hidden = _at_least_one(self.hidden * layout.hidden)
        share = (1 - sparsity) / (self.hidden * self.layers)
        heads_left = _at_least_one(share * heads.shape[1])
        sublayers = {name: _spread(len(row), self.layers) for name, row in masks.layers.items()}
        left = (1 - sparsity) * size.total / hidden - size.per_head * heads_left * int(sublayers[kind].sum())
        neurons_left = _at_least_one(left / (size.per_neuron * int(sublayers["ffn"].sum())))
        masks.hidden = torch.arange(layout.hidden) < hidden
        masks.layers = sublayers
        masks.heads = {kind: (torch.arange(heads.shape[1]) < heads_left).expand_as(heads)}
        masks.neurons = (torch.arange(neurons.shape[1]) < neurons_left).expand_as(neurons)
        return masks


def _at_least_one(number: float) -> int:
    return max(1, round(number))


def _spread(layers: int, share: float) -> Tensor:
    """A share of the layers at equal distances, one at least, the last among them: bool, (layer,)."""
    remaining = _at_least_one(share * layers)
    mask = torch.zeros(layers, dtype=torch.bool)
    mask[[math.ceil((number + 1) * layers / remaining) - 1 for number in range(remaining)]] = True
    return mask
