"""Rows of measured speed from rounds of known seconds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prunekit.heads import decoding_speed, inference_speed
from prunekit.heads.decoding_speed import decoding_row
from prunekit.heads.inference_speed import forward_rows, throughput_ratio
from prunekit.support.timing import Timing

CPU = torch.device("cpu")
SLOW, FAST = Timing((0.010, 0.020, 0.040, 0.080, 0.100)), Timing((0.010, 0.005, 0.004, 0.010, 0.050))
ASKED: list[Any] = []


def timed(calls: dict[str, Any], *, warmup: int, repeats: int) -> dict[str, Timing]:
    ASKED.append((list(calls), warmup, repeats))
    return dict(zip(calls, (SLOW, FAST), strict=True))


def named(models: dict[str, Any], *how: Any) -> dict[str, Any]:
    ASKED.append(how)
    return models


def test_words_a_second_and_the_speed_up_round_by_round(monkeypatch: pytest.MonkeyPatch) -> None:
    ASKED.clear()
    monkeypatch.setattr(decoding_speed, "decoding_calls", named)
    monkeypatch.setattr(decoding_speed, "interleaved", timed)
    one, other = object(), object()
    row = decoding_row(one, other, 4, 64, 32, 8, warmup=1, repeats=3, device=CPU)  # type: ignore[arg-type]
    # 4 x 8 beams x 32 words are 1,024 tokens, a quarter of 4,096
    assert ASKED == [(4, 64, 32, 8, CPU), (["original", "pruned"], 1, 12)]
    assert row == {
        "batch_size": 4,
        "length": 64,
        "words": 32,
        "beams": 8,
        "repeats": 12,
        "original_words_per_second": pytest.approx(4 * 32 / 0.040),
        "words_per_second": pytest.approx(4 * 32 / 0.010),
        "speedup": pytest.approx(4),
        "speedup_low": pytest.approx(2),
        "speedup_high": pytest.approx(8),
    }  # fmt: skip  (the ratios of the rounds are 1, 4, 10, 8 and 2)


def test_a_row_a_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    ASKED.clear()
    monkeypatch.setattr(inference_speed, "forward_calls", named)
    monkeypatch.setattr(inference_speed, "interleaved", timed)
    monkeypatch.setattr(inference_speed, "peak_memory", lambda call, device: 3 * 2**20 if call == "b" else 2**19)
    models: Any = {"dense": "a", "pruned": "b"}
    found = forward_rows(models, 8, 128, warmup=2, repeats=5, device=CPU, precision="bfloat16", share=0.5, label="mean")
    assert ASKED == [(8, 128, CPU, "bfloat16"), (["dense", "pruned"], 2, 20)]
    same = {"share": 0.5, "batch_size": 8, "length": 128, "length_label": "mean", "repeats": 5}
    for row, variant, timing, memory in zip(found, models, (SLOW, FAST), (0.5, 3.0), strict=True):
        assert row == {
            "variant": variant, **same, "peak_memory_mb": memory,
            "examples_per_second": pytest.approx(8 / timing.median),
            "median_ms": pytest.approx(1000 * timing.median), "low_ms": pytest.approx(1000 * timing.low),
            "high_ms": pytest.approx(1000 * timing.high),
        }  # fmt: skip
    assert found[0]["median_ms"] == pytest.approx(40) and found[1]["median_ms"] == pytest.approx(10)
    assert throughput_ratio(found, "pruned", "dense") == pytest.approx(4)
    assert throughput_ratio([{**found[1], "examples_per_second": 1.0}, *found], "dense", "pruned") == pytest.approx(
        0.25
    )
