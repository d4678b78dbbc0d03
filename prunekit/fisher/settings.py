"""What pruning to a budget without training is told: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prunekit.config.checks import at_least, one_of
from prunekit.config.choices import BUDGETS, LABELS, UNIT_SCORES, VARIANTS
from prunekit.config.sections import Experiment
from prunekit.config.task import without_translation


@dataclass(kw_only=True)
class FisherSettings(Experiment):
    """One budget for heads and neurons together (Kwon et al. 2022)."""

    constraint: float = 0.5
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
    calibration_examples: int = 2048
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
    batch_sizes: list[int] = field(default_factory=lambda: [1, 32])
    """Batch sizes at which latency is measured; a latency budget is for the last."""
    repeats: int = 5
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
        if not 0 < self.constraint < 1:
            yield f"constraint: {self.constraint} is the share that may remain, right would be between 0 and 1"
        yield from one_of("budget", self.budget, BUDGETS)
        yield from one_of("variant", self.variant, VARIANTS)
        yield from one_of("score", self.score, UNIT_SCORES)
        yield from one_of("labels", self.labels, LABELS)
        yield from one_of("target", self.target, ("dense", "assistant"))
        yield from one_of("on_failure", self.on_failure, ("skip", "stop"))
        yield from at_least("calibration_examples", self.calibration_examples, 1)
        yield from at_least("repeats", self.repeats, 1)
        for size in self.batch_sizes or [0]:
            yield from at_least("batch_sizes", size, 1)
        if self.rearrange and self.score != "fisher":
            yield f"rearrange: it needs Fisher information, use rearrange=false with score={self.score}"
