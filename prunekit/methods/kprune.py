"""Sublayer by sublayer by what units know, each refitted to the whole model's residual stream (Park et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from prunekit.config.choices import VARIANTS
from prunekit.config.ranges import chosen_from, within
from prunekit.data.batches import Batch
from prunekit.methods.common.method import Compression, Method
from prunekit.methods.common.problem import Problem
from prunekit.models.blocks import Block, blocks, describe
from prunekit.models.families.table import ENCODERS
from prunekit.models.masks import Masks
from prunekit.stages.refit.replaced import module_names
from prunekit.stages.refit.residual_refit import Refit, ResidualStreams
from prunekit.stages.refit.tuning import check_tunable
from prunekit.stages.score.gradients import GROUP, group_means, mean_squares
from prunekit.stages.score.knowledge import (
    check_predicts,
    derivatives_and_squares,
    divergences,
    kept_by_threshold,
    of_most_knowledge,
    unit_knowledge,
    with_whole_outputs,
)
from prunekit.stages.score.projection_inputs import SUBLAYERS, projections
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.uniform import share_numbers
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Decision = Callable[[ResidualStreams, Any, Block, str, int, int], tuple[Tensor, Refit]]
"""What stays of a sublayer, bool, (unit,), and its new weights: from the residual streams before it, the model as it is
by then, the layer of the whole model, attention or ffn, its units, and features of a unit."""


@dataclass(frozen=True, kw_only=True)
class Kprune(Method):
    """Knowledge scores on the model as it is by then, one threshold for all that remains, least squares.

    Latency is no sum over units, so it can be no budget; layers that several depths share cannot be refitted. In a
    uniform shape the budget alone says how many units stay, and what they know says which.
    """

    paper: ClassVar[str] = "Park et al. 2024, Accurate Retraining-free Pruning for Pretrained Encoder-based Models"
    labels: ClassVar[bool] = False
    gradients: ClassVar[bool] = True
    uniform: ClassVar[bool] = True
    refinements: ClassVar[tuple[str, ...]] = ("none", "swap")
    families: ClassVar[tuple[str, ...] | None] = tuple(name for name in ENCODERS if name != "albert")
    budgets: ClassVar[tuple[str, ...]] = ("mac", "parameters")
    predictive: float = within(1.0, 0, 1e6)
    """λ_pred: what a unit does to predictions."""
    representational: float = within(2.5e-4, 0, 1e6)
    """λ_rep: what a unit does to the residual stream."""
    head_weight: float = within(64.0, 0, 1e6)
    """μ: times the scores of heads."""
    temperature: float = within(2.0, 0, 1e3, above=True)
    """Of the predictions that are compared."""
    damping: float = within(0.01, 0, 1, above=True)
    """λ of the least squares, as a share of the mean of the products' diagonal; not for ``variant=released``."""
    variant: str = chosen_from("paper", VARIANTS)
    """``paper``: gradients are squared example by example, least squares are damped; ``released``: as the authors' code
    has it, squared for groups of 32 examples, and undamped."""

    def check(self, problem: Problem) -> None:
        check_predicts(problem.model)
        check_tunable(problem.model, "another method")
        if self.variant == "released" and problem.refine == "swap":
            raise UserError("refine: variant=released of kprune has no swaps, use method.options.variant=paper")
        super().check(problem)

    def compress(self, problem: Problem) -> Iterator[Compression]:
        model, budget = problem.model, problem.budget
        costs, numbers = _unit_costs(model, budget), None
        if problem.uniform:
            numbers = dict(zip(SUBLAYERS, share_numbers(model, budget, all_heads=problem.all_heads), strict=True))
        result = _sublayer_by_sublayer(problem, "search", self._searched(problem, costs, numbers))
        if not (result.masks.heads_kept or result.masks.neurons_kept):  # what knows most anywhere never fitted
            raise budget.out_of_reach(model, costs[list(costs)[-1]], "a unit of the last sublayer")
        yield result
        if problem.refine == "swap":
            yield _sublayer_by_sublayer(problem, "swap", self._exchanged(result.masks))

    def _searched(self, problem: Problem, costs: dict[str, float], numbers: dict[str, int] | None) -> Decision:
        """What knows most stays.

        Args:
            costs: of one unit of every sublayer.
            numbers: of units that every sublayer keeps, by its kind; None for one threshold.
        """
        model, left = problem.model, problem.budget.limit(problem.model)
        macs = _unit_costs(model, replace(problem.budget, kind="mac"))
        answered: list[Batch] = []

        def decide(
            streams: ResidualStreams, now: Any, block: Block, sublayer: str, units: int, size: int
        ) -> tuple[Tensor, Refit]:
            nonlocal left
            if not answered:
                answered.extend(with_whole_outputs(model, streams.batches))
            kept = torch.ones(units, dtype=torch.bool)
            if units:
                place = f"{block.layer}.{sublayer}"
                knowledge = self._knowledge(now, answered, streams, block.layer, sublayer, macs)
                if numbers is None:
                    kept = kept_by_threshold(knowledge, costs, left, place)
                else:
                    kept = of_most_knowledge(knowledge[place], numbers[sublayer])
                left -= costs[place] * int(kept.sum())
            damping = None if self.variant == "released" else self.damping
            return kept, streams.refit(sublayer, blocks(now)[block.layer], block, _features(kept, size, model), damping)

        return decide

    def _exchanged(self, masks: Masks) -> Decision:
        """What stayed, and units exchanged while the error of their new weights falls."""

        def decide(
            streams: ResidualStreams, now: Any, block: Block, sublayer: str, units: int, size: int
        ) -> tuple[Tensor, Refit]:
            rows = masks.heads["self"] if sublayer == "attention" else masks.neurons
            kept = rows[block.layer, :units].cpu()
            return streams.exchange(sublayer, blocks(now)[block.layer], block, kept, size, self.damping)

        return decide

    def _knowledge(
        self, now: Any, answered: Any, streams: ResidualStreams, layer: int, sublayer: str, macs: dict[str, float]
    ) -> dict[str, Tensor]:
        """K of the units of a sublayer and of all after it, by ``LAYER.SUBLAYER``."""
        divergence = partial(divergences, temperature=self.temperature)
        behind = zip(answered, streams.states(), strict=True)
        found = derivatives_and_squares(now, behind, divergence, layer=layer, sublayer=sublayer)
        units = {
            f"{block.layer}.{name}": (projection, self.head_weight if name == "attention" else 1.0)
            for block in blocks(now)
            for name, projection, *_ in projections(block)
        }
        return {
            place: unit_knowledge(
                units[place][0].get_parameter("weight").cpu(),
                mean_squares(group_means(gradients, GROUP) if self.variant == "released" else gradients),
                squares, flops=macs[place], predictive=self.predictive, representational=self.representational,
                importance=units[place][1],
            )
            for place, (gradients, squares) in found.items()
        }  # fmt: skip


def _sublayer_by_sublayer(problem: Problem, stage: str, decide: Decision) -> Compression:
    """All sublayers in their order: what stays and its new weights, decided on the model as it is by then."""
    model = problem.model
    whole, names = blocks(model), module_names(model)
    result = Compression(stage, Masks.ones(describe(model)))
    with ExitStack() as files, problem.stage(stage, 2 * len(whole)) as advance, torch.no_grad():
        tokens = 2**12 if model.device.type == "cpu" else 2**16
        streams = ResidualStreams(model, problem.batches, tokens, files)
        now = result.smaller(model)
        for block in whole:
            for sublayer, projection, units, size in projections(block):
                kept, refit = decide(streams, now, block, sublayer, units, size)
                features = _features(kept, size, model)
                result = _with(result, block, sublayer, kept, features, refit, names.get(projection))
                now = result.smaller(model)
                streams.advance(sublayer, blocks(now)[block.layer])
                advance(1)
    return result


def _features(kept: Tensor, size: int, model: PreTrainedModel) -> Tensor:
    """Of the units that stay, (feature that stays), on the model's device."""
    return kept.repeat_interleave(size).nonzero().flatten().to(model.device)


def _unit_costs(model: PreTrainedModel, budget: Budget) -> dict[str, float]:
    """Of one unit of every sublayer that has units, by ``LAYER.SUBLAYER``, in the order of the layers."""
    costs = iter(budget.costs(model))
    return {
        f"{block.layer}.{sublayer}": float(cost[1])
        for block in blocks(model)
        for (sublayer, _, units, _), cost in zip(projections(block), costs, strict=False)
        if units
    }


def _with(
    result: Compression, block: Block, sublayer: str, kept: Tensor, features: Tensor, refit: Refit, name: str | None
) -> Compression:
    """What was pruned before, and one sublayer more."""
    heads = {kind: mask.clone() for kind, mask in result.masks.heads.items()}
    masks = Masks(heads, result.masks.neurons.clone(), result.masks.layers, result.masks.hidden)
    (heads["self"] if sublayer == "attention" else masks.neurons)[block.layer, : len(kept)] = kept
    weights = dict(result.weights)
    if len(features):
        weight = torch.zeros_like((block.o if sublayer == "attention" else block.ffn_out).get_parameter("weight"))
        weight[:, features] = refit.weight
        weights[f"{name}.weight"] = weight.detach()
    row = {
        "layer": block.layer, "sublayer": sublayer, "status": refit.status, "units": int(kept.sum()),
        "error_before": refit.error_before, "error_after": refit.error_after, "largest_scale": None,
        "dropped": refit.dropped,
    }  # fmt: skip
    return Compression(result.stage, masks, weights, [*result.report, row])
