"""Searches whose layers all have the same numbers of heads and of neurons: what is left is a plain, smaller encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.mac_search import additive
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def uniform_search(
    scores: UnitTensors, model: PreTrainedModel, budget: Budget, *, all_heads: bool = False
) -> Masks:
    """The best uniform masks: of every layer the most important heads, the same number in all of them, and neurons.

    All pairs of numbers are tried, one head and one neuron at least; what has most importance within the budget, summed
    over units, is taken, and of equals the one with fewer heads. A layer of a pruned model that has fewer units than
    the number keeps all of them.

    Args:
        all_heads: keep all heads, whose size times their number is then the hidden size, as stock encoders have it.

    Raises:
        UserError: a model without heads or without neurons, a constraint below what one head (or all) and one neuron a
            layer cost, scores as in
            :func:`prunekit.stages.search.under_budget.search`.
    """
    masks = Masks.ones(describe(model))
    checked = additive(scores, masks)
    worth = [_sums(values, exists) for values, exists in _pairs(checked, masks)]
    heads, neurons = _costs(model, budget, masks)
    fits = heads[1:, None] + neurons[None, 1:] <= budget.limit(model) * (1 + 1e-12)
    if all_heads:
        fits[:-1] = False
    if not fits.any():
        least = float((heads[-1:] if all_heads else heads[1:]).min(initial=np.inf) + neurons[1:].min(initial=np.inf))
        raise budget.out_of_reach(model, least, smallest_shape(all_heads))
    value = np.where(fits, worth[0][1:, None] + worth[1][None, 1:], -np.inf)
    numbers = np.unravel_index(int(value.argmax()), value.shape)
    return best_of_each(checked, masks, int(numbers[0]) + 1, int(numbers[1]) + 1)


def uniform_share(
    scores: UnitTensors, model: PreTrainedModel, budget: Budget, *, all_heads: bool = False
) -> Masks:
    """The largest uniform masks that keep the same share of the heads and of the neurons of every layer, for scores of
    heads and neurons that do not compare.

    Args:
        all_heads: of the neurons only; keep all heads.

    Raises:
        UserError: a model without heads or without neurons, a constraint below what one head (or all) and one neuron a
            layer cost.
    """
    return best_of_each(scores, Masks.ones(describe(model)), *share_numbers(model, budget, all_heads=all_heads))


def share_numbers(model: PreTrainedModel, budget: Budget, *, all_heads: bool = False) -> tuple[int, int]:
    """Heads and neurons of every layer of :func:`uniform_share`, which no scores decide.

    Raises:
        UserError: as there.
    """
    heads, neurons = _costs(model, budget, Masks.ones(describe(model)))
    limit = budget.limit(model) * (1 + 1e-12)
    most_heads, most_neurons = len(heads) - 1, len(neurons) - 1
    for number in range(most_neurons, 0, -1):
        own = most_heads if all_heads else max(1, round(number / most_neurons * most_heads))
        if heads[own] + neurons[number] <= limit:
            return own, number
    raise budget.out_of_reach(model, float(heads[-1 if all_heads else 1] + neurons[1]), smallest_shape(all_heads))


def smallest_shape(all_heads: bool) -> str:
    """What there is no room for in a budget that no uniform shape fits."""
    return "all heads and a neuron in every layer" if all_heads else "a head and a neuron in every layer"


def best_of_each(scores: UnitTensors, exists: Masks, heads: int, neurons: int) -> Masks:
    """The masks of so many units of every layer, those of the highest scores; of equal ones the first."""
    masks = Masks(
        {"self": exists.heads["self"].clone()}, exists.neurons.clone(), exists.layers, exists.hidden, exists.skip_norms
    )
    for values, mask, number in ((scores.heads, masks.heads["self"], heads), (scores.neurons, masks.neurons, neurons)):
        values = values.detach().double().cpu().masked_fill(~mask.cpu(), -np.inf)
        for row, order in zip(mask, values.argsort(dim=1, descending=True, stable=True), strict=True):
            row[order[number:].to(row.device)] = False
    return masks


def _pairs(scores: UnitTensors, masks: Masks) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return (scores.heads, masks.heads["self"]), (scores.neurons, masks.neurons)


def _sums(values: Tensor, exists: Tensor) -> np.ndarray:
    """What the best 0, 1, 2, ... units of every layer are worth together, (unit + 1,)."""
    ordered = values.masked_fill(~exists.cpu(), 0.0).sort(dim=1, descending=True).values
    return np.concatenate([[0.0], ordered.cumsum(1).sum(0).numpy()])


def _costs(model: PreTrainedModel, budget: Budget, masks: Masks) -> tuple[np.ndarray, np.ndarray]:
    """What all layers cost together with 0, 1, 2, ... heads each, and with as many neurons, (unit + 1,)."""
    for name, mask in (("heads", masks.heads["self"]), ("neurons", masks.neurons)):
        if not mask.any():
            raise UserError(f"uniform: this model has no {name} left, and a uniform shape has some in every layer")
    costs = budget.costs(model)
    sums = []
    for rows, width in ((costs[0::2], masks.heads["self"].shape[1]), (costs[1::2], masks.neurons.shape[1])):
        number = np.arange(width + 1)
        sums.append(sum((row[np.minimum(number, len(row) - 1)] for row in rows), np.zeros(width + 1)))
    return sums[0], sums[1]
