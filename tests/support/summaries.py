"""What a record sums up must follow from its own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest


def assert_summed_up(record: dict[str, Any], home: Path) -> None:
    """Of pruned models: what is left and what is gone are the whole, the speed-up is that of the last row that was
    timed (of quantised ones that of both together), the one by MACs is the inverse of what is left of them, and heads
    and neurons are counted in ``kept``.

    Args:
        home: the record's folder.
    """
    metrics, sparsity = record.get("metrics", {}), record.get("sparsity", {})
    for name in ("macs", "parameters"):
        if f"remaining_{name}" in metrics:
            assert metrics[f"remaining_{name}"] + sparsity[f"achieved_{name}"] == pytest.approx(1)
    if (home / "tables" / "gains.csv").exists():
        assert metrics["speedup"] == pytest.approx(pd.read_csv(home / "tables" / "gains.csv").both.iloc[-1])
    elif "speedup" in metrics and "remaining_macs" in metrics:
        timed = pd.read_csv(home / "tables" / "latency.csv")
        assert metrics["speedup"] == pytest.approx(timed.speedup.iloc[-1])
        if metrics["remaining_macs"] > 0:
            assert timed.mac_speedup.tolist() == pytest.approx([1 / metrics["remaining_macs"]] * len(timed))
    kept = pd.read_csv(home / "tables" / "kept.csv") if (home / "tables" / "kept.csv").exists() else pd.DataFrame()
    for unit in ("heads", "neurons"):
        if "unit" in kept and f"achieved_{unit}" in sparsity:
            own = kept[kept.unit == unit]
            assert sparsity[f"achieved_{unit}"] == pytest.approx(1 - own.kept.sum() / own.total.sum())
