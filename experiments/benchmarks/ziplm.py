"""Second-order removal of neurons with downdates that wait in blocks, beside rewriting everything for every neuron.

Inputs of one FFN's output projection are drawn: correlated, each neuron with a size of its own; so are the weights.
Both start with H and give the order of removal with its scores, in float64.
"""

from __future__ import annotations

from typing import Any

import torch

from experiments.benchmarks.paired import BenchmarkCase, Results, paired
from experiments.benchmarks.plain.second_order import plain_removal
from prunekit.models.blocks import describe
from prunekit.stages.levels.second_order import Quadratic, damped_quadratic, removal
from prunekit.stages.levels.sublayer_levels import sublayer_levels


def compare(case: BenchmarkCase) -> Results:
    case.require_cpu()
    layout = describe(case.model)
    neurons, hidden = layout.ffn[0].neurons, layout.hidden
    generator = torch.Generator().manual_seed(case.seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mixed = normal(neurons, neurons) / neurons**0.5 + torch.eye(neurons, dtype=torch.float64) / 2
    inputs = normal(case.size, neurons) @ mixed * torch.rand(neurons, generator=generator, dtype=torch.float64)
    products = inputs.T @ inputs
    quadratic = damped_quadratic(products, case.size, normal(hidden, neurons))
    assert quadratic is not None
    functions = {
        "plain": lambda: plain_removal(quadratic.hessian, quadratic.weight),
        "fast": lambda: removal(quadratic),
    }
    return paired(case, functions, lambda results: agreement(quadratic, products, case.size, results))


def agreement(quadratic: Quadratic, products: torch.Tensor, tokens: int, results: dict[str, Any]) -> dict[str, Any]:
    """Whether neurons go in the same order, at how many steps another one does, the largest difference of
    scores, each relative to its own, and that of the weights when half of the neurons are left, relative to the
    largest."""
    (order, scores, half), fast = results["plain"], results["fast"]
    levels = sublayer_levels(quadratic, products, tokens, quadratic.weight, 1)
    kept = len(order) // 2
    weights = half[:, levels.mask(kept)]
    return {
        "neurons": len(order), "same_masks": bool(torch.equal(order, fast.order)),
        "different_units": int((order != fast.order).sum()),
        "max_score_difference": float(((scores - fast.scores).abs() / scores).max()),
        "max_weight_difference": float((levels.weight(kept) - weights).abs().max() / weights.abs().max()),
    }  # fmt: skip
