"""The steps of Fisher pruning the plain way, as the authors' code takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.data.batches import Batch, model_inputs
from prunekit.data.kinds import example_losses
from prunekit.models.blocks import blocks, describe
from prunekit.models.costs import cost, head_macs, neuron_macs
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from prunekit.stages.units import UnitTensors

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def plain_rearrange(gradients: UnitTensors, masks: Masks) -> Masks:
    """:func:`prunekit.stages.refine.rearrange.rearrange`, with the sum of gradients built again for every candidate.

    In the precision of the gradients.
    """

    def rearranged(rows: Tensor, mask: Tensor) -> Tensor:
        return torch.stack([plain_rearranged_layer(rows[:, layer], row) for layer, row in enumerate(mask)])

    heads = rearranged(gradients.heads, masks.heads["self"])
    return Masks({"self": heads}, rearranged(gradients.neurons, masks.neurons), masks.layers)


def plain_rearranged_layer(gradients: Tensor, mask: Tensor) -> Tensor:
    """The mask (unit,) of one layer, from gradients (row, unit)."""
    by_unit = gradients.T.contiguous()
    importance = by_unit.square().sum(1)
    pruned = (~mask & (importance > 0)).nonzero().flatten().tolist()
    rearranged = mask.clone()
    for unit in importance.argsort(stable=True).tolist():
        if not mask[unit] or not pruned:
            continue
        candidates = sorted([*pruned, unit])
        members = by_unit[candidates]
        rest = members.sum(0) - members
        leaving = candidates[int(rest.square().sum(1).argmin())]
        rearranged[unit], rearranged[leaving] = False, True
        pruned = [candidate for candidate in candidates if candidate != leaving]
    return rearranged


def plain_gradients(model: PreTrainedModel, batches: Sequence[Batch]) -> UnitTensors:
    """Gradients of each batch's mean loss by one gate a unit, weights frozen, batches as they come."""
    ones = Masks.ones(describe(model), next(model.parameters()).dtype, model.device)
    gates = [ones.heads["self"].requires_grad_(), ones.neurons.requires_grad_()]
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with gated(model, ones):
        rows = [torch.autograd.grad(example_losses(model(**model_inputs(b)), b).mean(), gates) for b in batches]
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    heads, neurons = zip(*rows, strict=True)
    return UnitTensors(torch.stack(heads).cpu(), torch.stack(neurons).cpu())


def plain_search(gradients: UnitTensors, model: PreTrainedModel, length: int, constraint: float) -> Masks:
    """The most important heads and neurons within the MACs, for every number of heads, 1 at least."""
    heads, neurons = (rows.double().square().sum(0).flatten() for rows in (gradients.heads, gradients.neurons))
    budget = constraint * cost(model, length).macs
    hidden, size = describe(model).hidden, blocks(model)[0].head_size
    best, counts = -1.0, (0, 0)
    for number in range(1, len(heads) + 1):
        left = budget - number * head_macs(hidden, size, length)
        if left < 0:
            break
        others = int(left // neuron_macs(hidden, length))
        importance = float(heads.sort(descending=True)[0][:number].sum())
        importance += float(neurons.sort(descending=True)[0][:others].sum())
        if importance > best:
            best, counts = importance, (number, others)
    masks = Masks.ones(describe(model))
    for mask, values, number in ((masks.heads["self"], heads, counts[0]), (masks.neurons, neurons, counts[1])):
        mask.fill_(False)
        mask.view(-1)[values.sort(descending=True, stable=True)[1][:number]] = True
    return masks
