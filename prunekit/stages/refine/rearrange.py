"""Greedy rearrangement of a mask by all Fisher information within a layer (Kwon et al. 2022, Sec. 4.2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from prunekit.models.masks import Masks
from prunekit.stages.units import UnitTensors


def rearrange(gradients: UnitTensors, masks: Masks) -> Masks:
    """Exchange kept and pruned units of the same layer and kind where that lowers the expected loss.

    The search looked at the diagonal of the Fisher information only. Here the objective is (1 - m)ᵀ I (1 - m) with
    one block of I per layer and kind of unit, that is, ‖Σ g‖² over the pruned units, g (row,) being a unit's
    gradients. Every kept unit in turn, in ascending order of its diagonal entry, joins the pruned ones, and the one
    of them without which the objective is least is kept instead (it may be the same unit). The objective never
    rises. Equal candidates are taken in the order of their index.

    Args:
        gradients: heads (row, layer, head) and neurons (row, layer, neuron); a row is an example or a batch.
        masks: bool, as the search found them. Pruned units without any gradient stay pruned: those that the
            model does not have, and dead ones.

    Returns:
        masks with as many units kept in every layer; those of sublayers are as they were.
    """
    heads = _rearranged(gradients.heads, masks.heads["self"])
    return Masks({"self": heads}, _rearranged(gradients.neurons, masks.neurons), masks.layers, masks.hidden)


def _rearranged(gradients: Tensor, mask: Tensor) -> Tensor:
    units = mask.shape[1]
    buffer = torch.empty(units, units, dtype=torch.float64)  # to allocate it costs as much as a layer's steps
    rows = [_layer(gradients[:, layer], row.numpy(), buffer) for layer, row in enumerate(mask)]
    return torch.from_numpy(np.stack(rows))


def _layer(gradients: Tensor, mask: np.ndarray, buffer: Tensor) -> np.ndarray:
    """The mask (unit,) of one layer, rearranged.

    With s the sum over pruned units, dropping unit j from it gives ‖s‖² - 2 s·g_j + ‖g_j‖². All s·g_j are kept up
    to date through the Gram matrix of the units, so a step costs as much as there are units, whatever the rows.
    """
    remaining = mask.copy()
    if remaining.all() or not remaining.any():
        return remaining
    g = gradients.double()
    gram = torch.mm(g.T, g, out=buffer).numpy()
    energy = gram.diagonal()
    pruned = ~remaining & (energy > 0)
    order = np.flatnonzero(remaining)
    order = order[np.argsort(energy[order], kind="stable")]
    products = (g.T @ g[:, torch.from_numpy(pruned)].sum(1)).numpy()
    cost = np.where(pruned, energy / 2, np.inf)  # of candidates; no other is ever the least
    joined, change = np.empty_like(products), np.empty_like(products)
    for unit in order:
        np.add(products, gram[unit], out=joined)
        cost[unit] = energy[unit] / 2
        np.subtract(cost, joined, out=change)
        leaving = change.argmin()
        cost[leaving] = np.inf
        if leaving != unit:
            np.subtract(joined, gram[leaving], out=products)
    return np.isinf(cost) & (remaining | pruned)
