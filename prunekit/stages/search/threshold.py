"""One threshold over the scores of all units, whatever they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.uniform import uniform_share
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def threshold_search(
    scores: UnitTensors, model: PreTrainedModel, budget: Budget, *, uniform: bool = False, all_heads: bool = False
) -> Masks:
    """The units above the lowest threshold that a budget allows: in the order of their scores as many as fit.

    Unlike :func:`prunekit.stages.search.under_budget.search` it does not ask what a unit costs, and scores may be of
    any sign: a head is worth as much as a neuron of the same score. Of equal scores heads stay before neurons, and
    earlier ones before later ones.

    Args:
        scores: finite, heads (layer, head) and neurons (layer, neuron).
        uniform: the same share of the heads and of the neurons of every layer instead.
        all_heads: if uniform, of the neurons only.

    Raises:
        UserError: the best unit alone is beyond the budget (with the reachable range), or scores that are not finite.
    """
    masks = Masks.ones(describe(model))
    exists = (masks.heads["self"].cpu(), masks.neurons.cpu())
    values = tuple(part.detach().double().cpu() for part in (scores.heads, scores.neurons))
    for name, part, units in zip(("heads", "neurons"), values, exists, strict=True):
        if part.shape != units.shape or not part[units].isfinite().all():
            raise UserError(f"scores of {name}: one finite number for each of {tuple(units.shape)} is needed")
    if uniform:
        return uniform_share(scores, model, budget, all_heads=all_heads)
    flat = torch.cat([part.flatten() for part in values])
    places = torch.cat([units.flatten() for units in exists]).nonzero().squeeze(1)
    order = places[flat[places].argsort(descending=True, stable=True)]
    costs, limit = budget.costs(model), budget.limit(model) * (1 + 1e-12)
    heads, widths = exists[0].numel(), (exists[0].shape[1], exists[1].shape[1])
    counts = np.zeros((len(order) + 1, len(costs)), dtype=np.int64)
    for step, place in enumerate(order.tolist()):
        counts[step + 1] = counts[step]
        sublayer = 2 * (place // widths[0]) if place < heads else 2 * ((place - heads) // widths[1]) + 1
        counts[step + 1, sublayer] += 1
    spent = sum(cost[counts[:, sublayer]] for sublayer, cost in enumerate(costs))
    fitting = np.flatnonzero(np.asarray(spent) <= limit)
    if not fitting.any():
        raise budget.out_of_reach(model, float(np.asarray(spent)[1]), "the unit of the highest score")
    kept = torch.zeros(len(flat), dtype=torch.bool)
    kept[order[: int(fitting.max())]] = True
    device = masks.neurons.device
    masks.heads = {"self": kept[:heads].view_as(exists[0]).to(device)}
    masks.neurons = kept[heads:].view_as(exists[1]).to(device)
    return masks
