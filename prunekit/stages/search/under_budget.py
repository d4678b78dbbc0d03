"""The search for the most important units, whatever the kind of budget."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prunekit.models.blocks import blocks, describe
from prunekit.models.costs import head_weights, neuron_weights
from prunekit.models.masks import Masks
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.latency_search import latency_search
from prunekit.stages.search.mac_search import mac_search, most_important
from prunekit.stages.search.uniform import uniform_search
from prunekit.stages.units import UnitTensors

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def check_reach(model: PreTrainedModel, budget: Budget, *, uniform: bool = False, all_heads: bool = False) -> None:
    """Refuse what no scores could make fit, before they are taken; a search may refuse more.

    Args:
        uniform, all_heads: as :func:`search` has them.

    Raises:
        UserError: a constraint out of reach (with the reachable range), a latency table of something else, or a model
            without units.
    """
    limit, nothing = budget.limit(model), UnitTensors.zeros(Masks.ones(describe(model)))
    if uniform:
        uniform_search(nothing, model, budget, all_heads=all_heads)
    elif budget.table is not None:
        latency_search(nothing, model, budget.table, budget.constraint)
    elif (least := min(float(cost[1]) for cost in budget.costs(model) if len(cost) > 1)) > limit:
        raise budget.out_of_reach(model, least)


def search(
    scores: UnitTensors, model: PreTrainedModel, budget: Budget, *, uniform: bool = False, all_heads: bool = False,
    variant: str = "paper",
) -> Masks:  # fmt: skip
    """The masks that keep most importance, summed over units, within a budget.

    Args:
        scores: additive and not negative: heads (layer, head), neurons (layer, neuron).
        uniform: as many heads in every layer, and as many neurons.
        all_heads: if uniform, all heads.
        variant: of a search under MACs, see :func:`~prunekit.stages.search.mac_search.mac_search`.

    Raises:
        UserError: a constraint out of reach (with the reachable range), scores that are negative, not finite or of
            another model.
    """
    if uniform:
        return uniform_search(scores, model, budget, all_heads=all_heads)
    if budget.table is not None:
        return latency_search(scores, model, budget.table, budget.constraint)
    if budget.kind == "mac":
        return mac_search(scores, model, budget.length, budget.constraint, variant=variant)
    hidden = describe(model).hidden
    head, neuron = head_weights(hidden, blocks(model)[0].head_size), neuron_weights(hidden)
    masks = most_important(scores, model, head, neuron, math.floor(budget.limit(model)))
    if masks is None:
        raise budget.out_of_reach(model, min(head, neuron))
    return masks
