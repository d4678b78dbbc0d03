"""Which heads and neurons stay within a budget of multiply-accumulate operations (Kwon et al. 2022, mask search)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.config.choices import VARIANTS
from prunekit.models.blocks import blocks, describe
from prunekit.models.costs import cost, head_macs, neuron_macs
from prunekit.models.masks import Masks
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel



def mac_search(
    importance: UnitTensors, model: PreTrainedModel, length: int, constraint: float, *, variant: str = "paper"
) -> Masks:
    """The masks that keep most importance, summed over units, within a share of the model's MACs.

    All heads cost the same, and all neurons do: for every number of kept heads the best masks have the most
    important heads, and the most important neurons that fit beside them. With the diagonal of the Fisher
    information as importance, they minimise the estimated rise of the loss, Σ I_ii (1 − m_i)² (Kwon et al. 2022).
    Of equally important units the first stay, and of equally good numbers of heads the smallest.

    ``released`` takes at least one head, as the authors' code does. That code also considers numbers of heads that
    do not fit by themselves and then goes over the budget; here they are left out.

    Args:
        importance: additive and not negative: heads (layer, head), neurons (layer, neuron).
        model: pruned or not; the constraint is relative to what it has.
        length: tokens of the sequence that MACs are counted for.
        constraint: share of the MACs of the layers that may remain, in (0, 1).
        variant: ``paper`` or ``released``.

    Raises:
        UserError: an unknown variant, a constraint outside (0, 1) or so low that no unit (``released``: no head)
            fits, importance that is negative, not finite or of another model, layers that are shared unequally.
    """
    if variant not in VARIANTS:
        raise UserError(f"variant={variant}: not known, there are {', '.join(VARIANTS)}")
    check_constraint(constraint)
    calls, first, hidden = _calls(model), blocks(model)[0], describe(model).hidden
    head = calls * head_macs(hidden, first.head_size, length)
    neuron = calls * neuron_macs(hidden, length)
    dense = cost(model, length).macs
    fewest = 1 if variant == "released" else 0
    if not dense:
        raise UserError("model: it has no heads and no neurons left to search among")
    masks = most_important(importance, model, head, neuron, math.floor(constraint * dense), fewest)
    if masks is None:
        least, unit = (head, "head") if variant == "released" else (min(head, neuron), "unit")
        raise UserError(
            f"constraint: {constraint} of this model's MACs leaves no room for a single {unit}; "
            f"it can go down to {reachable(least / dense)}"
        )
    return masks


def most_important(
    importance: UnitTensors, model: PreTrainedModel, head: int, neuron: int, budget: int, fewest: int = 0
) -> Masks | None:
    """The masks of most importance, summed, that cost no more than a budget; None where no unit fits.

    Args:
        head, neuron: what each costs.
        fewest: heads that stay.

    Raises:
        UserError: importance that is negative, not finite or of another model.
    """
    masks = Masks.ones(describe(model))
    checked = additive(importance, masks)
    head_order, head_sums = _ranked(checked.heads, masks.heads["self"])
    neuron_order, neuron_sums = _ranked(checked.neurons, masks.neurons)
    counts = torch.arange(fewest, min(len(head_order), budget // head) + 1)
    fitting = ((budget - counts * head) // neuron).clamp_max(len(neuron_order))
    if not len(counts) or int((counts + fitting).max()) == 0:
        return None
    best = int((head_sums[counts] + neuron_sums[fitting]).argmax())
    masks.heads["self"] = _only(masks.heads["self"], head_order[: int(counts[best])])
    masks.neurons = _only(masks.neurons, neuron_order[: int(fitting[best])])
    return masks


def check_constraint(constraint: float) -> None:
    """Raise a :class:`UserError` for a share that leaves nothing, or prunes nothing."""
    if not 0 < constraint < 1:
        raise UserError(f"constraint: {constraint} is outside (0, 1); it is the share that may remain")


def reachable(least: float) -> float:
    """The least share that a search can reach, rounded up to one that it does reach."""
    return math.ceil(least * 1e4) / 1e4


def additive(importance: UnitTensors, exists: Masks) -> UnitTensors:
    """Importance in float64 on the CPU, of a model whose units are ``exists``.

    Raises:
        UserError: shapes of another model, or an existing unit's value that is negative or not finite.
    """
    checked = []
    for name, values, units in (
        ("heads", importance.heads, exists.heads["self"]),
        ("neurons", importance.neurons, exists.neurons),
    ):
        if values.shape != units.shape:
            raise UserError(
                f"importance of {name} has shape {tuple(values.shape)}; this model needs {tuple(units.shape)}"
            )
        values = values.detach().double().cpu()
        bad = units.cpu() & ~(values.isfinite() & (values >= 0))
        if bad.any():
            layer, unit = bad.nonzero()[0].tolist()
            raise UserError(
                f"importance of {name}: {float(values[layer, unit])} in layer {layer}; "
                "a search adds finite numbers that are not negative"
            )
        checked.append(values)
    return UnitTensors(*checked)


def _calls(model: PreTrainedModel) -> int:
    """How often every physical layer is run for one sequence."""
    calls = {len(block.calls) for block in blocks(model)}
    if len(calls) > 1:
        raise UserError(
            f"model: its shared layers are run {' and '.join(map(str, sorted(calls)))} times, so that units of one "
            "kind differ in cost; the search needs layers that are shared equally often"
        )
    return calls.pop()


def _ranked(values: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
    """Flat places of all units, the most important first, and what the first 0, 1, 2, ... of them sum up to."""
    places = exists.flatten().nonzero().squeeze(1).cpu()
    ordered, order = values.flatten()[places].sort(descending=True, stable=True)
    return places[order], torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])


def _only(exists: Tensor, places: Tensor) -> Tensor:
    mask = torch.zeros_like(exists)
    mask.view(-1)[places] = True
    return mask
