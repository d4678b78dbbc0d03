"""Score, bytes and gains in speed of models in 8 bits stand in a table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

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
    assert len(shown) == 3 * 5 and next(iter(shown)) == ("100 %", "float32")
    # teachers of 90.0 and 90.1; half of the MACs cost a point, 8 bits 0.8 more
    assert shown["50 %", "float32"]["score"] in ("f1 89.0 (89.0; 89.1)", "f1 89.1 (89.0; 89.1)")
    assert shown["50 %", "float32"]["MB"] == "67.5"
    assert shown["50 %", "float32"]["accuracy"] == "83.9", "that of the model in float32"
    eight = shown["50 %", "int8, after training"]
    assert eight["accuracy"] == "83.1"
    assert (eight["MB"], eight["runs"]) == ("16.9", "2")
    # pruning makes it 1 / 0.55 faster, 8 bits 1.5 at batch 1 and twice at batch 32
    assert shown["50 %", "float32"]["times faster, batch 1"] == "1.82"
    assert (eight["times faster, batch 1"], eight["times faster, batch 32"]) == ("2.73", "3.64")
    assert {row["timed"] for row in shown.values()} == {"quiet"}
    longer = shown["50 %", "float32, trained as long"]
    scores = ("89.6 (89.6; 89.7)", "89.7 (89.6; 89.7)", "89.7 (89.7; 89.7)", "89.7 (89.6; 89.8)")
    assert longer["score"].removeprefix("f1 ") in scores
    assert longer["times faster, batch 1"] == "1.82"


def test_what_was_timed_beside_other_work_says_so_in_its_row(tmp_path: Path) -> None:
    quantization.run(tmp_path, MINILM, share=0.5, quantization="dynamic")
    quantization.run(tmp_path, MINILM, share=0.0, quantization="trained")
    [item] = table.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(item, Table)
    timed = dict(zip(item.display["precision"], item.display["timed"], strict=True))
    assert timed == {
        "float32": "quiet", "float32, trained as long": "quiet", "int8, after training": "beside other work",
        "int8, trained as long without (control)": "quiet",
    }  # fmt: skip


def test_a_score_that_is_accuracy_is_not_lost(tmp_path: Path) -> None:
    """The column of accuracy beside another metric is empty then."""
    quantization.run(tmp_path, MINILM, "sst2")
    [item] = table.draw(Group(load([tmp_path], Journal())), Journal())
    assert isinstance(item, Table)
    assert list(item.display["score"]) == ["accuracy 90.0", "accuracy 89.2"] and set(item.display["accuracy"]) <= {""}
