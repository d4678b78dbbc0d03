"""What targets of the Makefile run, in which order."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from experiments.cli.composition import CONF


def steps(*words: str) -> list[str]:
    """What a target would run, with Python's modules by their names alone."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # `make test` runs this
    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=CONF.parent, env=alone, capture_output=True, text=True, check=True
    )
    return [line.strip().removeprefix(".venv/bin/python -m ") for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("target", ["reproduce-fisher", "reproduce-kwon"])
def test_a_paper_is_reproduced_by_either_name(target: str) -> None:
    assert steps(target, "SCALE=small")[-1] == "experiments.reproduce paper=kwon scale=small"


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("overrides", "folder"), [("", "runs"), ("seed=0 run.folder=a/b", "a/b"), ("run.folder=a run.folder=c seed=1", "c")]
)
def test_a_comparison_asks_for_the_name_first_and_ranks_what_it_has_written(overrides: str, folder: str) -> None:
    assert steps("compare", "METHOD=mine", "SCALE=small", f"OVERRIDES={overrides}")[-3:] == [
        "experiments.compress --cfg job method=mine > /dev/null",
        f"experiments.compress experiment=compare_methods scale=small {overrides}".strip(),
        f"analysis rank method=mine source={folder}",
    ]
