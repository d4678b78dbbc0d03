"""Completion in bash knows verbs, settings and presets, and leaves every other python alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli.composition import CONF

SCRIPT = """
source experiments/completion.bash
COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
_prunekit
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python -m experiments.prune_f", ["experiments.prune_fisher"]),
        ("python -m experiments.prune_fisher -m seed=0,1 train.see", ["train.seed="]),
        ("python -m experiments.prune_fisher task=mn", ["task=mnli", "task=mnli_mismatched"]),
        ("python -m experiments.finetune hydra/launcher=submitit_l", ["hydra/launcher=submitit_local"]),
        ("python -m pytest --col", []),
        ("python setup.py in", []),
    ],
)
def test_completion(line: str, words: list[str]) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT, "bash", line],
        cwd=CONF.parent, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    found = done.stdout.split()
    assert set(words) <= set(found) and all(word.startswith(line.split()[-1]) for word in found)
    assert bool(words) == bool(found)
