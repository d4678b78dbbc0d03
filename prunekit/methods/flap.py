"""Fluctuations of inputs, and biases for what is gone (An et al. 2024, FLAP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from prunekit.methods.common.problem import Problem
from prunekit.methods.common.scored import ScoredMethod
from prunekit.models.masks import Masks
from prunekit.stages.score.fluctuation import fluctuations
from prunekit.stages.search.threshold import threshold_search
from prunekit.stages.units import UnitTensors


@dataclass(frozen=True, kw_only=True)
class Flap(ScoredMethod):
    """No labels and no gradients: what hardly varies is replaced by its mean, a part of the bias. One threshold over
    standardised fluctuations decides, whatever a unit costs."""

    paper: ClassVar[str] = "An et al. 2024, Fluctuation-Based Adaptive Structured Pruning for Large Language Models"
    labels: ClassVar[bool] = False
    gradients: ClassVar[bool] = False
    refits: ClassVar[tuple[str, ...]] = ("bias", "none", "scales", "weights")

    def scores(self, problem: Problem) -> UnitTensors:
        return fluctuations(problem.model, problem.inputs())

    def search(self, scores: UnitTensors, problem: Problem) -> Masks:
        return threshold_search(
            scores, problem.model, problem.budget, uniform=problem.uniform, all_heads=problem.all_heads
        )  # fmt: skip
