"""What pruning to a budget without training is told, whatever the method: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prunekit.config.checks import one_of, twice
from prunekit.config.choices import BUDGETS, LABELS
from prunekit.config.ranges import BATCH, EXAMPLES, ROUNDS, within
from prunekit.config.sections import Experiment
from prunekit.config.task import without_translation

ALL_LABELLED = ("demo", "nyu-mll/glue")
"""Sources of classes whose training rows all have a label."""


@dataclass(kw_only=True)
class BudgetSettings(Experiment):
    """One budget for heads and neurons together."""

    constraint: float = within(0.5, 0, 1, above=True, below=True)
    """Share of the unpruned layers' MACs (or latency) that may remain, in (0, 1)."""
    budget: str = "mac"
    """What ``constraint`` limits: ``mac``, at the task's mean length, or ``latency``, measured on this machine."""
    labels: str = "gold"
    """Labels of the calibration data: ``gold``, or ``predicted`` by the model itself (no annotation needed)."""
    calibration_examples: int = within(2048, 1, EXAMPLES)
    """Training examples that the method looks at."""
    batch_sizes: list[int] = within([1, 32], 1, BATCH, fewest=1)
    """Batch sizes at which latency is measured; a latency budget is for the last."""
    repeats: int = within(5, 1, ROUNDS)
    """Timed rounds, up to 20 times as many for small inputs."""

    def may_lack_labels(self) -> bool:
        """Training rows may have no label: what needs none drew from these, too, before all drew from the same rows."""
        return self.task.kind == "classification" and self.task.source not in ALL_LABELLED

    def budgets(self) -> tuple[str, ...]:
        """What ``budget`` may be."""
        return BUDGETS

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from without_translation(self.task)
        yield from one_of("budget", self.budget, self.budgets())
        yield from one_of("labels", self.labels, LABELS)
        if self.labels == "predicted" and self.task.kind == "regression":
            yield "labels: a regression model is never wrong about its own prediction, use labels=gold"
        yield from twice("batch_sizes", self.batch_sizes)
