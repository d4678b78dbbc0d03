"""Fisher information of the masks, rearranged and tuned (Kwon et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from prunekit.methods.common.problem import Problem
from prunekit.methods.common.scored import ScoredMethod
from prunekit.stages.score.gradients import diagonal
from prunekit.stages.units import UnitTensors


@dataclass(frozen=True, kw_only=True)
class Fisher(ScoredMethod):
    """What `prune_fisher` does by default, with the same masks and weights: the units of most Fisher information."""

    paper: ClassVar[str] = "Kwon et al. 2022, A Fast Post-Training Pruning Framework for Transformers"
    labels: ClassVar[bool] = True
    gradients: ClassVar[bool] = True
    refinements: ClassVar[tuple[str, ...]] = ("rearrange", "none", "swap")

    def scores(self, problem: Problem) -> UnitTensors:
        return diagonal(problem.gradients())
