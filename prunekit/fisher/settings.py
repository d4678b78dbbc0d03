"""What pruning to a budget without training is told: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prunekit.config.checks import one_of, twice
from prunekit.config.choices import BUDGETS, LABELS, UNIT_SCORES, VARIANTS
from prunekit.config.ranges import BATCH, EXAMPLES, ROUNDS, within
from prunekit.config.sections import Experiment
from prunekit.config.task import without_translation


@dataclass(kw_only=True)
class FisherSettings(Experiment):
    """One budget for heads and neurons together (Kwon et al. 2022)."""

    constraint: float = within(0.5, 0, 1, above=True, below=True)
    """Share of the unpruned layers' MACs (or latency) that may remain, in (0, 1)."""
    budget: str = "mac"
    """What ``constraint`` limits: ``mac``, at the task's mean length, or ``latency``, measured on this machine."""
    variant: str = "paper"
    """``paper``, or ``released``: as the authors' code computes it."""
    score: str = "fisher"
    """What units are worth: ``fisher``; ``importance`` (Michel et al. 2019), ``magnitude`` and ``random`` under the
    same budget, for comparison."""
    labels: str = "gold"
    """Labels of the calibration data: ``gold``, or ``predicted`` by the model itself (no annotation needed)."""
    calibration_examples: int = within(2048, 1, EXAMPLES)
    """Training examples that gradients and mask tuning are computed from."""
    rearrange: bool | None = None
    """Rearrange the masks that the search found; null: yes for ``score=fisher``, whose information it uses."""
    tune: bool = True
    """Tune the kept masks by layer-wise least squares."""
    target: str = "auto"
    """What mask tuning reconstructs: the ``dense`` model, or the ``assistant`` masked at √constraint; ``auto``: dense,
    and assistant for ``variant=released``."""
    on_failure: str = "auto"
    """A sublayer that cannot be tuned is left out and later ones are tuned (``skip``), or none after it
    (``stop``); ``auto``: skip, and stop for ``variant=released``."""
    batch_sizes: list[int] = within([1, 32], 1, BATCH, fewest=1)
    """Batch sizes at which latency is measured; a latency budget is for the last."""
    repeats: int = within(5, 1, ROUNDS)
    """Timed rounds, up to 20 times as many for small inputs."""

    def __post_init__(self) -> None:
        released = self.variant == "released"
        self.rearrange = self.score == "fisher" if self.rearrange is None else self.rearrange
        if self.target == "auto":
            self.target = "assistant" if released else "dense"
        if self.on_failure == "auto":
            self.on_failure = "stop" if released else "skip"

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from without_translation(self.task)
        yield from one_of("budget", self.budget, BUDGETS)
        yield from one_of("variant", self.variant, VARIANTS)
        yield from one_of("score", self.score, UNIT_SCORES)
        yield from one_of("labels", self.labels, LABELS)
        yield from one_of("target", self.target, ("dense", "assistant"))
        yield from one_of("on_failure", self.on_failure, ("skip", "stop"))
        yield from twice("batch_sizes", self.batch_sizes)
        if self.rearrange and self.score != "fisher":
            yield f"rearrange: it needs Fisher information, use rearrange=false with score={self.score}"
