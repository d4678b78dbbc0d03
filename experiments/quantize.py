"""Put a model into 8 bits, whole or pruned, after training or trained for it (Q8BERT, Zafrir et al. 2019); serve it.

python -m experiments.quantize source=runs/prune_fisher/RUN_ID
python -m experiments.quantize source=runs/prune_cofi/RUN_ID quantization=aware
python -m experiments.quantize -m scale=small task=mrpc remaining=1,0.5,0.1 quantization=dynamic,aware
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli.verb import verb
from experiments.prune_cofi import PruneCofi
from experiments.prune_cofi import main as prune_cofi
from prunekit.quantization.settings import QuantizeSettings
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from prunekit.runs.execute import Run


@dataclass(kw_only=True)
class Quantize(QuantizeSettings):
    """One model in 8 bits, beside itself and the whole one in float32."""


def procedure(config: Quantize, run: Run) -> None:
    from prunekit.models import checkpoints
    from prunekit.models.pretrained import on_device
    from prunekit.quantization.quantized_run import QuantizedRun
    from prunekit.runs.teachers import load_teacher

    folder = saved_model(config)  # what is wrong with it is refused before a teacher is trained
    teacher = load_teacher(config, run)
    small = None
    if folder is not None:
        check_teacher(folder, run)
        small = on_device(checkpoints.load(folder / "model", attention=config.model.attention), run.device)
    QuantizedRun(config, run, teacher, small).perform()


def saved_model(config: Quantize) -> Path | None:
    """Folder of the run whose pruned model is quantised; None for the teacher itself."""
    from prunekit.runs.saved_run import read_saved_run

    if config.source is not None:
        saved = read_saved_run(config.source, config.run.folder)
        return None if saved.record["verb"] == "finetune" else saved.folder
    if config.remaining == 1:
        return None
    wanted = PruneCofi(
        model=config.model, task=config.task, train=config.train, scale=config.scale, teacher=config.teacher,
        run=dataclasses.replace(config.run, force=False), evaluation=config.evaluation, seed=config.seed,
        sparsity=round(1 - config.remaining, 9), structure="fisher", student=config.student,
        repeats=config.scale.repeats,
    )  # fmt: skip
    folder = Path(config.run.folder) / prune_cofi.name / prune_cofi.execute(wanted)["run_id"]
    if not (folder / "model").exists():  # a record without its weights, as logged runs are
        prune_cofi.execute(dataclasses.replace(wanted, run=dataclasses.replace(config.run, force=True)))
    return folder


def check_teacher(folder: Path, run: Run) -> None:
    """Refuse a model that was pruned from another teacher than the one it would be compared with.

    Raises:
        UserError: it was.
    """
    from prunekit.runs.finished import read_result

    record = read_result(folder)
    before = None if record is None else record["model"].get("fingerprint")
    if before is not None and before != run.model.get("fingerprint"):
        raise UserError(
            f"source: {folder} was pruned from a teacher of other weights than the one of run.folder; give run.folder "
            "of the runs that it is one of"
        )


main = verb("quantize", Quantize, procedure, revision=1, measures_time=True)

if __name__ == "__main__":
    main()
