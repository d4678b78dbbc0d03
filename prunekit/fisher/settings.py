"""What pruning by Fisher information is told: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prunekit.config.checks import one_of
from prunekit.config.choices import NEED_GRADIENTS, UNIT_SCORES, VARIANTS
from prunekit.stages.settings import BudgetSettings


@dataclass(kw_only=True)
class FisherSettings(BudgetSettings):
    """One budget for heads and neurons together (Kwon et al. 2022)."""

    variant: str = "paper"
    """``paper``, or ``released``: as the authors' code computes it."""
    score: str = "fisher"
    """What units are worth: ``fisher``; ``importance`` (Michel et al. 2019), ``magnitude`` and ``random`` under the
    same budget, for comparison."""
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

    def __post_init__(self) -> None:
        released = self.variant == "released"
        self.rearrange = self.score == "fisher" if self.rearrange is None else self.rearrange
        if self.target == "auto":
            self.target = "assistant" if released else "dense"
        if self.on_failure == "auto":
            self.on_failure = "stop" if released else "skip"

    @property
    def uses_labels(self) -> bool:
        """A loss is taken, by gold or predicted labels."""
        return self.score in NEED_GRADIENTS

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from one_of("variant", self.variant, VARIANTS)
        yield from one_of("score", self.score, UNIT_SCORES)
        yield from one_of("target", self.target, ("dense", "assistant"))
        yield from one_of("on_failure", self.on_failure, ("skip", "stop"))
        if self.labels == "predicted" and self.score in UNIT_SCORES and not self.uses_labels:
            yield f"labels: score={self.score} looks at no label, use labels=gold"
        if self.rearrange and self.score != "fisher":
            yield f"rearrange: it needs Fisher information, use rearrange=false with score={self.score}"
