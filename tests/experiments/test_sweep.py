"""A sweep tells of every cell: done, finished before, failed, or never heard of."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from experiments.cli import sweep
from experiments.cli.messages import ONE_PRESET
from experiments.cli.outcome import CellOutcome
from prunekit.support import progress
from tests.support.commands import TINY, called, command


def test_done_finished_before_and_failed(tmp_path: Path) -> None:
    arguments = ["-m", *TINY, f"run.folder={tmp_path}", "order=magnitude", "share=0.5"]
    first = called("prune_heads", *arguments, "floor=0")
    assert first.returncode == 0
    assert "1 cells: 1 done" in first.stdout
    done = called("prune_heads", *arguments, "floor=7,0,1")
    assert done.returncode == 2
    assert done.stderr.count("floor: 7 heads cannot stay in a layer of 2") == 1
    assert "Traceback" not in done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("floor=")]
    assert [line[:2] for line in lines] == [["floor=7", "failed"], ["floor=0", "was"], ["floor=1", "done"]]
    assert "3 cells: 1 done, 1 of 3 was finished before, 1 failed" in done.stdout
    heading = next(line for line in done.stdout.splitlines() if line.startswith("cell"))
    assert heading.split() == ["cell", "accuracy", "baseline", "requested", "achieved", "seconds"]
    [before] = [line for line in done.stdout.splitlines() if "finished before, on " in line]  # once, in one line
    assert before.startswith("prune_heads floor=0: accuracy 0.") and "heads 0.5 gone, finished before, on " in before
    assert Path(before.rpartition(", ")[2]).parent == tmp_path / "prune_heads"
    assert lines[1][4:8] == lines[2][3:7]  # baseline and what was asked for and reached
    assert lines[1][5:9] == ["share=0.5", "heads", "0.5", "gone"] and "share=0.5" not in lines[0]
    assert "floor=7 failed: floor: 7 heads cannot stay in a layer of 2" in done.stdout
    assert not (tmp_path / ".sweeps").exists()


def test_a_cell_that_was_killed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sweep.watched(tmp_path, ["seed=0", "seed=1", "seed=2"]) as watched:
        sweep.report(0, sweep.DONE, 1.5)
        sweep.report(2, sweep.FAILED, 0.5, "seed: 2 is no seed")
    assert watched.failed
    shown = capsys.readouterr().out
    assert "no report" in shown and "the same command runs it" in shown and "seed: 2 is no seed" in shown
    assert "3 cells: 1 done, 1 failed, 1 no report" in shown
    assert sweep.VARIABLE not in os.environ


LONG = [f"task.name=quite_a_long_name model.shape.num_hidden_layers={layers} train.seed={seed} seed={seed}"
        for layers in (3, 6) for seed in (0, 1)]  # fmt: skip


@pytest.mark.parametrize("budgets", [(0.3, 0.3), (0.3, 0.7)])
def test_a_table_that_is_too_wide_folds_no_number(
    budgets: tuple[float, float], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress.console, "width", 80)
    with sweep.watched(tmp_path, LONG):
        for number in range(len(LONG)):
            budget = budgets[number % 2]
            reached = (f"constraint={budget:g}", f"MACs {budget:g} left")
            result = CellOutcome("accuracy", f"0.812{number}", "0.9123", *reached)
            sweep.report(number, sweep.DONE, 12.5, result=result)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "model.shape" not in shown and "num_hidden_layers=6" in shown and "train.seed=1" in shown
    assert [word for word in shown.split() if word.startswith("0.812")] == ["0.8120", "0.8121", "0.8122", "0.8123"]
    assert shown.split().count("12.5") == 4 and shown.count("done") == 5
    [alike] = [line for line in shown.splitlines() if line.startswith("all cells: ")]
    if budgets == (0.3, 0.3):
        assert alike == "all cells: baseline 0.9123, requested constraint=0.3, achieved MACs 0.3 left"
    else:
        assert alike == "all cells: baseline 0.9123" and shown.count("constraint=0.7") == 2


def test_reports_of_a_killed_sweep_are_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / ".sweeps" / f"{socket.gethostname()}-{2**22 + 1}"
    elsewhere = tmp_path / ".sweeps" / "another-machine-1"
    for folder in (abandoned, elsewhere):
        folder.mkdir(parents=True)
    with sweep.watched(tmp_path, ["seed=0"]):
        assert not abandoned.exists()
    assert elsewhere.exists()


def test_no_report_without_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep.report(0, sweep.DONE, 1.0)
    assert not list(tmp_path.iterdir())


def test_a_preset_sweeps_without_being_told_to(tmp_path: Path) -> None:
    arguments = [*TINY, f"run.folder={tmp_path}", "experiment=michel_fig3b", "grid=0.5"]
    done = called("prune_heads", *arguments, "order=magnitude,random", "seed=0,3", "floor=0,7")
    assert done.returncode == 2  # without -m, too
    lines = [line.split()[:4] for line in done.stdout.splitlines() if line.startswith("order=")]
    assert lines == [
        [f"order={order}", f"seed={seed}", f"floor={floor}", "done" if floor == 0 else "failed"]
        for order, seed in (("magnitude", 0), ("magnitude", 3), ("random", 0), ("random", 3))
        for floor in (0, 7)
    ]
    assert "8 cells: 4 done, 4 failed" in done.stdout
    assert len(list(tmp_path.glob("prune_heads/*/result.json"))) == 4


@pytest.mark.parametrize(
    ("verb", "overrides", "line"),
    [
        ("prune_heads", ["-m", "experiment=michel_fig3a,michel_fig3b"], ONE_PRESET),
        ("prune_heads", ["experiment=michel_fig3a,michel_fig3b"], ONE_PRESET),
        ("prune_heads", ["experiment=michel_fig3b", "hydra.mode=RUN"],
         "hydra.mode=RUN: experiment=michel_fig3b sweeps, one run would leave what it sweeps unset"),
        ("prune_heads", ["-m", "experiment=michel_fig3b", "scale=demo,small"],
         "scale: experiment=michel_fig3b takes its sweep from one scale, so one at a time"),
        ("head_dynamics", ["experiment=michel_fig5", "scale=paper"],
         "experiment=michel_fig5: scale=paper has nothing for it"),
        ("ablate_heads", ["experiment=michel_fig3b"],
         "experiment=michel_fig3b: no preset of this verb, "
         "use python -m experiments.prune_heads experiment=michel_fig3b"),
        ("transfer", ["experiment=michel_fig1b"],
         "experiment=michel_fig1b: no preset of this verb, "
         "use python -m experiments.ablate_heads experiment=michel_fig1b"),
    ],
)  # fmt: skip
def test_what_would_not_be_the_figure_is_refused(verb: str, overrides: list[str], line: str) -> None:
    done = called(verb, *overrides)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip() == f"{verb}: {line}"


def test_the_configuration_of_a_job_shows_the_sweep_as_well() -> None:
    done = called("prune_heads", "experiment=michel_fig3b", "scale=small", "order=oracle,random", "--cfg", "job")
    assert done.returncode == 2, "several values need a sweep, and --cfg shows one job"
    done = called("prune_heads", "experiment=michel_fig3b", "scale=small", "order=random", "--cfg", "job")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == [
        "# 5 runs:",
        "#   order=random seed,train.seed=[0,0],[1,1],[2,2],[3,0],[4,1] scale=small",
    ]


def test_two_workers_report_to_one_sweep(tmp_path: Path) -> None:
    done = command(
        "prune_heads", "-m", *TINY, f"run.folder={tmp_path}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        "order=magnitude", "share=2,3",
    )  # fmt: skip
    assert done.returncode == 2
    lines = [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("share=")]
    assert lines == [["share=2", "failed"], ["share=3", "failed"]]
    assert "2 cells: 2 failed" in done.stdout
    for share in (2, 3):
        assert f"share: {share}.0 is outside [0, 1]" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_two_workers(tmp_path: Path) -> None:
    done = command(
        "prune_heads", "-m", *TINY, f"run.folder={tmp_path}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        "order=magnitude", "share=0.25,0.5,2",
    )  # fmt: skip
    assert done.returncode == 2
    assert "3 cells: 2 done, 1 failed" in done.stdout
    assert len(list(tmp_path.glob("finetune/*/result.json"))) == 1
    assert len(list(tmp_path.glob("prune_heads/*/result.json"))) == 2
