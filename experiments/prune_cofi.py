"""Learn which layers, heads, neurons and hidden dimensions can go, and distil what is left (CoFi, Xia et al. 2022).

python -m experiments.prune_cofi scale=small task=sst2 sparsity=0.9
python -m experiments.prune_cofi -m sparsity=0.6,0.75,0.9,0.95 seed=0,1,2
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.entry import run_main
from prunekit.checks import at_least, between, one_of
from prunekit.cofi import DIRECTIONS, MATCHINGS, UNITS, VARIANTS
from prunekit.config import Experiment

if TYPE_CHECKING:
    from prunekit.runs import Run

VERB, REVISION = "prune_cofi", 1


@dataclass(kw_only=True)
class StudentConfig:
    """How a student is trained; the defaults are the paper's for large tasks."""

    start: str = "auto"
    """Its first weights: ``pretrained`` or the ``teacher``'s; ``auto``: pretrained, where there are such."""
    distil_epochs: int = 1
    """Of distillation before pruning."""
    prune_epochs: int = 19
    """Of joint pruning."""
    sparsity_epochs: int = 2
    """Of these, over which the target rises from 0."""
    finetune_epochs: int = 20
    """Of the pruned model, still distilled."""
    batch_size: int = 32
    """Examples a step."""
    learning_rate: float = 2e-5
    """At the start of distillation and of pruning; decays to 0 in each."""
    finetune_learning_rate: float = 2e-5
    """Constant; the paper takes the best of 1e-5, 2e-5 and 3e-5."""
    gates_learning_rate: float | None = None
    """Of gates and multipliers; null: 0.01, and more in proportion where pruning has fewer than 3,000 steps."""
    precision: str = "float32"
    """``float32``, or ``bfloat16`` for autocast."""
    select_on: str = "train_slice"
    """Where the best weights are chosen: on a slice of the training data that the student is not trained on, or on
    the ``validation`` data that scores are reported of, as the paper does."""
    held_out: int = 1000
    """Rows of that slice."""
    evaluate_every: int = 500
    """Steps between two evaluations."""

    def problems(self) -> Iterator[str]:
        yield from one_of("start", self.start, ("auto", "pretrained", "teacher"))
        yield from one_of("select_on", self.select_on, ("train_slice", "validation"))
        yield from one_of("precision", self.precision, ("float32", "bfloat16"))
        for name in ("prune_epochs", "batch_size", "held_out", "evaluate_every"):
            yield from at_least(name, getattr(self, name), 1)
        for name in ("distil_epochs", "finetune_epochs", "sparsity_epochs"):
            yield from at_least(name, getattr(self, name), 0)
        if self.sparsity_epochs > self.prune_epochs:
            yield f"sparsity_epochs: {self.sparsity_epochs} are more than the {self.prune_epochs} epochs of pruning"
        for name in ("learning_rate", "finetune_learning_rate", "gates_learning_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                yield f"{name}: {value} must be above 0"


@dataclass(kw_only=True)
class PruneCofi(Experiment):
    """One target sparsity."""

    sparsity: float = 0.9
    """Share of the prunable parameters that goes, in (0, 1); embeddings are not prunable."""
    variant: str = "paper"
    """``paper``, or ``released``: as the authors' code computes it."""
    units: list[str] = field(default_factory=lambda: list(UNITS))
    """What has gates: some of ``hidden``, ``layers``, ``heads``, ``neurons``."""
    matching: str = "auto"
    """Which student layer learns from a teacher's: ``paper``, ``ordered``, ``any``, ``fixed``, ``none``; ``auto``:
    paper, and ordered for ``variant=released``."""
    prediction_weight: float = 0.5
    """Of the loss on predictions; the rest is on layers. The paper takes the best of 0.1, 0.3 and 0.5."""
    pred_direction: str = "distillation"
    """``distillation``: KL(teacher, student), as the released code; ``printed``: KL(student, teacher)."""
    student: StudentConfig = field(default_factory=StudentConfig)
    """How the student is trained."""
    batch_sizes: list[int] = field(default_factory=lambda: [1, 128])
    """Batch sizes at which latency is measured."""
    length: int = 128
    """Tokens of the inputs that are timed, or as many as the model has positions for."""
    repeats: int = 5
    """Timed rounds, up to 20 times as many for small inputs."""

    def __post_init__(self) -> None:
        if self.matching == "auto":
            self.matching = "ordered" if self.variant == "released" else "paper"

    def problems(self) -> Any:
        yield from super().problems()
        if not 0 < self.sparsity < 1:
            yield f"sparsity: {self.sparsity} is the share that goes, right would be between 0 and 1"
        yield from one_of("variant", self.variant, VARIANTS)
        for unit in self.units or [""]:
            yield from one_of("units", unit, UNITS)
        yield from one_of("matching", self.matching, MATCHINGS)
        yield from one_of("pred_direction", self.pred_direction, DIRECTIONS)
        yield from between("prediction_weight", self.prediction_weight, 0, 1)
        for name in ("length", "repeats"):
            yield from at_least(name, getattr(self, name), 1)
        for size in self.batch_sizes or [0]:
            yield from at_least("batch_sizes", size, 1)


def story(config: PruneCofi, run: Run) -> None:
    from experiments.cofi_run import Cell
    from prunekit import checkpoints
    from prunekit.teachers import load_teacher

    teacher = load_teacher(config, run)
    cell = Cell(config, run, teacher)
    training = cell.training()
    with run.stage("train", cell.steps) as cell.advance:
        pruned = training.run()
    checkpoints.save(pruned.model, run.folder / "model", tokenizer=teacher.tokenizer)
    small: Any = checkpoints.load(run.folder / "model", attention=config.model.attention)
    cell.finish(pruned, small.to(run.device))  # what was saved is what is evaluated and timed


def perform(config: PruneCofi) -> dict[str, Any]:
    from experiments.report import announce
    from prunekit.runs import execute

    return announce(execute(VERB, REVISION, config, story), config)


if __name__ == "__main__":
    run_main(VERB, PruneCofi, perform)
