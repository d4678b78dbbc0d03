"""What targets of the Makefile run, in which order."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

import prunekit
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


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_the_environment_finds_the_library_from_any_folder(tmp_path: Path) -> None:
    """Also beside the clone, whose folder would pass for a package of its name."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    [written] = [line for line in steps("--always-make", "setup") if "prunekit.pth" in line]
    subprocess.run(written.replace(".venv/bin/python", str(python)), shell=True, cwd=CONF.parent, check=True)
    (tmp_path / "prunekit").mkdir()
    asked = [str(python), "-c", "import prunekit; print(prunekit.__version__, prunekit.__file__)"]
    said = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.split() == [prunekit.__version__, str(CONF.parent / "prunekit" / "__init__.py")]
