"""A sweep tells of every cell: done, finished before, failed, or never heard of."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments.cli import sweep
from tests.experiments.commands import TINY, command


@pytest.mark.parametrize(
    "overrides",
    [
        ["constraint=0.3,0.5", "seed=0,1,2"],
        ["seed=range(0,3)", "task=sst2", "constraint=0.3,0.5", "run.folder=runs"],
        ["task=sst2,mrpc", "+model.shape={a: 1}", "batch_sizes=[1,2]"],
        ["constraint=0.5"],
        ["seed=1", "constraint=0.3,0.5", "seed=0,1"],
    ],
)
def test_cells_are_those_of_hydra(overrides: list[str]) -> None:
    [batch] = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), None)
    swept = {texts[0].partition("=")[0] for texts in zip(*batch, strict=True) if len(set(texts)) > 1}
    expected = [" ".join(text for text in cell if text.partition("=")[0] in swept) for cell in batch]
    assert sweep.cells_of(overrides) == expected


def test_done_finished_before_and_failed(tmp_path: Path) -> None:
    arguments = ["-m", *TINY, f"run.folder={tmp_path}", "order=magnitude", "share=0.5"]
    first = command("prune_heads", *arguments, "floor=0")
    assert first.returncode == 0
    assert "1 cells: 1 done" in first.stdout
    done = command("prune_heads", *arguments, "floor=7,0,1")
    assert done.returncode == 2
    assert done.stderr.count("floor: 7 heads cannot stay in a layer of 2") == 1
    assert "Traceback" not in done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("floor=")]
    assert [line[:2] for line in lines] == [["floor=7", "failed"], ["floor=0", "was"], ["floor=1", "done"]]
    assert "3 cells: 1 done, 1 was finished, 1 failed" in done.stdout
    assert not (tmp_path / ".sweeps").exists()


def test_a_cell_that_was_killed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sweep.watched([f"run.folder={tmp_path}", "seed=0,1,2"]) as watched:
        sweep.report(0, sweep.DONE, 1.5)
        sweep.report(2, sweep.FAILED, 0.5, "seed: 2 is no seed")
    assert watched.failed
    shown = capsys.readouterr().out
    assert "no report" in shown and "the same command runs it" in shown and "seed: 2 is no seed" in shown
    assert "3 cells: 1 done, 1 failed, 1 no report" in shown
    assert sweep.VARIABLE not in os.environ


def test_reports_of_a_killed_sweep_are_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / ".sweeps" / f"{socket.gethostname()}-{2**22 + 1}"
    elsewhere = tmp_path / ".sweeps" / "another-machine-1"
    for folder in (abandoned, elsewhere):
        folder.mkdir(parents=True)
    with sweep.watched([f"run.folder={tmp_path}", "seed=0"]):
        assert not abandoned.exists()
    assert elsewhere.exists()


def test_no_report_without_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep.report(0, sweep.DONE, 1.0)
    assert not list(tmp_path.iterdir())


def test_two_workers(tmp_path: Path) -> None:
    done = command(
        "prune_heads", "-m", *TINY, f"run.folder={tmp_path}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        "order=magnitude", "share=0.25,0.5,2",
    )  # fmt: skip
    assert done.returncode == 2
    assert "3 cells: 2 done, 1 failed" in done.stdout
    assert len(list(tmp_path.glob("finetune/*/result.json"))) == 1
    assert len(list(tmp_path.glob("prune_heads/*/result.json"))) == 2
