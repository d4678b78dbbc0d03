"""A run that was killed, whenever that was, ends with the numbers of one that was not, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cli.composition import CONF
from tests.support.commands import TINY, command, started, wait
from tests.support.same_runs import assert_same

SETTINGS = [*TINY, "train.epochs=4", "train.learning_rate=1e-2", "run.checkpoint_seconds=0", "run.threads=1"]
VERBS = [
    ["finetune"],
    ["finetune", "train.keep=best", "train.held_out=64"],
    ["prune_heads", "order=importance_stepwise", "grid=0.25"],
    ["prune_heads", "order=oracle", "grid=0.25", "save=true"],
    ["ablate_heads", "selection_examples=50"],
    ["prune_fisher", "calibration_examples=64", "batch_sizes=[2]", "repeats=1"],
]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("command_line", VERBS, ids=" ".join)
def test_killed_at_any_write(command_line: list[str], tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.support.dying", str(tmp_path), *command_line, *SETTINGS],
        cwd=CONF.parent, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    moments = sorted(path for path in tmp_path.iterdir() if path.name.isdigit())
    assert len(moments) >= 6
    for moment in moments:
        assert_same(moment, tmp_path / "whole")


def lines(root: Path, verb: str) -> int:
    return sum(path.read_text().count("\n") for path in root.glob(f"{verb}/*/metrics.jsonl"))


MOMENTS: dict[str, list[Callable[[Path], bool]]] = {
    "finetune": [
        lambda root: any(root.glob("finetune/*/config.yaml")),
        lambda root: any(root.glob("finetune/*/checkpoint.safetensors")),
        lambda root: lines(root, "finetune") >= 12,
        lambda root: any(root.glob("finetune/*/model")) or any(root.glob("finetune/*/.model.*")),
    ],
    "prune_heads": [
        lambda root: any(root.glob("finetune/*/checkpoint.safetensors")),
        lambda root: lines(root, "prune_heads") >= 1,
        lambda root: lines(root, "prune_heads") >= 8,
    ],
    "ablate_heads": [
        lambda root: any(root.glob("finetune/*/result.json")),
        lambda root: any(root.glob(".locks/cache-ablation-*.lock")),
        lambda root: any(root.glob("ablate_heads/*/tables/.heads.csv.*")) or any(root.glob("ablate_heads/*/tables")),
    ],
}


@pytest.mark.parametrize(
    "command_line",
    [
        ["finetune", "train.epochs=30"],
        ["prune_heads", "order=importance_stepwise", "grid=0.05", "model.shape.num_attention_heads=16"],
        ["ablate_heads", "selection_examples=150"],
    ],
    ids=" ".join,
)
def test_a_process_group_killed_again_and_again(command_line: list[str], tmp_path: Path) -> None:
    verb, *overrides = command_line
    root = tmp_path / "runs"
    arguments = [*SETTINGS, *overrides, f"run.folder={root}"]
    assert command(verb, *arguments).returncode == 0
    root.rename(tmp_path / "whole")
    kills = 0
    for reached in MOMENTS[verb]:
        with started(verb, *arguments) as process:
            kills += wait(process, lambda reached=reached: reached(root))  # type: ignore[misc]
    assert kills >= 2  # a moment may pass between two looks
    done = command(verb, *arguments)
    assert done.returncode == 0, done.stderr
    assert_same(root, tmp_path / "whole")


def test_interrupted_from_the_keyboard(tmp_path: Path) -> None:
    arguments = [*SETTINGS, "train.epochs=400", f"run.folder={tmp_path}"]
    with started("finetune", *arguments) as process:
        assert wait(process, lambda: any(tmp_path.glob("finetune/*/checkpoint.safetensors")))
        os.killpg(process.pid, signal.SIGINT)
        out, told = process.communicate()
    assert process.returncode == 130
    assert told.strip() == "finetune: interrupted; the same command goes on from here"
    assert "Traceback" not in out
    assert not any(tmp_path.glob("finetune/*/.*"))
