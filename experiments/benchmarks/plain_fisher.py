"""The steps of Fisher pruning the plain way, as the authors' code takes them."""

from __future__ import annotations

import torch
from torch import Tensor

from prunekit.fisher.units import UnitTensors
from prunekit.masks import Masks


def plain_rearrange(gradients: UnitTensors, masks: Masks) -> Masks:
    """:func:`prunekit.fisher.rearrange.rearrange`, with the sum of gradients built again for every candidate.

    In the precision of the gradients.
    """

    def rearranged(rows: Tensor, mask: Tensor) -> Tensor:
        return torch.stack([plain_rearranged_layer(rows[:, layer], kept) for layer, kept in enumerate(mask)])

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
