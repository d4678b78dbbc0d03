"""What experiments with heads are told in common: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from prunekit.config.checks import one_of, twice
from prunekit.config.ranges import BATCH, EXAMPLES, FINEST_GRID, ROUNDS, within
from prunekit.config.sections import Experiment
from prunekit.config.task import without_questions


@dataclass(kw_only=True)
class CurveSettings(Experiment):
    """Of pruning curves: which heads go first, and at which shares the rest is evaluated."""

    orders: ClassVar[tuple[str, ...]] = (
        "importance", "importance_released", "importance_stepwise", "random", "magnitude",
    )  # fmt: skip
    order: str = "importance"
    """Who goes first: ``importance`` (Eq. 2), ``importance_released`` (as the authors' code computes it),
    ``importance_stepwise`` (estimated again after every step), ``magnitude`` (of the weights), ``random`` (by
    ``seed``); of `prune_heads` also ``oracle`` (by single-head ablation on the evaluation data itself)."""
    grid: float = within(0.1, FINEST_GRID, 1)
    """Step of the curve."""
    kinds: list[str] | None = None
    """Kinds of attention whose heads may go, ranked together; of translation ``enc-enc``, ``enc-dec``, ``dec-dec``.
    Null for all (Fig. 3); one alone is Fig. 4."""
    normalise: bool = True
    """Divide each layer's importance by its L2 norm before ranking all heads together (Sec. 4.1)."""
    importance_examples: int | None = within(None, 1, EXAMPLES)
    """Training examples that importance is estimated from, a sample drawn with ``seed``; null for all."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from without_questions(self.task)
        yield from one_of("order", self.order, self.orders)
        if self.kinds is not None and not self.kinds:
            yield "kinds: it is empty, name one or more kinds of attention, or null for all"
        yield from twice("kinds", self.kinds or [])

    @property
    def stepwise(self) -> bool:
        """Scores are estimated again before every step."""
        return self.order == "importance_stepwise"


@dataclass(kw_only=True)
class TimingSettings(Experiment):
    """Of measured speed with heads removed: those of the lowest importance, or drawn at random for random weights."""

    importance_examples: int | None = within(512, 1, EXAMPLES)
    """Training examples that importance is estimated from."""
    batch_sizes: list[int] = within([1, 4, 16, 64], 1, BATCH, fewest=1)
    """Examples a batch."""
    warmup: int = within(2, 0, ROUNDS)
    """Rounds that are not counted."""
    repeats: int = within(10, 1, ROUNDS)
    """Rounds that are, up to 20 times as many for small inputs; all variants take turns in each."""

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from twice("batch_sizes", self.batch_sizes)
