"""How much of a sublayer's output would be missed that a constant cannot replace (An et al. 2024, FLAP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.models.blocks import blocks, describe
from prunekit.models.masks import Masks
from prunekit.stages.score.projection_inputs import projections
from prunekit.stages.units import UnitTensors

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def fluctuations(model: PreTrainedModel, statistics: Mapping[str, Tensor]) -> UnitTensors:
    """Standardised fluctuation of every head and neuron, float64, 0 where a pruned model has no unit; of any sign.

    A column j of an output projection fluctuates by Var(x_j) ‖W_j‖² (FLAP, the weighted metric of the paper). Columns
    are standardised within their sublayer, to mean 0 and standard deviation 1, so that layers and kinds compare; a
    head has the mean over its columns. Where all columns of a sublayer are equal they are 0.

    The released code squares the columns of attention before; that is in no equation of the paper and left out.

    Args:
        statistics: of :func:`prunekit.stages.score.projection_inputs.input_statistics`.
    """
    exists = Masks.ones(describe(model))
    heads, neurons = (torch.zeros(m.shape, dtype=torch.float64) for m in (exists.heads["self"], exists.neurons))
    for block in blocks(model):
        for (name, projection, units, size), rows in zip(projections(block), (heads, neurons), strict=True):
            if not units:
                continue
            weight = projection.get_parameter("weight").detach().double().cpu()
            metric = statistics[f"{block.layer}.{name}.variance"] * weight.square().sum(0)
            spread = metric.std(correction=0)
            standard = (metric - metric.mean()) / spread if spread > 0 else torch.zeros_like(metric)
            rows[block.layer, :units] = standard.unflatten(0, (units, size)).mean(1)
    return UnitTensors(heads, neurons)
