"""Are pruned models really faster? Original, gated and physically pruned, side by side (Michel et al. 2019, Table 4).

Of translation: words a second of beam search against the share of heads removed, of all kinds of attention and of each.

python -m experiments.time_inference scale=small
python -m experiments.time_inference scale=small task=multi30k model=marian-small
python -m experiments.time_inference model=bert-base model.weights=random share=0.3
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.cli.verb import verb
from prunekit.checks import at_least, between
from prunekit.config import Experiment
from prunekit.task_config import without_questions

if TYPE_CHECKING:
    from prunekit.runs import Run


@dataclass(kw_only=True)
class TimeInference(Experiment):
    """Measured speed of a model, of the same model with heads gated off, and of the physically pruned one."""

    share: float = 0.5
    """Share of all heads that goes: those of the lowest importance, or drawn at random for random weights."""
    importance_examples: int | None = 512
    """Training examples that importance is estimated from."""
    batch_sizes: list[int] = field(default_factory=lambda: [1, 4, 16, 64])
    """Examples a batch."""
    lengths: list[int] = field(default_factory=lambda: [32, 128, 512])
    """Tokens an example, unpadded; lengths beyond the model's positions are left out."""
    mean_length: bool = True
    """Also at the mean length of the evaluation data (needs a tokenizer, so not for random weights)."""
    shares: list[float] = field(default_factory=lambda: [0.25, 0.5, 0.75])
    """Shares of the heads of each kind that go (translation only, in place of ``share``)."""
    words: int = 24
    """Words of each translation (translation only)."""
    warmup: int = 2
    """Rounds that are not counted."""
    repeats: int = 10
    """Rounds that are, up to 20 times as many for small inputs; the three variants take turns in each."""

    def problems(self) -> Any:
        yield from super().problems()
        yield from without_questions(self.task)
        yield from between("share", self.share, 0, 1)
        for share in self.shares:
            yield from between("shares", share, 0, 1)
        yield from at_least("words", self.words, 1)
        for name in ("batch_sizes", "lengths"):
            for value in getattr(self, name):
                yield from at_least(name, value, 1)
        yield from at_least("warmup", self.warmup, 0)
        yield from at_least("repeats", self.repeats, 1)


def story(config: TimeInference, run: Run) -> None:
    import copy

    import torch

    from experiments.orders import timing_subject
    from prunekit.blocks import describe
    from prunekit.costs import cost
    from prunekit.curves import prune_heads
    from prunekit.gates import gated
    from prunekit.masks import Masks
    from prunekit.ranked import existing, rows_of, stacked
    from prunekit.schedule import heads_to_prune, keep_mask
    from prunekit.speed import forward_calls, rounds
    from prunekit.teachers import positions
    from prunekit.timing import interleaved, peak_memory

    original, by_kind, mean = timing_subject(config, run)
    if config.task.translation:
        from experiments.decoding import time_decoding

        time_decoding(config, run, original, by_kind, mean)
        return
    layout = describe(original)
    scores, rows_of_heads = stacked(by_kind, layout.kinds), rows_of(layout, layout.kinds)
    keep = keep_mask(scores, heads_to_prune(layout.heads, config.share))
    masks = Masks.ones(layout, device=run.device)
    for (kind, layer), kept in zip(rows_of_heads, keep, strict=True):
        masks.heads[kind][layer] = torch.from_numpy(kept[: masks.heads[kind].shape[1]])
    models = {
        "original": original,
        "gated": copy.deepcopy(original),
        "pruned": prune_heads(original, rows_of_heads, existing(layout, layout.kinds), keep),
    }
    lengths = {str(length): length for length in config.lengths if length <= positions(original)}
    if mean is not None:
        lengths["mean"] = mean
    rows: list[dict[str, Any]] = []
    total = len(lengths) * len(config.batch_sizes)
    with run.stage("time inference", total) as advance, gated(models["gated"], masks):
        for label, length in lengths.items():
            for batch_size in config.batch_sizes:
                calls = forward_calls(models, batch_size, length, run.device, config.dtype)
                timings = interleaved(
                    calls, warmup=config.warmup, repeats=rounds(config.repeats, batch_size, length)
                )
                for variant, timing in timings.items():
                    rows.append({
                        "variant": variant, "share": config.share, "batch_size": batch_size, "length": length,
                        "length_label": label, "median_ms": timing.median * 1e3, "low_ms": timing.low * 1e3,
                        "high_ms": timing.high * 1e3, "examples_per_second": batch_size / timing.median,
                        "repeats": timing.repeats,
                        "peak_memory_mb": peak_memory(calls[variant], run.device) / 2**20,
                    })  # fmt: skip
                run.log(len(rows), batch_size=batch_size, length=length)
                advance(1)
    run.table("timings", rows)
    dense, left = cost(original, mean or config.lengths[0]), cost(models["pruned"], mean or config.lengths[0])
    run.metrics = {
        "attention_parameter_share": dense.attention / dense.parameters,
        "attention_share_of_layers": dense.attention / (dense.attention + dense.ffn),
        **{f"speedup_batch_{size}": _speedup(rows, size) for size in config.batch_sizes},
    }
    run.sparsity = {
        "requested_heads": config.share,
        "achieved_heads": 1 - float(keep.mean()),
        "achieved_parameters": 1 - left.parameters / dense.parameters,
        "achieved_macs": 1 - left.macs / dense.macs,
    }


def _speedup(rows: list[dict[str, Any]], batch_size: int) -> float:
    """Pruned over original at the last length that was timed (the task's mean, where there is a tokenizer)."""
    last = [row for row in rows if row["batch_size"] == batch_size][-3:]
    speed = {row["variant"]: row["examples_per_second"] for row in last}
    return speed["pruned"] / speed["original"]


main = verb("time_inference", TimeInference, story, revision=1, measures_time=True)

if __name__ == "__main__":
    main()
