"""`python -m analysis pair`: any two runs on the same rows, a line a pair of models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.catalogue.two_runs import compare_runs
from prunekit.evaluation.row_answers import RowAnswers, of_labels
from prunekit.support.statistics import adjusted_p_values, mcnemar
from tests.support.records import kwon, michel
from tests.support.records.frame import MINILM, add_answers

GOLD = np.random.default_rng(0).integers(0, 3, 200)


def answers(wrong: float, rows: str = "f") -> RowAnswers:
    random = np.random.default_rng(round(1000 * wrong))
    return of_labels("classification", rows, GOLD, np.where(random.random(200) < wrong, (GOLD + 1) % 3, GOLD))


def right(wrong: float) -> np.ndarray:
    return answers(wrong).given["class"][:, 0] == GOLD


def named(folder: Path, metric: str = "accuracy") -> Path:
    """With the task's metrics, which every new record has."""
    result = json.loads((folder / "result.json").read_text())
    result["config"]["task"]["metrics"] = [metric]
    (folder / "result.json").write_text(json.dumps(result))
    return folder


@pytest.fixture
def curves(tmp_path: Path) -> tuple[Path, Path]:
    folders = []
    for order, wrong in (("importance", (0.1, 0.3)), ("random", (0.1, 0.45))):
        folder = michel.pruning(tmp_path, MINILM, order)
        add_answers(folder, *[({"share": share}, answers(one)) for share, one in zip((0.0, 0.5), wrong, strict=True)])
        folders.append(named(folder))
    return folders[0], folders[1]


def test_models_of_one_share_are_compared(curves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    metric, found = compare_runs(*curves)
    assert (metric, [one.models for one in found]) == ("accuracy", ["share 0.0", "share 0.5"])
    whole, half = found
    assert whole.pair.p_value == 1 and whole.pair.difference == whole.pair.low == whole.pair.high == 0
    assert (half.one, half.other) == (right(0.3).mean(), right(0.45).mean())
    p_value = mcnemar(right(0.45), right(0.3))
    assert half.pair.p_value == p_value and half.pair.difference == pytest.approx(half.one - half.other)
    adjusted = adjusted_p_values(np.asarray([1.0, p_value]))[1]
    assert main(["pair", f"one={curves[0]}", f"other={curves[1]}"]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith(f"share 0.5: accuracy {100 * half.one:.2f} and {100 * half.other:.2f}, difference +")
    assert line.endswith(f"McNemar p = {p_value:.3g}, adjusted {adjusted:.3g}")


def test_of_other_verbs_what_they_ended_with(tmp_path: Path, curves: tuple[Path, Path]) -> None:
    fisher = kwon.pruning(tmp_path, MINILM)
    add_answers(fisher, ({"stage": "dense"}, answers(0.1)), ({"stage": "tune"}, answers(0.2)))
    _, (only,) = compare_runs(curves[0], named(fisher))
    assert only.models == "share 0.5 and stage tune"
    assert (only.one, only.other) == (right(0.3).mean(), right(0.2).mean())


def test_what_cannot_be_compared_is_a_line(
    tmp_path: Path, curves: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = curves

    def line(*arguments: str) -> str:
        assert main(["pair", *arguments]) == 2
        out = capsys.readouterr()
        assert out.out == "" and out.err.count("\n") == 1
        return out.err.strip()

    assert line(f"one={one}") == "error: other: name the folder of a run, as in other=runs/prune_heads/ID"
    nothing = kwon.pruning(tmp_path, MINILM)
    assert line(f"one={one}", f"other={nothing}") == (
        f"error: other: {nothing} has no answers to the rows of evaluation; older records have none"
    )
    assert "no finished run" in line(f"one={tmp_path}", f"other={other}")
    named(other, "f1")
    assert line(f"one={one}", f"other={other}") == f"error: other: {other} has the metric f1, {one} has accuracy"
    add_answers(named(other), ({"share": 0.5}, answers(0.1, "g")))
    assert "answers 200 rows g" in line(f"one={one}", f"other={other}")
