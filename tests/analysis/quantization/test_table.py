"""Score, bytes and times of models in 8 bits stand in a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.quantization import table
from analysis.render.output import Table
from tests.support.records import quantization
from tests.support.records.frame import MINILM


def test_a_row_a_share_and_precision(tmp_path: Path) -> None:
    quantization.everything(tmp_path, MINILM, teachers=2)
    for path in tmp_path.rglob("stages.csv"):
        stages = pd.read_csv(path)
        stages.assign(accuracy=stages["value"] - 0.0512).to_csv(path, index=False)
    [item] = table.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(item, Table) and item.name == "sizes_mrpc"
    shown = {(row["MACs"], row["precision"]): row for row in item.display.to_dict("records")}
    assert len(shown) == 3 * 4 and next(iter(shown)) == ("100 %", "float32")
    # teachers of 90.0 and 90.1; half of the MACs cost a point, 8 bits 0.8 more
    assert shown["50 %", "float32"]["f1"] in ("89.0 (89.0; 89.1)", "89.1 (89.0; 89.1)")
    assert shown["50 %", "float32"]["MB"] == "67.5"
    assert shown["50 %", "float32"]["accuracy"] == "83.9", "that of the model in float32"
    eight = shown["50 %", "int8, after training"]
    assert eight["accuracy"] == "83.1"
    assert (eight["MB"], eight["runs"]) == ("16.9", "2")
    # 10 ms an example: pruning makes it 1 / 0.55 faster, 8 bits 1.5 at batch 1 and twice at batch 32
    assert shown["50 %", "float32"]["ms, batch 1"] == "5.5"
    assert (eight["ms, batch 1"], eight["ms, batch 32"]) == ("3.67", "88")
    cell = item.frame[(item.frame["series"] == "aware") & (item.frame["asked"] == 10)].iloc[0]
    assert cell["ms_32"] == pytest.approx(320 * 0.19 / 2)
