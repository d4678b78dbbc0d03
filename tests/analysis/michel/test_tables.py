"""Tables: the numbers, their marks, and the Markdown around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.compare import benchmarks
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.michel import table1, table3, table4
from analysis.render.output import Table
from tests.support.records import michel
from tests.support.records.frame import BERT, DEMO, MINILM


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def test_table1_marks_both_kinds_of_significance(tmp_path: Path) -> None:
    path = michel.ablation(tmp_path, DEMO) / "tables" / "heads.csv"
    table = pd.read_csv(path)
    table[["significant", "significant_bh"]] = False
    table.loc[0, ["delta", "significant"]] = [-0.0053, True]
    table.loc[1, ["delta", "significant", "significant_bh"]] = [-0.0215, True, True]
    table.loc[2, "delta"] = 0.0004
    table.to_csv(path, index=False)
    [drawn] = table1.draw(group(tmp_path), Journal())
    assert isinstance(drawn, Table)
    assert drawn.display.iloc[0, :4].tolist() == [1, "**-.53**†", "**-2.15**‡", "+.04"]
    assert drawn.display.shape == (4, 5) and len(drawn.frame) == 16


def test_table3_has_the_published_rows_and_all_teachers(tmp_path: Path) -> None:
    for teacher in (0, 1):
        michel.ablation(tmp_path, MINILM, teacher)
    [drawn] = table3.draw(group(tmp_path), Journal())
    assert isinstance(drawn, Table)
    rows = drawn.display.set_index("layer")
    assert list(rows.index) == [str(layer) for layer in range(1, 13)]
    shown = rows.loc["3"].to_dict()
    assert shown["change (dev)"] == "-3.00 (-3.00; -3.00)" and shown["sig. (dev)"] == "2 of 2"
    assert "Change: mean of 2 teachers, in brackets both values. " in drawn.caption
    assert shown["published (train)"] == "-0.26"
    assert rows.loc["7", "head (dev)"] == "" and rows.loc["9", "published (dev)"] == "-0.96"
    assert (drawn.frame["source"] == "published").sum() == 24
    assert "none significant; rows 7 to 12 are of layers that only it has. " in drawn.caption
    michel.ablation(tmp_path / "whole", BERT)
    [whole] = table3.draw(group(tmp_path / "whole"), Journal())
    assert isinstance(whole, Table) and "none significant. " in whole.caption
    assert "in brackets" not in whole.caption and "(" not in str(whole.display.loc[0, "change (dev)"])


def test_table4_compares_with_the_original_of_the_same_cell(tmp_path: Path) -> None:
    michel.timing(tmp_path, MINILM)
    frame = table4.gains(group(tmp_path), Journal())
    assert frame is not None
    row = frame[(frame["variant"] == "pruned") & (frame["length"] == 512) & (frame["batch_size"] == 64)].iloc[0]
    assert row["gain"] == pytest.approx(0.21)
    assert row["gain_low"] == pytest.approx(1.21 * 0.985 / 1.02 - 1)
    shown = table4.display(frame)
    assert len(shown) == 16
    assert [name for name in map(str, shown) if name.endswith(", examples/s")] == [
        f"{variant}, examples/s" for variant in ("original", "gated", "pruned")
    ]
    table = table4.draw(group(tmp_path), Journal())[0]
    assert isinstance(table, Table) and set(table.narrow) <= set(shown)
    assert " repeats, medians, in brackets 95 % intervals as those of claims" in table.caption
    # Quartiles 3.5 % of the median apart, 10 repeats: of each median, and of the ratio of two.
    error = 1.2533 * 0.035 / 1.349 / 10**0.5
    half = [stats.t.ppf(0.975, 9) * error * times for times in (1, 2**0.5)]
    ends = [1.21 * np.exp(sign * half[1]) - 1 for sign in (-1, 1)]
    last = shown.iloc[-1]
    assert last["pruned gain"] == f"+21.0 % ({100 * ends[0]:+.1f} to {100 * ends[1]:+.1f})" and last["repeats"] == "10"
    speed = row["examples_per_second"]
    of_speed = f"{speed * np.exp(-half[0]):,.1f} to {speed * np.exp(half[0]):,.1f}"
    assert last["pruned, examples/s"] == f"{speed:,.1f} ({of_speed})"
    assert last["gated gain"].startswith("-1.0 % (") and last["published gain"] == "+17.5 %"


def test_benchmark_medians(tmp_path: Path) -> None:
    michel.benchmark(tmp_path, MINILM)
    [drawn] = benchmarks.draw(group(tmp_path), Journal())
    assert isinstance(drawn, Table)
    assert list(zip(drawn.display["comparison"], drawn.display["ratio (least to most)"], strict=True)) == [
        ("full length 128", "4.50 (4.40 to 4.60)"),
        ("bucketed", "2.00 (1.90 to 2.10)"),
    ]


def test_markdown(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["x|y"], "b": [1]})
    table = Table("name", "Title", frame, frame, "Caption.")
    csv, markdown = table.save(tmp_path, "floor=1, rows=9")
    assert markdown.name == "name_floor=1-rows=9.md"
    assert markdown.read_text() == "**Title**\n\n| a | b |\n| --- | --- |\n| x\\|y | 1 |\n\nCaption.\n"
    assert csv.read_text() == "a,b\nx|y,1\n"
