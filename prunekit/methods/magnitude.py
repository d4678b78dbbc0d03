"""The units of the largest weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from prunekit.methods.common.problem import Problem
from prunekit.methods.common.scored import ScoredMethod
from prunekit.stages.score.unit_scores import unit_scores
from prunekit.stages.units import UnitTensors


@dataclass(frozen=True, kw_only=True)
class Magnitude(ScoredMethod):
    """What is worth most has the largest weights: the sum of their squares, over all that belong to a unit."""

    paper: ClassVar[str] = "no paper's, the usual first rival"
    labels: ClassVar[bool] = False
    gradients: ClassVar[bool] = False

    def scores(self, problem: Problem) -> UnitTensors:
        return unit_scores("magnitude", problem.model)
