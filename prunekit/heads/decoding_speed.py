"""Words a second of beam search, of a translation model and of what is left of it, in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.evaluation.speed import decoding_calls, rounds
from prunekit.support.timing import interleaved

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def decoding_row(
    original: PreTrainedModel,
    pruned: PreTrainedModel,
    batch_size: int,
    length: int,
    words: int,
    beams: int,
    *,
    warmup: int,
    repeats: int,
    device: torch.device,
) -> dict[str, Any]:
    """What one size of input says: words a second of both, and the quartiles of the speed-ups round by round.

    Args:
        length: tokens of the sources, which are random.
        words: of every translation.
        warmup: rounds that are not counted.
        repeats: rounds that are, up to 20 times as many for small inputs.
    """
    calls = decoding_calls({"original": original, "pruned": pruned}, batch_size, length, words, beams, device)
    repeats = rounds(repeats, batch_size * beams, words)
    taken = interleaved(calls, warmup=warmup, repeats=repeats)
    ratios = np.asarray(taken["original"].seconds) / np.asarray(taken["pruned"].seconds)
    return {
        "batch_size": batch_size, "length": length, "words": words, "beams": beams, "repeats": repeats,
        "original_words_per_second": batch_size * words / taken["original"].median,
        "words_per_second": batch_size * words / taken["pruned"].median, "speedup": float(np.median(ratios)),
        "speedup_low": float(np.quantile(ratios, 0.25)), "speedup_high": float(np.quantile(ratios, 0.75)),
    }  # fmt: skip
