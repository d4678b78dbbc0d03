"""A sweep with two workers that is killed at random moments and started again ends with what it would have had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli.composition import CONF
from tests.support.commands import TINY
from tests.support.same_runs import assert_same

CELLS = [
    *TINY, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "run.threads=1", "run.checkpoint_seconds=0",
    "train.epochs=4", "train.learning_rate=1e-2", "calibration_examples=64", "batch_sizes=[2]", "repeats=1",
    "constraint=0.4,0.5,0.6,0.7,0.8,0.9", "train.seed=0,1",
]  # fmt: skip


@pytest.mark.slow
def test_killed_at_fifty_random_moments(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killing", str(tmp_path), "50", *CELLS],
        cwd=CONF.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("50 kills, "), done.stdout
    assert len(list((tmp_path / "whole").glob("prune_fisher/*/result.json"))) == 12
    assert len(list((tmp_path / "whole").glob("finetune/*/result.json"))) == 2
    ends = sorted(path for path in tmp_path.iterdir() if path.name.isdigit())
    assert len(ends) >= 5
    for end in ends:
        assert_same(end, tmp_path / "whole")
