"""The trivial answer beside every score: from records, from the file for older ones, in figures and tables."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from analysis.cofi import baselines, speed
from analysis.compare import figure as compare
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.data.marks.trivial import FILE, at_chance, trivial_score, trivial_words
from analysis.data.records import Record, read_record
from analysis.kwon import budgets, macs
from analysis.michel import fig3b
from analysis.render.curves import draw_trivial
from analysis.render.output import Drawing, Table
from analysis.render.style import panel_grid
from prunekit.runs.schema.verbs import VERBS
from tests.support.records import cofi, kwon, michel
from tests.support.records.frame import MINILM

LOGGED = Path(__file__).parents[4] / "analysis" / "logged_runs"
MRPC = "bf2dfd86dd511495"
"""Fingerprint of MRPC's 408 validation rows, of which 279 are positive."""


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def changed(folder: Path, trivial: dict[str, float] | None = None, *, above: bool = True, **metrics: Any) -> Record:
    """A record with another trivial answer; as before version 3 of the schema if there is none."""
    path = folder / "result.json"
    record = json.loads(path.read_text())
    own = record["metrics"] | metrics | {"trivial": trivial, "above_trivial": above}
    if trivial is None:
        record |= {"schema": 2}
        own = {name: value for name, value in own.items() if "trivial" not in name}
        record["data"] = [item | {"fingerprint": MRPC} for item in record["data"]]
    path.write_text(json.dumps(record | {"metrics": own}))
    found = read_record(folder)
    assert found is not None
    return found


def dashed(axes: Axes) -> list[float]:
    """Heights of the lines of the trivial answer in a panel."""
    lines = [line for line in axes.lines if line.get_label() in ("one answer to all", "source copied")]
    return [float(np.asarray(line.get_ydata())[0]) for line in lines if len(np.asarray(line.get_ydata()))]


def test_from_the_record_or_by_the_fingerprint_of_the_rows(tmp_path: Path) -> None:
    folder = kwon.pruning(tmp_path, MINILM, "mrpc")
    new = changed(folder, {"f1": 0.7, "accuracy": 0.6}, above=False)
    assert (trivial_score(new), trivial_score(new, "accuracy"), at_chance(new)) == (0.7, 0.6, True)
    older = changed(folder, baseline_low=0.8123)  # all positive: precision 279 of 408, recall 1
    assert trivial_score(older) == pytest.approx(2 * 279 / (408 + 279))
    assert trivial_score(older, "accuracy") == pytest.approx(279 / 408)
    assert not at_chance(older)
    assert at_chance(changed(folder, baseline_low=0.8122))
    assert trivial_words([older, older]) == "One answer to all: 81.2. "


def test_where_nothing_tells_nothing_is_marked(tmp_path: Path) -> None:
    record = changed(kwon.pruning(tmp_path, MINILM, "stsb"))
    assert math.isnan(trivial_score(record)) and not at_chance(record) and trivial_words([record]) == ""


def test_a_band_from_accuracy_and_rows(tmp_path: Path) -> None:
    """A run of single heads has no band: Wilson's of 300 in 408 begins at 0.690, of 295 at 0.678."""
    folder = michel.ablation(tmp_path, MINILM, rows=408)
    assert not at_chance(changed(folder, baseline=300 / 408))
    assert at_chance(changed(folder, baseline=295 / 408))


def test_every_logged_score_has_its_trivial_answer() -> None:
    known = set(pd.read_csv(FILE)["fingerprint"])
    scored = [record for record in load([LOGGED], Journal())
              if "trivial" in VERBS[record.verb].metrics.missing([])]  # fmt: skip
    assert len(scored) > 200
    assert {item.fingerprint for r in scored for item in r.data if item.role in ("evaluation", "second")} <= known
    assert {record.task for record in scored if at_chance(record)} == {"rte"}


def test_a_line_where_the_trivial_score_is(tmp_path: Path) -> None:
    for constraint, loss in ((0.3, 0.1), (0.9, 0.0)):
        for task, trivial in (("mnli", 0.6), ("rte", 0.59), ("sst2", 0.1)):
            folder = kwon.pruning(tmp_path, MINILM, task, constraint=constraint, loss=loss)
            changed(folder, {"accuracy": trivial}, above=task != "rte")
    [drawing] = macs.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing)
    mnli, rte, sst2 = drawing.figure.axes
    assert (dashed(mnli), dashed(rte)) == ([pytest.approx(60)], [pytest.approx(59)])
    assert [axes.get_title() for axes in (mnli, rte, sst2)] == ["mnli", "rte\n(teacher at chance)", "sst2"]
    # far below the curves: a number, so that they are not flattened
    assert dashed(sst2) == [] and sst2.get_ylim()[0] > 75
    legend = sst2.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == ["10.0, below"]
    drawing.figure.draw_without_rendering()
    assert not legend.get_window_extent().overlaps(sst2.texts[0].get_window_extent())
    assert "one answer to all" in [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert drawing.frame.groupby("panel")["trivial"].agg(["min", "max"]).round(6).to_numpy().tolist() == [
        [60, 60], [59, 59], [10, 10],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("curve", "corner", "grows"),
    [([90, 90, 80], "left", False), ([80, 90, 90], "right", False), ([80, 90, 80], "left", True)],
)
def test_what_is_below_is_told_at_the_lower_edge(curve: list[float], corner: str, grows: bool) -> None:
    """Never in an upper corner, and on no curve."""
    figure, [axes] = panel_grid(1)
    axes.plot([30, 60, 90], curve)
    before = axes.get_ylim()[0]
    draw_trivial(axes, {"trivial": 50.9, "metric": "accuracy"})
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    note = legend.get_window_extent().transformed(axes.transAxes.inverted())
    assert (note.x0 < 0.1, note.x1 > 0.9) == (corner == "left", corner == "right") and note.y1 < 0.25
    assert (axes.get_ylim()[0] < before) == grows
    points = axes.transAxes.inverted().transform(axes.transData.transform([(30, curve[0]), (90, curve[2])]))
    assert not any(note.contains(x, y) for x, y in points)


def test_in_points_against_the_teacher(tmp_path: Path) -> None:
    """The teacher has 91.2."""
    changed(cofi.run(tmp_path, MINILM, "sst2", loss=0.1), {"accuracy": 0.86})
    [drawing] = speed.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing)
    assert dashed(drawing.figure.axes[0]) == [pytest.approx(-5.2)]
    assert drawing.frame["trivial"].dropna().tolist() == pytest.approx([-5.2, -5.2])


def test_curves_of_heads(tmp_path: Path) -> None:
    changed(michel.pruning(tmp_path, MINILM, "importance"), {"accuracy": 0.41}, above=False)
    [drawing] = fig3b.draw(group(tmp_path), Journal())
    assert isinstance(drawing, Drawing)
    assert dashed(drawing.figure.axes[0]) == [pytest.approx(41)]
    assert drawing.figure.axes[0].get_title() == "(teacher at chance)"


def test_a_column_in_tables(tmp_path: Path) -> None:
    changed(kwon.pruning(tmp_path, MINILM, "mrpc"), {"f1": 0.812}, above=False, accuracy=0.711)
    changed(cofi.run(tmp_path, MINILM, "mrpc"), {"f1": 0.812}, accuracy=0.722)
    runs = group(tmp_path).records
    for part, verb, accuracy, words in (
        (budgets, "prune_fisher", "71.1", "81.2 (teacher at chance)"), (baselines, "prune_cofi", "72.2", "81.2"),
    ):  # fmt: skip
        [table] = part.draw(Group([record for record in runs if record.verb == verb]), Journal())
        assert isinstance(table, Table)
        assert table.display[["accuracy", "one answer to all"]].to_numpy().tolist() == [[accuracy, words]]
        assert table.frame[["accuracy", "trivial"]].to_numpy().tolist() == [pytest.approx([float(accuracy), 81.2])]
    *_, table = compare.draw(Group(runs), Journal())
    assert isinstance(table, Table) and set(table.display["one answer to all"]) == {"81.2 (teacher at chance)"}
