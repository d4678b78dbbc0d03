"""Models of random weights in the shapes that runs recorded, and how fast they are."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from prunekit.cofi.structures import drawn, small_dense
from prunekit.data.kinds import new_tokenizer
from prunekit.data.rows import load_rows
from prunekit.evaluation.evaluate import model_record
from prunekit.evaluation.speed import latency_rows
from prunekit.heads.settings import TimingSettings
from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.models.input_tables import check_length, positions
from prunekit.models.pretrained import on_device
from prunekit.models.surgery import prune
from prunekit.runs.execute import Run
from prunekit.runs.recorded_shape import RecordedShape
from prunekit.runs.runtime_speed import time_runtimes
from prunekit.runs.teachers import new_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def whole_model(shape: RecordedShape, seed: int) -> PreTrainedModel:
    """The model before pruning, with random weights."""
    tokenizer = None
    if shape.model.path is None:  # the size of the vocabulary is that of the training data
        rows = load_rows(shape.task, shape.task.train).sample(shape.train.examples)
        tokenizer = new_tokenizer(shape.model, rows)
    model, _ = new_model(shape.model, shape.task, seed, tokenizer)
    return model.eval()


def shaped(dense: PreTrainedModel, shape: RecordedShape, seed: int) -> PreTrainedModel:
    """What pruning left of ``dense``: as many units of every sublayer, whichever they are.

    Raises:
        UserError: parameters or MACs are not those that the run recorded.
    """
    structure = shape.config.get("structure")
    if structure == "dense":  # no part of the whole model, but one of its own
        small = small_dense(dense, float(shape.config["sparsity"]), seed)
    else:
        layout = describe(dense)
        whole = {f"{kind} layers": [1] * len(layout.of_kind(kind)) for kind in layout.kinds}
        whole |= {"ffn layers": [1] * len(layout.ffn), "hidden": [layout.hidden]}
        masks = drawn(dense, whole | shape.counts, seed)
        released = shape.config.get("variant") == "released" and structure in ("learned", "random")
        small = prune(dense, dataclasses.replace(masks, skip_norms=released))
    before, after = (cost(model, shape.length) for model in (dense, small))
    shape.check((before.parameters, before.macs), (after.parameters, after.macs))
    return small.eval()


def time_shape(
    shape: RecordedShape, lengths: list[int], config: TimingSettings, run: Run, runtimes: list[str]
) -> None:
    """Procedure of `time_inference` for a recorded shape: dense and pruned in turn, at every length and batch size.

    Raises:
        UserError: no length that the model has positions for, or see :func:`shaped`.
    """
    dense = whole_model(shape, config.seed)
    small = on_device(shaped(dense, shape, config.seed), run.device)
    named = model_record(dense, config.model.name, config.model.path, "random")
    run.model = named | {"shape_of": shape.name, "shape_fingerprint": shape.fingerprint}
    dense = on_device(dense, run.device)
    check_length("lengths", min(lengths), dense)
    fitting = [length for length in lengths if length <= positions(dense)]
    rows: list[dict[str, Any]] = []
    with run.stage("time inference", len(fitting) * len(config.batch_sizes)) as advance:
        for length in fitting:
            promised = cost(dense, length).macs / max(1, cost(small, length).macs)
            for size in config.batch_sizes:
                [row] = latency_rows(
                    dense, small, [size], length, repeats=config.repeats, device=run.device, warmup=config.warmup,
                    precision=config.dtype,
                )  # fmt: skip
                rows.append({**row, "mac_speedup": promised})
                run.log(len(rows), batch_size=size, length=length)
                advance(1)
    run.table("latency", rows)
    run.metrics = {f"speedup_batch_{row['batch_size']}": row["speedup"] for row in rows if row["length"] == fitting[-1]}
    run.metrics |= time_runtimes(dense, small, runtimes, fitting, config, run)
    run.sparsity = {
        "achieved_heads": 1 - describe(small).heads / describe(dense).heads,
        "achieved_parameters": 1 - shape.remaining_parameters, "achieved_macs": 1 - shape.remaining_macs,
    }  # fmt: skip
