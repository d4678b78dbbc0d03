"""Words a second of beam search, of a translation model and of what is left of it: the part of `time_inference` for
translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from prunekit.blocks import describe
from prunekit.curves import prune_heads
from prunekit.ranked import existing, rows_of, stacked
from prunekit.schedule import heads_to_prune, keep_mask
from prunekit.speed import decoding_calls, rounds
from prunekit.timing import interleaved

if TYPE_CHECKING:
    from experiments.time_inference import TimeInference
    from prunekit.runs import Run

ORIGINAL = "original"


def time_decoding(
    config: TimeInference, run: Run, original: Any, scores: dict[str, Tensor], mean: int | None
) -> None:
    """Time the original and every pruned model in turn; fills the run's table ``decoding`` and its metrics.

    Args:
        scores: of the heads by kind, the lowest go.
        mean: mean length of the sources, None for random weights, which take the first of ``lengths``.
    """
    kinds = describe(original).kinds
    length, beams = mean or config.lengths[0], config.evaluation.beams
    cells = [(chosen, share) for chosen in (kinds, *((kind,) for kind in kinds)) for share in config.shares]
    rows: list[dict[str, Any]] = []
    with run.stage("time decoding", len(config.batch_sizes) * len(cells)) as advance:
        for batch_size in config.batch_sizes:
            for chosen, share in cells:
                pruned, gone = _without(original, scores, chosen, share)
                calls = decoding_calls(
                    {ORIGINAL: original, "pruned": pruned}, batch_size, length, config.words, beams, run.device
                )
                repeats = rounds(config.repeats, batch_size * beams, config.words)
                taken = interleaved(calls, warmup=config.warmup, repeats=repeats)
                ratios = np.asarray(taken[ORIGINAL].seconds) / np.asarray(taken["pruned"].seconds)
                words = batch_size * config.words
                rows.append({
                    "kinds": "+".join(chosen), "share": share, "achieved_heads": gone, "batch_size": batch_size,
                    "length": length, "words": config.words, "beams": beams, "repeats": repeats,
                    "original_words_per_second": words / taken[ORIGINAL].median,
                    "words_per_second": words / taken["pruned"].median, "speedup": float(np.median(ratios)),
                    "speedup_low": float(np.quantile(ratios, 0.25)), "speedup_high": float(np.quantile(ratios, 0.75)),
                })  # fmt: skip
                run.log(len(rows), **rows[-1])
                advance(1)
    run.table("decoding", rows)
    largest = [row for row in rows if row["batch_size"] == config.batch_sizes[-1]]
    run.metrics = {
        "words": config.words, "beams": beams,
        **{f"speedup_{row['kinds']}_{row['share']:g}": row["speedup"] for row in largest},
    }  # fmt: skip
    run.sparsity = {
        "requested_heads": max(config.shares),
        "achieved_heads": max(row["achieved_heads"] for row in rows if row["kinds"] == "+".join(kinds)),
    }


def _without(model: Any, scores: dict[str, Tensor], kinds: tuple[str, ...], share: float) -> tuple[Any, float]:
    """The model without a share of the heads of these kinds, and the share that really went."""
    layout = describe(model)
    exists = existing(layout, kinds)
    keep = keep_mask(stacked(scores, kinds), heads_to_prune(int(exists.sum()), share))
    return prune_heads(model, rows_of(layout, kinds), exists, keep), 1 - float(keep.sum() / exists.sum())
