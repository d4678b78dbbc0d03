"""Learn which layers, heads, neurons and hidden dimensions can go, and distil what is left (CoFi, Xia et al. 2022).

python -m experiments.prune_cofi scale=small task=sst2 sparsity=0.9
python -m experiments.prune_cofi -m sparsity=0.6,0.75,0.9,0.95 seed=0,1,2
python -m experiments.prune_cofi -m sparsity=0.9 structure=learned,random,fisher,magnitude,layers,dense,flap
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli.verb import verb
from prunekit.cofi.settings import CofiSettings
from prunekit.config.choices import STRUCTURES
from prunekit.methods.common import registry

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prunekit.cofi.student_run import StudentRun
    from prunekit.models.masks import Masks
    from prunekit.runs.execute import Run


@dataclass(kw_only=True)
class PruneCofi(CofiSettings):
    """One target sparsity."""

    def structures(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*STRUCTURES, *registry.names())))


def procedure(config: PruneCofi, run: Run) -> None:
    from prunekit.cofi.student_run import StudentRun
    from prunekit.models import checkpoints
    from prunekit.models.pretrained import on_device
    from prunekit.runs.teachers import load_teacher

    teacher = load_teacher(config, run)
    shape = learned_shape(config, run) if config.structure == "random" else None
    student = StudentRun(config, run, teacher)
    start = one_shot(config, run, student) if config.structure not in STRUCTURES else None
    with run.stage("train", student.steps) as student.advance:
        pruned = student.train(shape, start)
    checkpoints.save(pruned.model, run.folder / "model", tokenizer=teacher.tokenizer)
    small = checkpoints.load(run.folder / "model", attention=config.model.attention)
    student.finish(pruned, on_device(small, run.device))  # what was saved is what is evaluated and timed


def one_shot(config: PruneCofi, run: Run, student: StudentRun) -> tuple[PreTrainedModel, Masks]:
    """What a method without training makes of the teacher, and the masks by which it was cut."""
    from prunekit.methods.common.compression import compressions
    from prunekit.stages.calibration import calibration_batches

    whole, batches = student.teacher.model, calibration_batches(student.calibration)
    with run.stage("scores"):
        *_, last = compressions(
            whole, batches, config.structure, 1 - config.sparsity, "parameters", seed=config.seed,
            folder=config.run.folder,
        )  # fmt: skip
    return last.smaller(whole), last.masks.kept()


def learned_shape(config: PruneCofi, run: Run) -> dict[str, list[int]]:
    """Units that are kept in the learned model of the same settings, by group and layer; it is trained if need be."""
    import pandas as pd

    from prunekit.runs.execute import Ahead

    learned = dataclasses.replace(config, structure="learned", run=dataclasses.replace(config.run, force=False))
    record = main.execute(learned, ahead=Ahead(run, "learned model"))
    units = pd.read_csv(Path(config.run.folder) / main.name / record["run_id"] / "tables" / "kept.csv")
    return {str(unit): rows.sort_values("layer")["kept"].tolist() for unit, rows in units.groupby("unit")}


def revision(config: PruneCofi) -> int:
    """3: questions without padding in losses on labels; the released LayerNorms and counted sparsity; K-prune by MACs.
    """
    of_padding = config.task.questions and (config.learn_from == "labels" or config.structure == "fisher")
    of_norms = config.variant == "released" and config.structure in ("learned", "random")
    return 3 if of_padding or of_norms or config.structure == "kprune" else 2


main = verb("prune_cofi", PruneCofi, procedure, revision=revision)

if __name__ == "__main__":
    main()
