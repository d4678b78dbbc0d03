"""Twelve cells of Fisher pruning that share two teachers: a sweep on two cores, beside the same runs one by one.

``plain`` is half of what the two teachers and then the twelve cells take one after another, each in a process of its
own with one thread. Starting the processes counts on both sides.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from experiments.benchmarks.paired import BenchmarkCase, Results, Row, compared
from prunekit.support.errors import UserError

CONSTRAINTS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
TEACHERS = (0, 1)
WORKERS = 2


def compare(case: BenchmarkCase) -> Results:
    rows: list[Row] = []
    counts = {"teachers_trained": 0, "cells": 0}
    runs_alone = len(TEACHERS) * (1 + len(CONSTRAINTS))
    with case.run.stage("benchmark", case.repeats * (runs_alone + 1)) as advance:
        for repeat in range(case.repeats):
            # in the run's folder, named like what a killed process leaves there: the next one removes it
            with tempfile.TemporaryDirectory(dir=case.run.folder, prefix=".", suffix=".tmp") as home:
                teachers = cells = 0.0
                for seed in TEACHERS:
                    teachers += seconds("finetune", f"train.seed={seed}", *settings(home, "plain"))
                    advance(1)
                for constraint in CONSTRAINTS:
                    for seed in TEACHERS:
                        cells += seconds("prune_fisher", f"train.seed={seed}", f"constraint={constraint}",
                                         *fisher_settings(case, home, "plain"))  # fmt: skip
                        advance(1)
                sweep = seconds(
                    "prune_fisher", "-m", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}",
                    f"train.seed={','.join(map(str, TEACHERS))}", f"constraint={','.join(map(str, CONSTRAINTS))}",
                    *fisher_settings(case, home, "fast"),
                )  # fmt: skip
                advance(1)
                for name, verb in (("teachers_trained", "finetune"), ("cells", "prune_fisher")):
                    counts[name] += len(list(Path(home, "fast").glob(f"{verb}/*/result.json")))
            [row] = compared("sweep", [(teachers + cells) / WORKERS], [sweep])
            rows.append({**row, "repeat": repeat, "teachers_seconds": teachers, "cells_seconds": cells})
    return rows, {**counts, "share_of_plain": max(1 / row["ratio"] for row in rows)}


def settings(home: str, name: str) -> list[str]:
    """Of every run: what the benchmark was given, a folder of its own, one thread."""
    return [*handed_on(), "run.wandb=disabled", "run.threads=1", f"run.folder={home}/{name}"]


def handed_on() -> list[str]:
    """What the command line says about model, data and training."""
    own = ("benchmark", "examples", "repeats", "warmup", "run.")
    given = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    return [text for text in given if not text.startswith(own)]


def fisher_settings(case: BenchmarkCase, home: str, name: str) -> list[str]:
    return [*settings(home, name), f"calibration_examples={case.size}"]


def seconds(verb: str, *overrides: str) -> float:
    """What a verb takes in a process of its own."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{verb}", *overrides], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(f"benchmark=sweep: {(done.stderr.strip() or verb).splitlines()[-1]}")
    return time.perf_counter() - start
