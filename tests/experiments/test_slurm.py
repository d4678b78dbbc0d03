"""A sweep on a real Slurm: one cell fails, two jobs are stopped and put back into the queue, and all of it is told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import slurm
from tests.support.commands import TINY, perform, started, wait

CELL = [*TINY, "train.epochs=150", "train.learning_rate=1e-2", "run.checkpoint_seconds=0"]

pytestmark = pytest.mark.skipif(
    bool(slurm.missing()), reason=f"Slurm is not installed: no {', '.join(slurm.missing())} on the PATH"
)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.mark.slow
def test_a_sweep_with_a_failing_cell_and_requeued_jobs(tmp_path: Path, cluster: dict[str, str]) -> None:
    runs, expected = tmp_path / "runs", tmp_path / "expected"
    sweep = ["-m", *CELL, f"run.folder={runs}", "hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1"]
    with started("finetune", *sweep, "train.seed=0,1,-1", **cluster) as process:
        assert wait(process, lambda: len(list(runs.glob("finetune/*/checkpoint.safetensors"))) == 2)
        array = slurm.ask("squeue -h -r -o %F", cluster).split()[0]
        jobs = [f"{array}_{seed}" for seed in (0, 1)]
        slurm.ask(f"scancel --signal=USR2 {jobs[0]}", cluster)  # as before a time limit: the cell is asked to stop
        slurm.ask(f"scontrol requeue {jobs[1]}", cluster)  # as after a lost node: it is killed
        for job in jobs:
            assert wait(process, partial(slurm.pending, job, cluster))
            slurm.ask(f"scontrol update JobId={job} StartTime=now", cluster)  # Slurm would wait for two minutes
        out, err = process.communicate()
    assert process.returncode == 2, err
    lines = [line.split()[:2] for line in out.splitlines() if line.startswith("train.seed=")]
    assert lines == [["train.seed=0", "done"], ["train.seed=1", "done"], ["train.seed=-1", "failed"]]
    assert "train.seed: -1 must be at least 0" in " ".join(out.split())
    assert "3 cells: 2 done, 1 failed" in out
    for seed in (0, 1):
        record = perform("finetune", *CELL, f"run.folder={expected}", f"train.seed={seed}", "run.threads=1")
        for name in ("metrics.jsonl", "model/model.safetensors"):
            place = Path("finetune") / record["run_id"] / name
            assert (runs / place).read_bytes() == (expected / place).read_bytes()
    assert not [path for path in runs.rglob("*.tmp") if path.parent.name != ".submitit"]
