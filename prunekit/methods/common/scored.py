"""Methods that score units: a search under the budget, refinement, refitting."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from prunekit.methods.common.method import Compression, Method
from prunekit.methods.common.problem import Problem
from prunekit.models.blocks import blocks
from prunekit.models.masks import Masks
from prunekit.stages.refine.rearrange import rearrange
from prunekit.stages.refine.swap import swap
from prunekit.stages.refit.compensation import compensated, compensation_report
from prunekit.stages.refit.tuning import check_tunable, tune
from prunekit.stages.search.under_budget import search
from prunekit.stages.units import UnitTensors


class ScoredMethod(Method):
    """A method that is told by its scores: it needs :meth:`scores` alone."""

    refinements: ClassVar[tuple[str, ...]] = ("none", "swap")
    refits: ClassVar[tuple[str, ...]] = ("scales", "none", "weights", "bias")
    uniform: ClassVar[bool] = True

    @abstractmethod
    def scores(self, problem: Problem) -> UnitTensors:
        """What units are worth, higher is more important: heads (layer, head), neurons (layer, neuron), 0 where a
        pruned model has no unit. For :meth:`search` as it is here they are additive and not negative."""

    def search(self, scores: UnitTensors, problem: Problem) -> Masks:
        """The masks that keep most of the scores within the budget."""
        return search(
            scores, problem.model, problem.budget, uniform=problem.uniform, all_heads=problem.all_heads
        )  # fmt: skip

    def check(self, problem: Problem) -> None:
        if problem.refit in ("scales", "weights"):
            check_tunable(problem.model, "refit=none or refit=bias")
        super().check(problem)

    def compress(self, problem: Problem) -> Iterator[Compression]:
        scores = self.scores(problem)
        with problem.stage("search", 0):
            masks = self.search(scores, problem)
        yield Compression("search", masks)
        if problem.refine != "none":
            masks = refined(problem, masks)
            yield Compression(problem.refine, masks)
        if problem.refit != "none":
            yield refitted(problem, masks)


def refined(problem: Problem, masks: Masks) -> Masks:
    """The masks after the problem's stage of refinement."""
    if problem.refine == "rearrange":
        gradients = problem.gradients()
        with problem.stage("rearrange", 0):
            return rearrange(gradients, masks)
    statistics = problem.inputs(products=True)
    with problem.stage("swap", 2 * len(blocks(problem.model))) as advance:
        return swap(problem.model, masks, statistics, progress=advance)


def refitted(problem: Problem, masks: Masks) -> Compression:
    """What the problem's stage of refitting makes of masks."""
    if problem.refit == "bias":
        statistics = problem.inputs()
        with problem.stage("bias", 0):
            biases = compensated(problem.model, masks, statistics)
        return Compression("bias", masks, biases, compensation_report(problem.model, masks, biases))
    with problem.stage(problem.refit, 2 * len(blocks(problem.model))) as advance:
        tuned = tune(problem.model, masks, problem.batches, refit=problem.refit, progress=advance)
    return Compression(problem.refit, tuned.masks, tuned.weights, tuned.report)
