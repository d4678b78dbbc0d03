"""Second-order removal with updates of all that stays, and one calibration for any number of budgets (Kurtic et al.
2023, ZipLM, its one-shot part)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from prunekit.config.ranges import EXAMPLES, within
from prunekit.data.batches import Batch, model_inputs
from prunekit.methods.common.method import Compression, Method
from prunekit.methods.common.problem import Problem
from prunekit.models.blocks import blocks
from prunekit.stages.levels.database import Counts, LevelDatabase, take_levels
from prunekit.stages.levels.exchanged import exchanged
from prunekit.stages.levels.stitch import Stitching, least_cost, search_levels
from prunekit.stages.levels.sublayer_levels import levels_of
from prunekit.stages.levels.uniform_shapes import search_shapes, uniform_shapes
from prunekit.stages.score.knowledge import check_predicts, divergences, with_whole_outputs
from prunekit.stages.score.projection_inputs import input_statistics, projections
from prunekit.stages.search.under_budget import check_reach
from prunekit.support.cache import EntryKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

LEVELS = EntryKind("levels", revision=2)

Tables = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Ziplm(Method):
    """Levels of every sublayer from one calibration, stitched to a model that fits the budget.

    Layers that several depths share have levels for all of their calls together.
    """

    paper: ClassVar[str] = "Kurtic et al. 2023, ZipLM: Inference-Aware Structured Pruning of Language Models"
    labels: ClassVar[bool] = False
    gradients: ClassVar[bool] = False
    uniform: ClassVar[bool] = True
    refinements: ClassVar[tuple[str, ...]] = ("none", "swap")
    damping: float = within(0.01, 0, 1)
    """Share of the mean of the diagonal of H that is added to it."""
    ratio: float = within(0.9, 0.1, 1, below=True)
    """Neurons of a level by those of the one above it."""
    search_steps: int = within(40, 0, 10_000)
    """Models that the local search tries."""
    search_examples: int = within(512, 1, EXAMPLES)
    """Calibration examples that it tries them on, by their divergence from the whole model's predictions."""

    def check(self, problem: Problem) -> None:
        model, budget = problem.model, problem.budget
        if self.search_steps:
            check_predicts(model)
        if problem.uniform:
            check_reach(model, budget, uniform=True, all_heads=problem.all_heads)
            return
        least = least_cost(
            cost[levels_of(units, self.ratio, every=size > 1)]
            for cost, (units, size) in zip(budget.costs(model), _sublayers(model), strict=True)
        )
        if least > budget.limit(model) * (1 + 1e-12):  # as the knapsack has it
            raise budget.out_of_reach(model, least)

    def compress(self, problem: Problem) -> Iterator[Compression]:
        model, budget = problem.model, problem.budget
        limit, costs = budget.limit(model), budget.costs(model)
        database = LevelDatabase.from_tensors(problem.keep(
            LEVELS, "levels", {"damping": self.damping, "ratio": self.ratio}, lambda: self._levels(problem)
        ))  # fmt: skip
        stitching = Stitching(database, costs, limit)
        shapes, steps = list[Counts](), self.search_steps
        with problem.stage("stitch", 0):
            if problem.uniform:
                shapes = uniform_shapes(stitching, model, budget, all_heads=problem.all_heads)
                steps = min(steps, len(shapes) - 1)
            counts = shapes[0] if problem.uniform else stitching.stitch(np.ones(len(stitching.places)))
        if counts is None:
            raise budget.out_of_reach(model, stitching.least)  # a sublayer's last unit is worth nothing
        yield self._outcome("stitch", model, database, counts, {"levels": database.rows()})
        if steps:
            with problem.stage("search", steps) as advance:
                judge = judged_by(model, database, some(problem.batches, self.search_examples))
                if problem.uniform:
                    found = search_shapes(shapes, judge, steps, advance)
                else:
                    found = search_levels(stitching, judge, steps, problem.seed, advance)
            counts = found.counts
            yield self._outcome("search", model, database, counts, {"search": found.steps})
        elif self.search_steps:
            log.warning("search: left out, one uniform shape alone fits the budget")
        if problem.refine == "swap":
            with problem.stage("swap", len(database.sublayers)) as advance:
                database = exchanged(database, counts, advance)
            yield self._outcome("swap", model, database, counts, {})

    def _levels(self, problem: Problem) -> dict[str, Tensor]:
        with problem.stage("levels", problem.rows + 2 * len(blocks(problem.model))) as advance:
            statistics = input_statistics(problem.model, problem.batches, products=True, progress=advance)
            own = take_levels(problem.model, statistics, damping=self.damping, ratio=self.ratio, progress=advance)
        return own.to_tensors()

    def _outcome(
        self, stage: str, model: PreTrainedModel, database: LevelDatabase, counts: Counts, tables: Tables
    ) -> Compression:
        """The model with so many units a sublayer, each with the weights of its level, and what was done to each."""
        report: list[dict[str, Any]] = []
        for block in blocks(model):
            for sublayer, _, _, _ in projections(block):
                levels, left = database.sublayers.get(place := f"{block.layer}.{sublayer}"), 0
                status, error, damping = "skipped: no units left", None, None
                if levels is not None:
                    left = counts[place]
                    at = levels.counts.tolist().index(left)
                    error = float((levels.measured[at] / levels.power.clamp_min(1e-300)).sqrt())
                    if left == levels.units:
                        status = "skipped: nothing is gone"
                    elif left:
                        damping = float(levels.damping)  # more than asked for: its normal equations are singular so
                        status = "tuned with more damping" if damping > self.damping else "tuned"
                report.append({
                    "layer": block.layer, "sublayer": sublayer, "status": status, "units": left,
                    "error_before": None, "error_after": error, "largest_scale": None, "damping": damping,
                })  # fmt: skip
        return Compression(stage, database.masks(model, counts), database.weights(model, counts), report, tables)


def _sublayers(model: PreTrainedModel) -> list[tuple[int, int]]:
    """Units and features of a unit, in the order of :meth:`prunekit.stages.search.budget.Budget.costs`."""
    return [(units, size) for block in blocks(model) for _, _, units, size in projections(block)]


def some(batches: Any, examples: int) -> list[Batch]:
    """Batches with at least so many rows, or all of them, evenly from all of their lengths."""
    sizes = np.cumsum([len(batch["input_ids"]) for batch in batches])
    if not len(sizes) or sizes[-1] <= examples:
        return list(batches)
    for number in range(1, len(batches) + 1):
        places = np.unique(np.linspace(0, len(batches) - 1, number).round().astype(int))
        if sum(len(batches[place]["input_ids"]) for place in places) >= examples:
            break
    return [batches[place] for place in places]


def judged_by(model: PreTrainedModel, database: LevelDatabase, batches: list[Batch]) -> Callable[[Counts], float]:
    """Mean divergence from the whole model's predictions, of the model with so many units a sublayer."""
    answered = list(with_whole_outputs(model, batches))

    @torch.no_grad()
    def judge(counts: Counts) -> float:
        small = Compression("", database.masks(model, counts), database.weights(model, counts)).smaller(model)
        losses = [divergences(small(**model_inputs(batch, model.device)), batch, 1.0) for batch in answered]
        return float(torch.cat(losses).double().mean())

    return judge
