"""Are pruned models really faster? Original, gated and physically pruned, side by side (Michel et al. 2019, Table 4).

python -m experiments.time_inference scale=small
python -m experiments.time_inference model=bert-base model.weights=random share=0.3
python -m experiments.time_inference scale=small 'runtimes=[torch,onnx,onnx-int8]'
python -m experiments.time_inference scale=small shape_of=analysis/logged_runs/prune_cofi/060d10eea87a25cb
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import runs_in, verb
from prunekit.config.checks import runtime_problems, shares_threads, twice
from prunekit.config.choices import RUNTIMES
from prunekit.config.ranges import LENGTH, path_setting, within
from prunekit.config.task import without_questions
from prunekit.heads.settings import TimingSettings

if TYPE_CHECKING:
    from prunekit.runs.execute import Run


@dataclass(kw_only=True)
class TimeInference(TimingSettings):
    """Measured speed of a model, of the same model with heads gated off, and of the physically pruned one."""

    share: float = within(0.5, 0, 1)
    """Share of all heads that goes."""
    lengths: list[int] = within([32, 128, 512], 1, LENGTH, fewest=1)
    """Tokens an example, unpadded; lengths beyond the model's positions are left out."""
    mean_length: bool = True
    """Also at the mean length of the evaluation data (needs a tokenizer, so not for random weights)."""
    shape_of: str | None = path_setting()
    """Folder of a finished run of `prune_cofi`, `prune_fisher` or `compress`: times a model of the shape that it pruned
    to, with random weights, and the whole one. Model and task are those of that run, `share` and `mean_length` play no
    part."""

    runtimes: list[str] = field(default_factory=lambda: ["torch"])
    """In which models run: ``torch``, ``compile`` (`torch.compile`), ``onnx`` and ``onnx-int8`` (ONNX Runtime). With
    others than torch, the whole and the pruned model are timed in turn in all of them, and records say how fast each
    is in its fastest, as it would be served."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from runtime_problems("runtimes", self.runtimes, self.dtype, self.run.device)
        yield from twice("runtimes", self.runtimes)
        if not self.runtimes:
            yield f"runtimes: give one at least, of {', '.join(RUNTIMES)}"
        yield from () if self.shape_of is not None else without_questions(self.task)  # a shape is timed without data
        if self.shape_of is not None and self.teacher is not None:
            yield "teacher: a shape is timed with random weights, leave out teacher or shape_of"
        if self.task.translation:
            yield f"task: {self.task.name} is translation, this verb times encoders; `time_decoding` times beam search"
        yield from twice("lengths", self.lengths)


def procedure(config: TimeInference, run: Run) -> None:
    import copy

    from prunekit.cofi.shape_models import time_shape
    from prunekit.heads.inference_speed import forward_rows, throughput_ratio
    from prunekit.heads.timing_subject import timed_model, timed_scores, without_lowest
    from prunekit.models.blocks import describe
    from prunekit.models.costs import cost
    from prunekit.models.gates import gated
    from prunekit.models.input_tables import check_length, positions
    from prunekit.runs.recorded_shape import read_shape
    from prunekit.runs.run_data import evaluation_examples
    from prunekit.runs.runtime_speed import time_runtimes

    if config.shape_of is not None:
        return time_shape(read_shape(config.shape_of), config.lengths, config, run, config.runtimes)
    original, teacher = timed_model(config, run)
    if teacher is None or not config.mean_length:
        check_length("lengths", min(config.lengths), original)
    scores = timed_scores(config, run, original, teacher)
    pruned, masks, gone = without_lowest(original, scores, describe(original).kinds, config.share)
    models = {"original": original, "gated": copy.deepcopy(original), "pruned": pruned}
    lengths = {str(length): length for length in config.lengths if length <= positions(original)}
    typical = next(iter(lengths.values()), 0)  # the mean length takes its place where it is timed
    if teacher is not None and config.mean_length:
        typical = lengths["mean"] = evaluation_examples(config, teacher, run).mean_lengths[0]
    rows: list[dict[str, Any]] = []
    total = len(lengths) * len(config.batch_sizes)
    with run.stage("time inference", total) as advance, gated(models["gated"], masks):
        for label, length in lengths.items():
            for batch_size in config.batch_sizes:
                rows += forward_rows(
                    models, batch_size, length, warmup=config.warmup, repeats=config.repeats, device=run.device,
                    precision=config.dtype, share=config.share, label=label,
                )  # fmt: skip
                run.log(len(rows), batch_size=batch_size, length=length)
                advance(1)
    run.table("timings", rows)
    at_last_length = {
        size: throughput_ratio([row for row in rows if row["batch_size"] == size], "pruned", "original")
        for size in config.batch_sizes
    }
    dense, left = cost(original, typical), cost(pruned, typical)
    run.metrics = {
        "attention_parameter_share": dense.attention / dense.parameters,
        "attention_share_of_layers": dense.attention / (dense.attention + dense.ffn),
        **{f"speedup_batch_{size}": ratio for size, ratio in at_last_length.items()},
        **time_runtimes(original, pruned, config.runtimes, list(lengths.values()), config, run),
    }
    run.sparsity = {
        "requested_heads": config.share, "achieved_heads": gone,
        "achieved_parameters": 1 - left.parameters / dense.parameters, "achieved_macs": 1 - left.macs / dense.macs,
    }  # fmt: skip


main = verb("time_inference", TimeInference, procedure, measures_time=True,  # in other runtimes all that graphs take
            scores=lambda own: own.shape_of is None and own.model.weights != "random",
            revision=lambda own: 1 + (own.runtimes != ["torch"]) + shares_threads(own.runtimes, own.run.threads),
            needs=runs_in("runtimes", lambda own: own.runtimes))  # fmt: skip

if __name__ == "__main__":
    main()
