"""A score, structure or order that no table of looks has is drawn like any other: in no grey, in no way left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from analysis.cofi.panels import draw_structures
from analysis.compare.runs import USUAL
from analysis.compare.words import method_look
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.kwon import comparisons
from analysis.michel import fig3b, order_agreement
from analysis.render.output import Drawing
from analysis.render.style import GREY, ORDERS, looks_of, new_figure
from tests.support.records import kwon, michel
from tests.support.records.frame import DEMO


def renamed(folder: Path, field: str, name: str) -> None:
    """A run as if a setting had had another value."""
    path = folder / "result.json"
    result: Any = json.loads(path.read_text())
    result["config"][field] = name
    result["metrics"] |= {field: name} if field in result["metrics"] else {}
    path.write_text(json.dumps(result))


def curves(drawing: Any) -> dict[str, str]:
    """Colours by label."""
    assert isinstance(drawing, Drawing)
    lines = [line for axes in drawing.figure.axes for line in axes.get_lines()]
    return {str(line.get_label()): to_hex(line.get_color()) for line in lines}


def test_own_looks_are_apart_from_each_other_and_from_all_known() -> None:
    looks = looks_of(ORDERS, ["zeta", "random", "alpha", *ORDERS])
    assert list(looks) == [*ORDERS, "alpha", "zeta"] and looks["random"] == ORDERS["random"]
    colors = [look.color.lower() for look in looks.values()]
    assert len(set(colors)) == len(colors) and GREY.lower() not in colors
    assert len({look.marker for look in looks.values()}) == len(looks)


@pytest.fixture
def runs(tmp_path: Path) -> list[Any]:
    for order in ("importance", "random"):
        michel.pruning(tmp_path, DEMO, order)
    renamed(michel.pruning(tmp_path, DEMO, "magnitude"), "order", "position")
    return load([tmp_path], Journal())


def test_a_new_score_is_a_curve_and_part_of_the_agreement(runs: list[Any]) -> None:
    [curve] = fig3b.draw(Group(runs), Journal())
    assert curves(curve)["position"] not in (GREY.lower(), "#777777")
    frame = order_agreement.agreement(Group(runs), Journal())
    assert frame is not None
    pairs = list(zip(frame["first"], frame["second"], strict=True))
    assert pairs == [("importance", "random"), ("importance", "position"), ("random", "position")]
    [agreement] = order_agreement.draw(Group(runs), Journal())
    assert isinstance(agreement, Drawing)
    assert [text.get_text() for text in agreement.figure.axes[0].get_yticklabels()] == ["random", "position"]


def test_a_new_score_is_compared_with_other_methods(runs: list[Any], tmp_path: Path) -> None:
    michel.pruning(tmp_path, DEMO, "importance_stepwise")
    compared = USUAL["prune_heads"](load([tmp_path], Journal()))
    assert {record.config["order"] for record in compared} == {"importance", "random", "position"}
    look, itself = method_look("prune_heads position")
    assert look.label == "heads by position" and look.color != GREY and not itself


def test_a_new_score_of_fisher_pruning_has_its_curve(tmp_path: Path) -> None:
    for constraint in (0.4, 0.7):
        for score in ("fisher", "own"):
            kwon.pruning(tmp_path, DEMO, score=score, constraint=constraint, loss=0.05)
    [drawing] = comparisons.draw_scores(Group(load([tmp_path], Journal())), Journal())
    assert {"Fisher information", "own"} <= set(curves(drawing))


def test_a_new_structure_has_its_curve() -> None:
    axes = new_figure(2, 2).subplots()
    rows = pd.DataFrame({
        "series": ["learned", "own", "unpruned", "published"], "requested": [60.0, 60.0, None, None],
        "x": 1.0, "value": 1.0, "low": None, "high": None, "missed": 0, "runs": 1, "metric": "accuracy",
    })  # fmt: skip
    draw_structures(axes, rows, "x")
    labels = [str(line.get_label()) for line in axes.get_lines()]
    assert [label for label in labels if not label.startswith("_")] == ["CoFi", "own"]
