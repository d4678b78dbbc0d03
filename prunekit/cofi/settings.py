"""What pruning by learned gates, and its baselines, are told: settings alone, readable without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from prunekit.cofi.recipe import Recipe, StudentConfig
from prunekit.config.checks import one_of, twice
from prunekit.config.choices import ANSWERS, DIRECTIONS, MATCHINGS, STRUCTURES, UNITS, VARIANTS
from prunekit.config.ranges import BATCH, LENGTH, ROUNDS, within
from prunekit.config.sections import Experiment
from prunekit.config.task import without_translation


@dataclass(kw_only=True)
class CofiSettings(Experiment):
    """One target sparsity (Xia et al. 2022)."""

    sparsity: float = within(0.9, 0, 1, above=True, below=True)
    """Share of the prunable parameters that goes, in (0, 1); embeddings are not prunable."""
    structure: str = "learned"
    """What stays: ``learned``, or of a baseline that is trained as long: ``random`` units in the shape of the learned
    model, the best heads and neurons by ``fisher`` or ``magnitude``, whole ``layers``, a small ``dense`` model; or by
    another method of ``prunekit/methods/``, which is trained on from the weights that the method leaves."""
    variant: str = "paper"
    """``paper``, or ``released``: as the authors' code computes it."""
    units: list[str] = field(default_factory=lambda: list(UNITS))
    """What has gates: some of ``hidden``, ``layers``, ``heads``, ``neurons``."""
    matching: str = "auto"
    """Which student layer learns from a teacher's: ``paper``, ``ordered``, ``any``, ``fixed``, ``none``; ``auto``:
    paper, and ordered for ``variant=released``."""
    learn_from: str = "teacher"
    """Answers: the ``teacher``'s predictions, or the ``labels``."""
    prediction_weight: float = within(0.5, 0, 1)
    """Of the loss on answers; the rest is on layers. The paper takes the best of 0.1, 0.3 and 0.5."""
    pred_direction: str = "distillation"
    """``distillation``: KL(teacher, student), as the released code; ``printed``: KL(student, teacher)."""
    student: StudentConfig = field(default_factory=StudentConfig)
    """How the student is trained."""
    batch_sizes: list[int] = within([1, 128], 1, BATCH, fewest=1)
    """Batch sizes at which latency is measured."""
    length: int = within(128, 1, LENGTH)
    """Tokens of the inputs that are timed, or as many as the model has positions for."""
    repeats: int = within(5, 1, ROUNDS)
    """Timed rounds, up to 20 times as many for small inputs."""

    def __post_init__(self) -> None:
        if self.matching == "auto":
            self.matching = "ordered" if self.variant == "released" else "paper"

    @property
    def starts_from_model(self) -> bool:
        return self.student.start == "pretrained"

    def structures(self) -> tuple[str, ...]:
        """What ``structure`` may be."""
        return STRUCTURES

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from without_translation(self.task)
        yield from one_of("structure", self.structure, self.structures())
        yield from one_of("variant", self.variant, VARIANTS)
        if not self.units:
            yield f"units: it is empty, choose from {', '.join(UNITS)}"
        for unit in self.units:
            yield from one_of("units", unit, UNITS)
        yield from one_of("matching", self.matching, MATCHINGS)
        yield from one_of("learn_from", self.learn_from, ANSWERS)
        yield from one_of("pred_direction", self.pred_direction, DIRECTIONS)
        yield from twice("units", self.units)
        yield from twice("batch_sizes", self.batch_sizes)

    @property
    def recipe(self) -> Recipe:
        """What the student becomes and learns from."""
        return Recipe(
            sparsity=self.sparsity, variant=self.variant, units=tuple(self.units), matching=self.matching,
            learn_from=self.learn_from, prediction_weight=self.prediction_weight,
            pred_direction=self.pred_direction, seed=self.seed, student=self.student,
        )  # fmt: skip
