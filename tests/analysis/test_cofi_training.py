"""The course of CoFi's training is drawn from the lines that a run logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis import cofi_training
from analysis.groups import Group
from analysis.loading import Journal, load
from analysis.output import Drawing
from tests.analysis import factory


def run(root: Path, sparsity: float, seed: int = 0) -> Path:
    folder = factory.write_run(root, "prune_cofi", config={"sparsity": sparsity}, seed=seed)
    lines = [{"step": 20, "stage": "distil", "loss": 1.0, "layer_loss": 2.0, "prediction_loss": 0.5}]
    lines += [
        {"step": step, "stage": "prune", "layer_loss": 1.0, "prediction_loss": 0.4, "expected_sparsity": 0.01 * step,
         "target_sparsity": sparsity, "linear_multiplier": -0.1, "quadratic_multiplier": 0.2}
        for step in (40, 60)
    ]  # fmt: skip
    lines.append({"step": 80, "stage": "finetune", "layer_loss": 0.5, "prediction_loss": 0.1, "score": 0.9})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def drawn(root: Path, journal: Journal) -> list[Any]:
    return [item for item in cofi_training.draw(Group(load([root], journal)), journal) if isinstance(item, Drawing)]


def test_lines_are_those_of_the_runs(tmp_path: Path) -> None:
    for sparsity, seed in ((0.6, 0), (0.6, 1), (0.9, 0)):
        run(tmp_path, sparsity, seed)
    [figure] = drawn(tmp_path, Journal())
    assert figure.frame.groupby(["requested", "run"]).size().tolist() == [4, 4, 4]
    sparsity, _, _, score = figure.figure.axes
    solid = [line for line in sparsity.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    assert solid[0].get_ydata() == pytest.approx([40, 60])
    assert score.lines[0].get_ydata() == pytest.approx([90])
    assert [text.get_text() for text in figure.figure.legends[0].texts] == ["60 % requested", "90 % requested"]


def test_a_torn_line_is_told_and_the_run_left_out(tmp_path: Path) -> None:
    run(tmp_path, 0.6)
    torn, missing = run(tmp_path, 0.9), run(tmp_path, 0.95)
    (torn / "metrics.jsonl").write_text('{"step": 20, "stage": "distil"}\n{"step": 4')
    (missing / "metrics.jsonl").unlink()
    journal = Journal()
    [figure] = drawn(tmp_path, journal)
    assert set(figure.frame.requested) == {0.6}
    assert len(journal.warnings) == 2 and all("metrics.jsonl" in line for line in journal.warnings)
