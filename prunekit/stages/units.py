"""Numbers for every head and every neuron of an encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prunekit.models.masks import Masks


@dataclass(frozen=True)
class UnitTensors:
    """One number, or one for each example, per head and per neuron.

    Rows are physical layers, as in :class:`prunekit.Masks`: a shared layer of ALBERT is one row, and where layers
    of a pruned model differ in width, units that do not exist are 0.
    """

    heads: Tensor
    """``(..., layer, head)``"""
    neurons: Tensor
    """``(..., layer, neuron)``"""

    @classmethod
    def zeros(cls, masks: Masks) -> UnitTensors:
        """0 for every unit that masks of self attention and FFN have a place for."""
        return cls(torch.zeros(masks.heads["self"].shape), torch.zeros(masks.neurons.shape))
