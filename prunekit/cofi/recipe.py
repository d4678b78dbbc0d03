"""How a student is trained and pruned: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from prunekit.config.checks import one_of
from prunekit.config.choices import PRECISIONS, UNITS
from prunekit.config.ranges import BATCH, EPOCHS, EXAMPLES, RATE, STEPS, within

AFTER_WARM_UP = ("sparsity", "units")
"""Of a recipe: what the distillation before pruning does not know of. All other settings identify one."""
STUDENT_AFTER_WARM_UP = (
    "start", "prune_epochs", "sparsity_epochs", "start_sparsity", "finetune_epochs", "finetune_learning_rate",
    "gates_learning_rate", "multipliers_learning_rate", "select_on", "held_out", "evaluate_every",
)  # fmt: skip
"""The same of how a student is trained. (Its first weights and its data are identified by their contents.)"""


@dataclass(kw_only=True)
class StudentConfig:
    """How a student is trained; the defaults are the paper's for large tasks (Xia et al. 2022, App. A)."""

    start: str = "auto"
    """Its first weights: ``pretrained`` or the ``teacher``'s; ``auto``: pretrained, where there are such."""
    distil_epochs: int = within(1, 0, EPOCHS)
    """Of distillation before pruning."""
    prune_epochs: int = within(19, 1, EPOCHS)
    """Of joint pruning."""
    sparsity_epochs: int = within(2, 0, EPOCHS)
    """Of these, over which the target rises."""
    start_sparsity: float | None = within(0.0, 0, 1)
    """From where it rises; null: from what gates are expected to remove before they learn, so that a short schedule
    does not begin by opening them."""
    finetune_epochs: int = within(20, 0, EPOCHS)
    """Of the pruned model, still distilled."""
    batch_size: int = within(32, 1, BATCH)
    """Examples a step."""
    learning_rate: float = within(2e-5, 0, RATE, above=True)
    """At the start of distillation and of pruning; decays to 0 in each."""
    finetune_learning_rate: float = within(2e-5, 0, RATE, above=True)
    """Constant; the paper takes the best of 1e-5, 2e-5 and 3e-5."""
    gates_learning_rate: float | None = within(None, 0, RATE, above=True)
    """Of the gates; null: 0.01, and more in proportion where pruning has fewer than 3,000 steps."""
    multipliers_learning_rate: float | None = within(None, 0, RATE, above=True)
    """Of the two multipliers; null: as the gates'. More of it overshoots the target less in short schedules."""
    precision: str = "float32"
    """``float32``, or ``bfloat16`` for autocast."""
    teacher_gigabytes: float = within(3.0, 0, 1e9, infinite=True)
    """Memory for what the teacher says of every example, kept from the first epoch on where it fits into so much (inf:
    always); 0 asks the teacher at every step (as ``variant=released``, which also learns from padding, always does)."""
    select_on: str = "train_slice"
    """Where the best weights are chosen: on a slice of the training data that the student is not trained on, or on
    the ``validation`` data that scores are reported of, as the paper does."""
    held_out: int = within(1000, 1, EXAMPLES)
    """Rows of that slice."""
    evaluate_every: int = within(500, 1, STEPS)
    """Steps between two evaluations."""

    def problems(self) -> Iterator[str]:
        yield from one_of("start", self.start, ("auto", "pretrained", "teacher"))
        yield from one_of("select_on", self.select_on, ("train_slice", "validation"))
        yield from one_of("precision", self.precision, PRECISIONS)
        if self.sparsity_epochs > self.prune_epochs:
            yield f"sparsity_epochs: {self.sparsity_epochs} are more than the {self.prune_epochs} epochs of pruning"

    def steps(self, examples: int, epochs: int) -> int:
        """Optimiser steps of so many epochs."""
        return epochs * -(-examples // self.batch_size)

    @property
    def epochs(self) -> int:
        """Of all stages together."""
        return self.distil_epochs + self.prune_epochs + self.finetune_epochs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a student becomes, and what it learns from."""

    sparsity: float
    """Share of the prunable parameters that goes, in (0, 1)."""
    variant: str = "paper"
    units: tuple[str, ...] = UNITS
    """What has gates."""
    matching: str = "paper"
    """Of layers, see :class:`prunekit.cofi.distillation.LayerDistillation`."""
    learn_from: str = "teacher"
    """Answers: the ``teacher``'s predictions, or the ``labels``."""
    prediction_weight: float = 0.5
    """Of the loss on answers; the rest is on layers. Without matching all of it is on answers."""
    pred_direction: str = "distillation"
    seed: int = 0
    student: StudentConfig = field(default_factory=StudentConfig)

    def warm_up(self) -> dict[str, Any]:
        """All settings that may change what comes of the distillation before pruning."""
        own = asdict(self)
        how = {name: value for name, value in own.pop("student").items() if name not in STUDENT_AFTER_WARM_UP}
        return {name: value for name, value in own.items() if name not in AFTER_WARM_UP} | {"student": how}
