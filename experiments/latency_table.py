"""How long a layer takes with fewer heads and neurons: the table that a latency budget is searched in.

python -m experiments.latency_table scale=small
python -m experiments.latency_table model=bert-base model.weights=random length=128 batch_size=32
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.config.ranges import BATCH, LENGTH, ROUNDS, UNITS_OF_A_LAYER, within
from prunekit.config.sections import Experiment
from prunekit.config.task import without_translation

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prunekit.runs.execute import Run


@dataclass(kw_only=True)
class LatencyTableSettings(Experiment):
    """Measured latency of attention by heads and of the FFN by neurons; `prune_fisher` finds the same table."""

    batch_size: int = within(32, 1, BATCH)
    """Examples a batch."""
    length: int | None = within(None, 1, LENGTH)
    """Tokens an example, unpadded; null for the mean length of the evaluation data (needs a tokenizer)."""
    stride: int = within(32, 1, UNITS_OF_A_LAYER)
    """Between measured numbers of neurons; those in between are interpolated."""
    warmup: int = within(2, 0, ROUNDS)
    """Rounds that are not counted."""
    repeats: int = within(5, 1, ROUNDS)
    """Rounds that are, up to 20 times as many for small inputs; all numbers of units take turns in each."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_translation(self.task)
        if self.length is None and self.model.weights == "random":
            yield "length: random weights have no tokenizer to measure the data's mean length with, give length=N"


def procedure(config: LatencyTableSettings, run: Run) -> None:
    import dataclasses

    from prunekit.data.kinds import encode_for, new_tokenizer
    from prunekit.data.rows import load_rows
    from prunekit.data.tokenizers import load_tokenizer
    from prunekit.evaluation.evaluate import model_record
    from prunekit.models import checkpoints
    from prunekit.models.blocks import call_order
    from prunekit.models.input_tables import check_length
    from prunekit.models.pretrained import on_device
    from prunekit.runs.run_data import evaluation_rows
    from prunekit.runs.teachers import new_model, teacher_record
    from prunekit.stages.score.projection_inputs import SUBLAYERS
    from prunekit.stages.search.latency import latency_table

    model: PreTrainedModel
    if config.teacher is not None:
        model = checkpoints.load(config.teacher, attention=config.model.attention)
    else:
        model, _ = new_model(config.model, config.task, config.seed)  # weights take the same time whatever they are
    model = on_device(model.double() if config.dtype == "float64" else model, run.device)
    if config.teacher is not None:
        run.model = teacher_record(model, config.teacher)
    else:
        run.model = model_record(model, config.model.name, config.model.path, config.model.weights)
    length = config.length
    if length is None:
        rows = evaluation_rows(config, run)
        path = config.teacher or config.model.path
        if path is None:  # as a teacher would have it
            training = load_rows(config.task, config.task.train).sample(config.train.examples)
            tokenizer = new_tokenizer(config.model, training)
        else:
            tokenizer = load_tokenizer(dataclasses.replace(config.model, path=path))
        length, _ = encode_for(model, rows, tokenizer).mean_lengths
    check_length("length", length, model)
    with run.stage("measure"):
        table = latency_table(
            model, config.batch_size, length, config.run.folder, dtype=config.dtype, stride=config.stride,
            warmup=config.warmup, repeats=config.repeats, fresh=config.run.force,
        )  # fmt: skip
    run.table("latency", list(table.rows))
    dense = table.model_milliseconds(model)
    without = {name: table.milliseconds(name, [0])[0] for name in SUBLAYERS}
    run.metrics = {
        "batch_size": config.batch_size, "length": length, "layers_ms": dense,
        "share_without_units": len(call_order(model)) * float(sum(without.values())) / dense,
    }  # fmt: skip


main = verb("latency_table", LatencyTableSettings, procedure, revision=1, measures_time=True, scores=False)

if __name__ == "__main__":
    main()
