"""A sweep with two workers that is killed at random moments and started again ends with what it would have had."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.experiments.commands import TINY, started
from tests.experiments.test_kill import assert_same

KILLS = 50
CELLS = [
    "-m", *TINY, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "run.threads=1", "run.checkpoint_seconds=0",
    "train.epochs=4", "train.learning_rate=1e-2", "calibration_examples=64", "batch_sizes=[2]", "repeats=1",
    "constraint=0.4,0.5,0.6,0.7,0.8,0.9", "train.seed=0,1",
]  # fmt: skip


def finished(root: Path) -> dict[Path, tuple[int, int]]:
    """Every finished cell's record, by what a record that was written again would differ in."""
    found = ((path, path.stat()) for path in root.glob("prune_fisher/*/result.json"))
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in found}


@pytest.mark.slow
def test_killed_at_fifty_random_moments(tmp_path: Path) -> None:
    root, whole, moments = tmp_path / "runs", tmp_path / "whole", random.Random(0)
    start = time.perf_counter()
    sweep(root, timeout=None)
    seconds = time.perf_counter() - start
    root.rename(whole)
    assert len(finished(whole)) == 12

    kills, ended, before = 0, False, finished(root)
    while kills < KILLS or not ended:
        ended = sweep(root, timeout=moments.uniform(0, seconds) if kills < KILLS else None)
        now = finished(root)
        assert before.items() <= now.items()  # no cell is finished twice
        if ended:
            assert_same(root, whole)
            shutil.rmtree(root)
            now = {}
        else:
            kills += 1
        before = now


def sweep(root: Path, timeout: float | None) -> bool:
    """Run the sweep, killed with all its processes after so many seconds; whether it came to its end before."""
    with started("prune_fisher", *CELLS, f"run.folder={root}") as process:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=timeout)
        return process.returncode is not None
