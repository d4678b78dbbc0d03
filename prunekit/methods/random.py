"""Units drawn at random: what a search that knows nothing is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from prunekit.methods.common.problem import Problem
from prunekit.methods.common.scored import ScoredMethod
from prunekit.stages.score.unit_scores import unit_scores
from prunekit.stages.units import UnitTensors


@dataclass(frozen=True, kw_only=True)
class Random(ScoredMethod):
    """Uniform scores, by the seed, times the number of a unit's weights, so that heads and neurons go alike."""

    paper: ClassVar[str] = "no paper's, the floor of every comparison"
    labels: ClassVar[bool] = False
    gradients: ClassVar[bool] = False

    def scores(self, problem: Problem) -> UnitTensors:
        return unit_scores("random", problem.model, seed=problem.seed)
