"""Are pruned models as fast as plain ones of their shapes? Judged over sessions, shape by shape."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from analysis.catalogue.chapters import CHAPTERS
from analysis.claims import papers
from analysis.claims.table import OURS
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from tests.support.claims import outcomes
from tests.support.records.frame import MINILM, mark_quiet, write_run

ROUNDS = (-0.01, 0.0, 0.0, 0.01) * 5
RUNTIMES = ("torch", "compile", "onnx", "onnx-int8")


def session(
    root: Path, *, seed: int = 0, runtime: str | None = "onnx", share: float | None = 0.0, repeats: int = 3,
    **ratios: float,
) -> None:  # fmt: skip
    """A run of two batch sizes; 32 is slow, and beside the unpruned model all is: neither plays a part."""
    table = pd.DataFrame([
        {"comparison": f"{name.replace('_', ' ')}, batch {batch}: {what}", "repeat": number, "plain_seconds": 1.0,
         "fast_seconds": 1.0, "ratio": (ratio if (batch, what) == (1, "hand-built") else 0.1) + around}
        for name, ratio in ratios.items() for batch in (1, 32) for what in ("unpruned", "hand-built")
        for number, around in enumerate(ROUNDS)
    ])  # fmt: skip
    config = {"benchmark": "latency", "repeats": repeats} | ({"runtime": runtime} if runtime else {})
    folder = write_run(
        root, "benchmark", model=MINILM, seed=seed, config=config, tables={"repeats": table},
        metrics={"length": 53, "max_logit_difference": 0.0},
    )  # fmt: skip
    if share is not None:
        mark_quiet(folder, {"benchmark": share})


def judged(root: Path, runtime: str = "onnx") -> dict[str, Any]:
    [chapter] = [chapter for chapter in CHAPTERS if chapter.paper == "speed"]
    [(setting, runs)] = chapter.settings(load([root], Journal())).items()
    frame = papers.judged("speed", chapter.groups(runs), Journal(), str(setting)).frame
    return dict(frame.assign(runtime=RUNTIMES).set_index("runtime").loc[runtime])


@pytest.mark.parametrize(
    ("second", "verdict"),
    [(0.97, "holds"), (0.8, "does not hold (holds for 1 of 2 models)"), (0.951, "undecided: few layers: needs")],
)
def test_every_shape_has_to_be_as_fast(second: float, verdict: str, tmp_path: Path) -> None:
    for seed, apart in enumerate((math.exp(-0.005), 1.0, math.exp(0.005))):
        session(tmp_path, seed=seed, deep=0.99 * apart, few_layers=second * apart)
    row = judged(tmp_path)
    assert row["verdict"].startswith(verdict)
    assert row["n"] == "3 sessions, 20 repeats" and row["correction"] == "Bonferroni over 2, 97.50 % each"
    assert row["estimate"] == f"deep: 99; few layers: {100 * second:.6g}"
    low = 99 * math.exp(-stats.t.ppf(0.9875, 2) * 0.005 / 3**0.5)  # of the logarithms
    assert row["low"].startswith(f"deep: {low:.6g};")
    assert row["criterion"].endswith("by shape: at least 95")
    assert judged(tmp_path, "torch")["verdict"] == "not tested", "another runtime"


def test_one_session_decides_nothing(tmp_path: Path) -> None:
    """However many rounds it has; those are what is known of it."""
    session(tmp_path, runtime=None, deep=0.5)
    row = judged(tmp_path, "torch")
    assert row["verdict"] == "undecided: only 1 session"
    assert row[OURS] == "deep: 50 (repeats alone 50 to 50) %"
    [outcome] = outcomes("speed.beside_hand_built", Group(load([tmp_path], Journal())))
    # the median of 20 rounds of 0.5, whose quartiles are 0.005 apart; of the logarithm
    assert outcome.effect.main.rows_error == pytest.approx(1.2533 * 0.005 / 0.5 / 1.349 / 20**0.5)


def test_sessions_beside_other_work_are_left_out(tmp_path: Path) -> None:
    for seed in range(3):
        session(tmp_path, seed=seed, deep=0.97 + seed / 1000)
    session(tmp_path, seed=3, share=0.5, deep=0.2)
    row = judged(tmp_path)
    assert row["verdict"] == "holds" and row["n"].startswith("3 sessions")
    assert "1 run beside other work left out" in row["setting"]
    session(tmp_path / "unknown", runtime=None, share=None, deep=0.97)
    assert judged(tmp_path / "unknown", "torch")["verdict"] == "undecided: machine not known to be quiet"


def test_sessions_of_another_condition_are_not_joined(tmp_path: Path) -> None:
    session(tmp_path, seed=9, repeats=1, deep=0.2)
    for seed in range(2):
        session(tmp_path, seed=seed, deep=0.97)
    assert judged(tmp_path)["estimate"] == "97" and judged(tmp_path)["n"].startswith("2 sessions")
