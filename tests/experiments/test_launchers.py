"""The presets of Hydra's launchers: how much they start at a time, and what becomes of a sweep with a killed cell."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import joblib
import pytest
from hydra import compose, initialize_config_dir

from experiments.cli.composition import CONF, register
from prunekit.config.sections import Settings
from tests.support.commands import TINY, refused, started, wait

CORES = joblib.cpu_count()


def hydra(*overrides: str) -> Any:
    """Hydra's own part of a composed configuration."""
    register("finetune", Settings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("finetune", overrides=[*overrides, "run.folder=out"], return_hydra_config=True)
    return composed.hydra


@pytest.mark.parametrize(
    ("launcher", "settings", "at_once"),
    [
        ("basic", {}, None),
        ("joblib", {"n_jobs": -1}, None),
        ("submitit_local", {"cpus_per_task": 1, "submitit_folder": "out/.submitit/%j"}, CORES),
        ("submitit_slurm", {"cpus_per_task": 4, "array_parallelism": 16, "max_num_timeout": 20, "timeout_min": 240,
                            "submitit_folder": "out/.submitit/%j"}, None),
    ],
)  # fmt: skip
def test_presets(launcher: str, settings: dict[str, Any], at_once: int | None) -> None:
    found = hydra(f"hydra/launcher={launcher}")
    assert {name: found.launcher[name] for name in settings} == settings
    assert found.sweeper.max_batch_size == at_once


@pytest.mark.parametrize(
    "override",
    ["hydra.launcher.n_jobs=2", "hydra.launcher.temp_folder=/tmp", "hydra.sweeper.max_batch_size=1"],
)
def test_whatever_the_plugin_knows_can_be_set(override: str) -> None:
    found = hydra("hydra/launcher=joblib", override)
    _, section, name = override.partition("=")[0].split(".")
    assert str(found[section][name]) == override.partition("=")[2]


def test_the_presets_are_those_that_are_tested() -> None:
    presets = sorted(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml"))
    assert presets == ["joblib", "submitit_local", "submitit_slurm"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["hydra/launcher=submitit_slurm"], "hydra/launcher=submitit_slurm: there is no Slurm on this machine"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs: 0 starts nothing"),
        (["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=0"],
         "hydra.launcher.timeout_min: 0 must be at least 1"),
        (["hydra.sweeper.max_batch_size=-1"], "hydra.sweeper.max_batch_size: -1 must be at least 1"),
        (["run.folder=/proc/x"], "run.folder: '/proc/x' lies in proc of the system"),
    ],
)  # fmt: skip
def test_a_launcher_that_cannot_run_is_refused_before_anything_starts(
    overrides: list[str], line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = [] if any(text.startswith("run.folder") for text in overrides) else [f"run.folder={tmp_path}/runs"]
    assert refused("finetune", "-m", *TINY, *folder, *overrides, "train.seed=0,1").startswith(line)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # test_sweep.py has a cell that never reports, without the jobs
def test_a_killed_job_stops_no_other(tmp_path: Path) -> None:
    sweep = [
        "-m", *TINY, f"run.folder={tmp_path}", "hydra/launcher=submitit_local", "hydra.sweeper.max_batch_size=2",
        "run.checkpoint_seconds=0", "train.seed=-1,0", "train.epochs=5000,1",
    ]  # fmt: skip
    with started("finetune", *sweep, COLUMNS="160") as process:
        assert wait(process, lambda: any(tmp_path.glob("finetune/*/checkpoint.safetensors")))
        assert wait(process, lambda: len(running(tmp_path)) == 1)
        [cell] = running(tmp_path)
        os.kill(cell, signal.SIGKILL)
        out, err = process.communicate()
    assert process.returncode == 2, err
    lines = [line.split() for line in out.splitlines() if line.startswith("train.epochs=")]
    assert [line[:3] for line in lines] == [
        ["train.epochs=5000", "train.seed=-1", "failed"],
        ["train.epochs=5000", "train.seed=0", "no"],
        ["train.epochs=1", "train.seed=-1", "failed"],
        ["train.epochs=1", "train.seed=0", "done"],
    ]
    assert lines[1][3] == "report" and all(float(line[3]) >= 0 for line in (lines[0], lines[2], lines[3]))
    assert "4 cells: 1 done, 2 failed, 1 no report" in out
    assert "Traceback" not in err


def running(root: Path) -> list[int]:
    """Processes of the cells that run: children of the jobs' controllers, whose numbers are the jobs' names."""
    found: list[int] = []
    for job in (root / ".submitit").iterdir():
        children = Path(f"/proc/{job.name}/task/{job.name}/children")
        found += map(int, children.read_text().split() if children.exists() else [])
    return found
