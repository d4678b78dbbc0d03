"""Which heads and neurons stay within a budget of measured latency (Kwon et al. 2022, mask search)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from prunekit.models.blocks import blocks, describe
from prunekit.models.masks import Masks
from prunekit.stages.search.knapsack import choose
from prunekit.stages.search.latency import LatencyTable
from prunekit.stages.search.mac_search import additive, check_constraint, reachable
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def latency_search(
    importance: UnitTensors, model: PreTrainedModel, table: LatencyTable, constraint: float
) -> Masks:
    """The masks that keep most importance, summed over units, within a share of the model's latency by a table.

    A sublayer's latency depends on how many units it keeps, and for every such number the best are its most
    important ones. What remains is to choose a number for every sublayer, 0 included, which is solved as a
    multiple-choice knapsack on the measured and interpolated table itself: no latency model is fitted, so that none
    can be wrong, and whole sublayers go where that is best. The authors' code fits a piecewise linear function and
    enumerates numbers of dropped layers, with a budget that shrinks from one pair of numbers to the next.

    Args:
        importance: additive and not negative: heads (layer, head), neurons (layer, neuron).
        model: pruned or not; the constraint is relative to what the table says of it.
        table: of this machine and this model's layers.
        constraint: share of the latency of the layers that may remain, in (0, 1).

    Raises:
        UserError: a constraint outside (0, 1) or below what is left without any unit, a table of another machine or
            model, importance that is negative, not finite or of another model.
    """
    check_constraint(constraint)
    costs = table.costs(model)
    masks = Masks.ones(describe(model))
    checked = additive(importance, masks)
    ranked: list[tuple[Tensor, np.ndarray]] = []
    values = []
    for block in blocks(model):
        for mask, row, units in (
            (masks.heads["self"], checked.heads, block.heads),
            (masks.neurons, checked.neurons, block.neurons),
        ):
            here = row[block.layer, :units].numpy()
            order = np.argsort(-here, kind="stable")
            ranked.append((mask[block.layer], order))
            values.append(np.concatenate([[0.0], here[order].cumsum()]))
    dense = float(sum(cost[-1] for cost in costs))
    numbers = choose(costs, values, constraint * dense)
    if numbers is None:
        least = float(sum(cost.min() for cost in costs)) / dense
        raise UserError(
            f"constraint: {constraint} of this model's latency is less than its layers take without any head or "
            f"neuron; it can go down to {reachable(least)}"
        )
    for (mask, order), number in zip(ranked, numbers, strict=True):
        mask[order[number:].copy()] = False
    return masks
