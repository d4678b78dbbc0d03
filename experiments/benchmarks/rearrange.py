"""Rearrangement with running sums, beside sums built anew for every candidate.

Gradients are drawn: normal, for all units of the model, each unit with a size of its own. In every layer half of the
heads and of the neurons are pruned, those with the least squares.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from experiments.benchmarks.paired import BenchmarkCase, Results, paired
from experiments.benchmarks.plain.fisher import plain_rearrange
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.stages.refine.rearrange import rearrange
from prunekit.stages.units import UnitTensors


def compare(case: BenchmarkCase) -> Results:
    case.require_cpu()
    ones = Masks.ones(describe(case.model))
    generator = torch.Generator().manual_seed(case.seed)

    def drawn(units: Tensor) -> Tensor:
        """(row, layer, unit), float64."""
        sizes = torch.rand(units.shape, generator=generator, dtype=torch.float64).exp()
        return torch.randn(case.size, *units.shape, generator=generator, dtype=torch.float64) * sizes

    gradients = UnitTensors(drawn(ones.heads["self"]), drawn(ones.neurons))
    before = Masks({"self": _better_half(gradients.heads)}, _better_half(gradients.neurons), ones.layers)
    functions = {
        "plain": lambda: plain_rearrange(gradients, before),
        "fast": lambda: rearrange(gradients, before),
    }
    return paired(case, functions, lambda results: agreement(before, results))


def _better_half(gradients: Tensor) -> Tensor:
    """The mask of each layer that prunes the half with the least squares."""
    squares = gradients.square().sum(0)
    return squares > squares.median(1, keepdim=True).values


def agreement(before: Masks, results: dict[str, Masks]) -> dict[str, Any]:
    """On how many neurons and heads the two disagree, and how many neurons of a layer were exchanged on average."""
    plain, fast = results["plain"], results["fast"]
    differing = sum(
        int((own != other).sum())
        for own, other in ((plain.neurons, fast.neurons), (plain.heads["self"], fast.heads["self"]))
    )
    exchanged = (fast.neurons & ~before.neurons).sum(1).float().mean()
    return {
        "neurons": before.neurons.shape[1], "same_masks": differing == 0, "different_units": differing,
        "exchanged": float(exchanged),
    }  # fmt: skip
