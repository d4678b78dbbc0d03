"""Models as they would be served: each in its fastest runtime, named, in the comparison and in a table of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from analysis.catalogue.draw import draw_each
from analysis.compare import figure as compare
from analysis.compare import served
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.data.served import as_served
from analysis.render.output import Table
from tests.support.records import cofi, kwon, michel
from tests.support.records.frame import MINILM, mark_quiet, timed_again, write_table

Times = Mapping[str, tuple[float, float]]
"""Milliseconds of the whole and of the pruned model, by runtime."""


def rows(times: Times, batch: int = 8, length: int = 64) -> pd.DataFrame:
    both = [("original", 0), ("pruned", 1)]
    return pd.DataFrame([
        {
            "variant": variant, "runtime": runtime, "batch_size": batch, "length": length,
            "median_ms": ms[place], "low_ms": ms[place], "high_ms": ms[place], "repeats": 10,
            "fastest": ms[place] == min(other[place] for other in times.values()),
        }
        for runtime, ms in times.items()
        for variant, place in both
    ])  # fmt: skip


def in_runtimes(folder: Path, *tables: pd.DataFrame) -> Path:
    write_table(folder, "runtimes", pd.concat(tables, ignore_index=True))
    return folder


def test_each_model_counts_in_its_own_fastest_runtime() -> None:
    table = pd.concat([
        rows({"torch": (10, 4), "onnx": (6, 3), "onnx-int8": (7, 2)}, batch=1),
        rows({"torch": (80, 20), "onnx": (90, 25)}),
    ])  # fmt: skip
    assert as_served(table).to_dict("records") == [
        {"batch_size": 1, "length": 64, "served": 3.0, "dense_in": "onnx", "pruned_in": "onnx-int8", "dense_ms": 6.0,
         "pruned_ms": 2.0},
        {"batch_size": 8, "length": 64, "served": 4.0, "dense_in": "torch", "pruned_in": "torch", "dense_ms": 80.0,
         "pruned_ms": 20.0},
    ]  # fmt: skip


def comparison(root: Path) -> tuple[pd.DataFrame, Table]:
    figure, table = compare.draw(Group(load([root], Journal())), Journal())
    assert isinstance(table, Table)
    return figure.frame.dropna(subset=["asked"]).set_index(["method", "asked"]), table


def test_the_comparison_has_a_column_as_served(tmp_path: Path) -> None:
    learned = cofi.run(tmp_path, MINILM, sparsity=0.9, counted=0.9, speedup=9)
    fisher = [kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5, seed=seed) for seed in (0, 1)]
    alone = kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.3)
    frame, table = comparison(tmp_path)
    assert "served" not in frame and "as served" not in table.display and "As served" not in table.caption
    for folder, times in ((learned, {"torch": (10.0, 2.0), "onnx": (8.0, 1.0)}),
                          (fisher[0], {"torch": (10.0, 5.0), "onnx": (8.0, 5.0)}),
                          (fisher[1], {"torch": (10.0, 5.0), "onnx": (12.0, 4.0)})):  # fmt: skip
        other = rows({"torch": (1.0, 1.0)}, batch=8)  # there runtimes hardly differ
        in_runtimes(timed_again(tmp_path, folder, {8: 2.0}), other, rows(times, batch=1))
    timed_again(tmp_path, alone, {8: 3.0})
    frame, table = comparison(tmp_path)
    assert frame["served"].dropna().to_dict() == {
        ("prune_cofi learned", 0.9): 8.0, ("prune_fisher fisher", 0.5): pytest.approx((8 / 5 + 10 / 4) / 2),
    }  # fmt: skip
    assert frame["served_in"].dropna().to_dict() == {
        ("prune_cofi learned", 0.9): "both onnx, batch 1",
        ("prune_fisher fisher", 0.5): "onnx, whole: torch, batch 1; torch, whole: onnx, batch 1",
    }
    assert ("prune_fisher fisher", 0.3) in frame.index
    shown = table.display.set_index("method")["as served"]
    assert shown["CoFi"].startswith("8.00 x (both onnx, batch 1; ")
    assert shown["Fisher pruning"].startswith("2.05 x (onnx, whole: torch, batch 1; torch, whole: onnx, batch 1; ")
    assert "each in its fastest runtime, at the smallest batch that was timed. Models in onnx-int8" in table.caption
    assert table.caption.replace(table.of_other_columns[1], "") != table.caption


def test_a_table_of_shapes_in_every_runtime(tmp_path: Path) -> None:
    folder = cofi.run(tmp_path, MINILM, sparsity=0.9, counted=0.9)
    again = in_runtimes(
        timed_again(tmp_path, folder, {8: 2.0}), rows({"torch": (10.0, 2.0), "onnx": (8.0, 1.0), "compile": (9.0, 3.0)})
    )
    mark_quiet(again, {"time runtimes": 0.4})
    records = [record for record in load([tmp_path], Journal()) if record.verb == "prune_cofi"]
    [item] = served.draw_methods(Group(records), Journal())
    assert isinstance(item, Table) and item.name == "served"
    [shown] = item.display.to_dict("records")
    assert shown["torch"] == "10 → 2 (5.00 x)" and shown["compile"] == "9 → 3 (3.00 x)"
    assert shown["as served"] == "8.00 x (both onnx)" and shown["model"].startswith("CoFi, ")
    assert (shown["batch"], shown["length"]) == ("8", "64")
    assert "timed beside other work, 1 of 1 run" in item.caption and "AMD EPYC" in item.caption


def test_a_table_of_heads_in_every_runtime(tmp_path: Path) -> None:
    folder = michel.timing(tmp_path, MINILM, config={"share": 0.5})
    records = load([tmp_path], Journal())
    assert served.draw_heads(Group(records), Journal()) == []
    in_runtimes(folder, rows({"torch": (10.0, 8.0), "onnx-int8": (4.0, 5.0)}), rows({"torch": (3.0, 2.0)}, batch=1))
    journal = Journal()
    made = {one.part: one.item for one in draw_each(load([tmp_path], journal), journal)}
    table = made["runtimes"]
    assert isinstance(table, Table) and journal.failed == []
    assert table.display["model"].tolist() == ["50 % of heads gone"] * 2
    assert table.display["as served"].tolist() == ["1.50 x (both torch)", "0.80 x (both onnx-int8)"]
    assert table.display["onnx-int8"].tolist() == ["", "4 → 5 (0.80 x)"]
