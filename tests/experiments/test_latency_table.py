"""The verb `latency_table` from its command to its record."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from prunekit.support.errors import UserError
from tests.support.commands import TINY, composed, perform

SMALL = ["batch_size=2", "repeats=1", "warmup=0", "stride=8"]


def test_the_record_holds_the_measured_table(tmp_path: Path) -> None:
    record = perform("latency_table", *TINY, *SMALL, f"run.folder={tmp_path}")
    table = pd.read_csv(tmp_path / "latency_table" / record["run_id"] / "tables" / "latency.csv")
    assert list(table.columns) == ["sublayer", "units", "median_ms", "low_ms", "high_ms", "repeats"]
    assert table[table.sublayer == "attention"].units.tolist() == [0, 1, 2]
    assert table[table.sublayer == "ffn"].units.tolist() == [0, 1, 8, 16]
    by_name = {name: rows.set_index("units").median_ms for name, rows in table.groupby("sublayer")}
    dense = 2 * (by_name["attention"][2] + by_name["ffn"][16])
    assert record["metrics"]["layers_ms"] == pytest.approx(dense, rel=1e-9)
    left = 2 * (by_name["attention"][0] + by_name["ffn"][0])
    assert record["metrics"]["share_without_units"] == pytest.approx(left / dense, rel=1e-9)
    assert [item["role"] for item in record["data"]] == ["evaluation"]  # for the mean length
    assert record["metrics"]["length"] > 1
    assert len(list((tmp_path / "cache" / "latency").glob("*.json"))) == 1


def test_random_weights_need_a_length(tmp_path: Path) -> None:
    random = [
        "model=minilm-l6", "model.weights=random", "model.shape.num_hidden_layers=1", "run.wandb=disabled",
        "batch_size=1", "repeats=1", "warmup=0", "stride=1536", f"run.folder={tmp_path}",
    ]  # fmt: skip
    record = perform("latency_table", *random, "length=4")
    assert (record["model"]["weights"], record["metrics"]["length"], record["data"]) == ("random", 4, [])
    with pytest.raises(UserError, match="length: random weights have no tokenizer"):
        composed("latency_table", *random)
    with pytest.raises(UserError, match="length: 513 tokens are too many, this model has 512 positions"):
        perform("latency_table", *random, "length=513")
