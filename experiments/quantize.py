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

from experiments.cli.again import command_of
from experiments.cli.verb import verb
from experiments.prune_cofi import PruneCofi
from experiments.prune_cofi import main as prune_cofi
from prunekit.config.checks import shares_threads
from prunekit.quantization.settings import QuantizeSettings
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    import torch

    from prunekit.runs.execute import Run
    from prunekit.runs.saved_run import SavedRun


@dataclass(kw_only=True)
class Quantize(QuantizeSettings):
    """One model in 8 bits, beside itself and the whole one in float32."""


def procedure(config: Quantize, run: Run) -> None:
    from prunekit.models import checkpoints
    from prunekit.models.pretrained import on_device
    from prunekit.quantization.quantized_run import QuantizedRun
    from prunekit.runs.finished import unchanged
    from prunekit.runs.teachers import load_teacher
    from prunekit.support.fingerprints import weights_fingerprint

    saved = saved_run(config, run)  # what is wrong with it is refused before a teacher is trained
    teacher = load_teacher(config, run)
    small = None
    if saved is not None:
        check_teacher(saved, run)
        if saved.record["verb"] != "finetune":  # else it is the teacher's own
            with unchanged(saved.folder):
                small = on_device(checkpoints.load(saved.model_folder, attention=config.model.attention), run.device)
            run.model = run.model | {"pruned_run": saved.name, "pruned_fingerprint": weights_fingerprint(small)}
    QuantizedRun(config, run, teacher, small).perform()


def saved_run(config: Quantize, run: Run) -> SavedRun | None:
    """The run whose model is quantised; None for the teacher, wherever it is from."""
    from prunekit.runs.execute import Ahead
    from prunekit.runs.saved_run import SavedRun, read_saved_run

    if config.source is not None:
        return read_saved_run(config.source, config.run.folder, command_of)
    if config.remaining == 1:
        return None
    record = prune_cofi.execute(as_pruned(config), needs_model=True, ahead=Ahead(run, "pruned model"))
    return SavedRun(Path(config.run.folder) / prune_cofi.name / record["run_id"], record)


def as_pruned(config: Quantize) -> PruneCofi:
    """The run that makes the model of ``remaining``."""
    return PruneCofi(
        model=config.model, task=config.task, train=config.train, scale=config.scale, teacher=config.teacher,
        run=dataclasses.replace(config.run, force=False), evaluation=config.evaluation, seed=config.seed,
        sparsity=round(1 - config.remaining, 9), structure="fisher", student=config.student,
        repeats=config.student_repeats,
    )  # fmt: skip


def check_teacher(saved: SavedRun, run: Run) -> None:
    """Refuse a run of another teacher, or of a model pruned from it, than the one it would be compared with.

    Raises:
        UserError: it is.
    """
    before = saved.record["model"].get("fingerprint")
    if before is not None and before != run.model.get("fingerprint"):
        raise UserError(
            f"source: {saved.folder} is of, or was pruned from, a teacher of other weights than the one of run.folder; "
            "give run.folder of the runs that it is one of"
        )


def revision(config: Quantize) -> int:
    """1, with several threads 2, and of pruned models more: by as much as `prune_cofi` was raised since it was at 2."""
    whole = config.source is not None or config.remaining == 1
    return (1 if whole else prune_cofi.revision(as_pruned(config)) - 1) + shares_threads(["onnx"], config.run.threads)


def needs(config: Quantize, device: torch.device) -> None:
    """
    Raises:
        UserError: this machine has no ONNX Runtime, or none that multiplies in 8 bits.
    """
    from prunekit.models.export.sessions import check_int8, check_runtimes

    check_runtimes("quantization", ["onnx"], device)
    check_int8(f"quantization: {config.quantization}", "run it on another machine")


main = verb("quantize", Quantize, procedure, revision=revision, measures_time=True,
            needs=needs, again=command_of)  # fmt: skip

if __name__ == "__main__":
    main()
