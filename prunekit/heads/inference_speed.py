"""Seconds of a forward pass of several variants of a model, in turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from prunekit.evaluation.speed import forward_calls, rounds
from prunekit.support.timing import interleaved, peak_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def forward_rows(
    models: Mapping[str, PreTrainedModel],
    batch_size: int,
    length: int,
    *,
    warmup: int,
    repeats: int,
    device: torch.device,
    precision: str,
    share: float,
    label: str,
) -> list[dict[str, Any]]:
    """A row a variant, for one batch size and length of unpadded random tokens.

    Args:
        models: by the name of the variant.
        warmup: rounds that are not counted.
        repeats: rounds that are, up to 20 times as many for small inputs; the variants take turns in each.
        share: of the heads that are gone from the smaller variants, put into every row.
        label: of the length, as rows name it.
    """
    calls = forward_calls(models, batch_size, length, device, precision)
    timings = interleaved(calls, warmup=warmup, repeats=rounds(repeats, batch_size, length))
    return [
        {
            "variant": variant, "share": share, "batch_size": batch_size, "length": length, "length_label": label,
            "median_ms": timing.median * 1e3, "low_ms": timing.low * 1e3, "high_ms": timing.high * 1e3,
            "examples_per_second": batch_size / timing.median, "repeats": timing.repeats,
            "peak_memory_mb": peak_memory(calls[variant], device) / 2**20,
        }
        for variant, timing in timings.items()
    ]  # fmt: skip


def throughput_ratio(rows: list[dict[str, Any]], variant: str, beside: str) -> float:
    """Examples a second of one variant over another's, in the last rows of both."""
    last = {row["variant"]: row["examples_per_second"] for row in rows}
    return float(last[variant] / last[beside])
