"""Learn which layers, heads, neurons and hidden dimensions can go, and distil what is left (CoFi, Xia et al. 2022).

python -m experiments.prune_cofi scale=small task=sst2 sparsity=0.9
python -m experiments.prune_cofi -m sparsity=0.6,0.75,0.9,0.95 seed=0,1,2
python -m experiments.prune_cofi -m sparsity=0.9 structure=learned,random,fisher,magnitude,layers,dense
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.checks import at_least, between, one_of
from prunekit.cofi import ANSWERS, DIRECTIONS, MATCHINGS, STRUCTURES, UNITS, VARIANTS
from prunekit.cofi.recipe import StudentConfig
from prunekit.config import Experiment
from prunekit.task_config import without_translation

if TYPE_CHECKING:
    from prunekit.runs import Run


@dataclass(kw_only=True)
class PruneCofi(Experiment):
    """One target sparsity."""

    sparsity: float = 0.9
    """Share of the prunable parameters that goes, in (0, 1); embeddings are not prunable."""
    structure: str = "learned"
    """What stays: ``learned``, or of a baseline that is trained as long: ``random`` units in the shape of the learned
    model, the best heads and neurons by ``fisher`` or ``magnitude``, whole ``layers``, a small ``dense`` model."""
    variant: str = "paper"
    """``paper``, or ``released``: as the authors' code computes it."""
    units: list[str] = field(default_factory=lambda: list(UNITS))
    """What has gates: some of ``hidden``, ``layers``, ``heads``, ``neurons``."""
    matching: str = "auto"
    """Which student layer learns from a teacher's: ``paper``, ``ordered``, ``any``, ``fixed``, ``none``; ``auto``:
    paper, and ordered for ``variant=released``."""
    learn_from: str = "teacher"
    """Answers: the ``teacher``'s predictions, or the ``labels``."""
    prediction_weight: float = 0.5
    """Of the loss on answers; the rest is on layers. The paper takes the best of 0.1, 0.3 and 0.5."""
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
        yield from without_translation(self.task)
        if not 0 < self.sparsity < 1:
            yield f"sparsity: {self.sparsity} is the share that goes, right would be between 0 and 1"
        yield from one_of("structure", self.structure, STRUCTURES)
        yield from one_of("variant", self.variant, VARIANTS)
        for unit in self.units or [""]:
            yield from one_of("units", unit, UNITS)
        yield from one_of("matching", self.matching, MATCHINGS)
        yield from one_of("learn_from", self.learn_from, ANSWERS)
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
    shape = learned_shape(config) if config.structure == "random" else None
    cell = Cell(config, run, teacher)
    with run.stage("train", cell.steps) as cell.advance:
        pruned = cell.train(shape)
    checkpoints.save(pruned.model, run.folder / "model", tokenizer=teacher.tokenizer)
    small: Any = checkpoints.load(run.folder / "model", attention=config.model.attention)
    cell.finish(pruned, small.to(run.device))  # what was saved is what is evaluated and timed


def learned_shape(config: PruneCofi) -> dict[str, list[int]]:
    """Units that are kept in the learned model of the same settings, by group and layer; it is trained if need be."""
    import pandas as pd

    learned = dataclasses.replace(config, structure="learned", run=dataclasses.replace(config.run, force=False))
    record = main.execute(learned)
    kept = pd.read_csv(Path(config.run.folder) / main.name / record["run_id"] / "tables" / "kept.csv")
    return {str(unit): rows.sort_values("layer")["kept"].tolist() for unit, rows in kept.groupby("unit")}


main = verb("prune_cofi", PruneCofi, story, revision=2)

if __name__ == "__main__":
    main()
