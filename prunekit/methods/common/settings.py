"""What pruning by any method is told: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prunekit.config.checks import one_of
from prunekit.config.choices import ALL_BUDGETS, REFINEMENTS, REFITS
from prunekit.methods.common.options import declared_flag, label_problems, option_problems
from prunekit.methods.common.registry import names
from prunekit.stages.settings import BudgetSettings


@dataclass(kw_only=True)
class MethodConfig:
    """Which method: a preset of ``conf/method/``."""

    name: str = "fisher"
    """Of its file in ``prunekit/methods/``."""
    options: dict[str, Any] = field(default_factory=dict)
    """Those of the method alone, by name: ``method.options.NAME=VALUE``."""

    def problems(self) -> Iterator[str]:
        yield from one_of("name", self.name, names())
        yield from option_problems(self.name, self.options)


@dataclass(kw_only=True)
class CompressSettings(BudgetSettings):
    """One method, one budget."""

    method: MethodConfig = field(default_factory=MethodConfig)
    """The method."""
    budget: str = "mac"
    """What ``constraint`` limits: ``mac``, at the task's mean length; ``latency``, measured on this machine;
    ``parameters`` of the layers."""
    refine: str = "auto"
    """Exchange of units within a sublayer after the search: ``none``, ``rearrange`` by all Fisher information (Kwon et
    al. 2022), ``swap`` while the refitted error falls (Meng et al. 2024); ``auto``: the method's own."""
    refit: str = "auto"
    """What is fitted to the whole model's outputs then: ``none``, ``scales`` of units, whole output ``weights``, or a
    ``bias`` for the mean of what is gone; ``auto``: the method's own, after ``swap`` ``weights`` for scales."""
    uniform: bool = False
    """Keep the same numbers of heads and of neurons in every layer: a plain encoder of another size."""
    all_heads: bool = False
    """With ``uniform=true``: all heads stay; stock transformers has such shapes (``format=plain`` of `export`)."""

    def budgets(self) -> tuple[str, ...]:
        return ALL_BUDGETS

    @property
    def uses_labels(self) -> bool | None:
        """A loss is taken, by gold or predicted labels; None where the method's file alone does not say it."""
        return declared_flag(self.method.name, "labels")

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.uses_labels is False:
            yield from label_problems(self.method.name, self.labels)
        yield from one_of("refine", self.refine, ("auto", *REFINEMENTS))
        yield from one_of("refit", self.refit, ("auto", *REFITS))
