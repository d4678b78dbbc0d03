"""The speed-up of a pruned model: the median over rounds, each of which timed both models."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prunekit.evaluation import speed
from prunekit.support.timing import Timing
from tests.support.families import tiny


def test_the_speedup_is_the_median_of_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, pruned = Timing((0.004, 0.020, 0.006, 0.030, 0.007)), Timing((0.004, 0.002, 0.002, 0.010, 0.001))
    asked: list[tuple[list[str], int]] = []

    def timed(calls: dict[str, Any], **how: Any) -> dict[str, Timing]:
        asked.append((list(calls), how["repeats"]))
        return {"dense": dense, "pruned": pruned}

    monkeypatch.setattr(speed, "interleaved", timed)
    model = tiny("bert", dtype=torch.float32)
    [row] = speed.latency_rows(model, model, [64], 8, repeats=5, device=torch.device("cpu"))
    assert asked == [(["dense", "pruned"], 5)]
    assert (row["batch_size"], row["length"]) == (64, 8)
    assert row["speedup"] == pytest.approx(3.0)  # of 1, 10, 3, 3 and 7; of the medians it would be 3.5
    assert (row["speedup_low"], row["speedup_high"], row["repeats"]) == (pytest.approx(3.0), pytest.approx(7.0), 5)
    assert (row["dense_ms"], row["pruned_ms"]) == (pytest.approx(7.0), pytest.approx(2.0))
