"""The course of CoFi's training is drawn from the lines that a run logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.cofi import training
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.render.output import Drawing
from tests.support.records import cofi
from tests.support.records.frame import MINILM


def drawn(root: Path, journal: Journal) -> list[Any]:
    return [item for item in training.draw(Group(load([root], journal)), journal) if isinstance(item, Drawing)]


def test_lines_are_those_of_the_runs(tmp_path: Path) -> None:
    for sparsity, seed in ((0.6, 0), (0.6, 1), (0.9, 0)):
        cofi.run(tmp_path, MINILM, sparsity=sparsity, seed=seed, loss=0.012)
    [figure] = drawn(tmp_path, Journal())
    assert figure.frame.groupby(["requested", "run"]).size().tolist() == [4, 4, 4]
    sparsity, _, _, score = figure.figure.axes
    solid = [line for line in sparsity.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    assert solid[0].get_ydata() == pytest.approx([36, 60])
    assert score.lines[0].get_ydata() == pytest.approx([90])
    assert score.get_title() == "score on selection rows (%)", "the teacher has learnt them"
    assert len({axes.get_xlim() for axes in figure.figure.axes}) == 1
    assert [text.get_text() for text in figure.figure.legends[0].texts] == ["60 % requested (2 runs)", "90 % requested"]


def test_a_torn_line_is_told_and_the_run_left_out(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, sparsity=0.6)
    torn, missing = (cofi.run(tmp_path, MINILM, sparsity=sparsity) for sparsity in (0.9, 0.95))
    (torn / "metrics.jsonl").write_text('{"step": 20, "stage": "distil"}\n{"step": 4')
    (missing / "metrics.jsonl").unlink()
    journal = Journal()
    [figure] = drawn(tmp_path, journal)
    assert set(figure.frame.requested) == {0.6}
    assert len(journal.warnings) == 2 and all("metrics.jsonl" in line for line in journal.warnings)
