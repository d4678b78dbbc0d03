"""What models do with random tokens, ready to be timed side by side: forward passes, and translating."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.forward.beam_search import beam_search
from prunekit.forward.seq2seq import Seq2Seq
from prunekit.support.devices import autocast
from prunekit.support.timing import interleaved

if TYPE_CHECKING:
    from transformers import PreTrainedModel


TOKEN_IDS = ("input_ids",)


def forward_calls(
    models: Mapping[str, Any], batch_size: int, length: int, device: torch.device, precision: str = "float32",
    names: Collection[str] = TOKEN_IDS,
) -> dict[str, Callable[[], None]]:  # fmt: skip
    """One forward pass of each model on the same ``(batch_size, length)`` tokens, none of which is padding.

    Args:
        models: by name; whatever takes inputs by name and has a ``config``, be it of transformers or not.
        names: of the inputs, the same for all: beside token ids a mask, which is all ones, and token types, which are
            the first, where the models take them as they are served.
    """
    vocabulary = min(model.config.vocab_size for model in models.values())
    ids = torch.randint(5, vocabulary, (batch_size, length), device=device)
    values = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    inputs = {name: values[name] for name in names}

    def forward(model: Any) -> None:
        with torch.inference_mode(), autocast(device, precision):
            model(**inputs)

    return {name: partial(forward, model) for name, model in models.items()}


def decoding_calls(
    models: Mapping[str, PreTrainedModel], batch_size: int, length: int, words: int, beams: int, device: torch.device
) -> dict[str, Callable[[], None]]:
    """Beam search of exactly so many words by each translation model, for the same sources of random tokens."""
    vocabulary = min(model.config.vocab_size for model in models.values())
    ids = torch.randint(5, vocabulary, (batch_size, length), device=device)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def decode(model: PreTrainedModel) -> None:
        parts = Seq2Seq(model)
        with torch.inference_mode():
            beam_search(parts, parts.read(batch), beams=beams, longest=words, endless=True)

    return {name: partial(decode, model) for name, model in models.items()}


def rounds(repeats: int, batch_size: int, length: int, tokens: int = 4096) -> int:
    """Inputs smaller than ``tokens`` are noisy and cheap: up to 20 times as many rounds for them."""
    return repeats * min(20, max(1, tokens // (batch_size * length)))


def latency_rows(
    dense: PreTrainedModel, pruned: PreTrainedModel, batch_sizes: list[int], length: int, *, repeats: int,
    device: torch.device, warmup: int = 2, precision: str = "float32",
) -> list[dict[str, Any]]:  # fmt: skip
    """Median latency of a dense and a pruned model; of the speed-ups round by round the median and the quartiles."""
    rows = []
    for batch_size in batch_sizes:
        calls = forward_calls({"dense": dense, "pruned": pruned}, batch_size, length, device, precision)
        taken = interleaved(calls, warmup=warmup, repeats=rounds(repeats, batch_size, length, tokens=512))
        ratios = np.asarray(taken["dense"].seconds) / np.asarray(taken["pruned"].seconds)
        rows.append({
            "batch_size": batch_size, "length": length, "dense_ms": taken["dense"].median * 1e3,
            "pruned_ms": taken["pruned"].median * 1e3, "speedup": float(np.median(ratios)),
            "speedup_low": float(np.quantile(ratios, 0.25)), "speedup_high": float(np.quantile(ratios, 0.75)),
            "repeats": len(ratios),
        })  # fmt: skip
    return rows
