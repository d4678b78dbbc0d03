"""What targets of the Makefile run, in which order."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from experiments.cli.composition import CONF


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("overrides", "folder"), [("", "runs"), ("seed=0 run.folder=a/b", "a/b"), ("run.folder=a run.folder=c seed=1", "c")]
)
def test_a_comparison_asks_for_the_name_first_and_ranks_what_it_has_written(overrides: str, folder: str) -> None:
    command = ["make", "--dry-run", "compare", "METHOD=mine", "SCALE=small", f"OVERRIDES={overrides}"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # `make test` runs this
    said = subprocess.run(command, cwd=CONF.parent, env=alone, capture_output=True, text=True, check=True).stdout
    lines = [line.strip().removeprefix(".venv/bin/python -m ") for line in said.splitlines()]
    assert lines[-3:] == [
        "experiments.compress --cfg job method=mine > /dev/null",
        f"experiments.compress experiment=compare_methods scale=small {overrides}".strip(),
        f"analysis rank method=mine source={folder}",
    ]
