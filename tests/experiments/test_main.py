"""What `python -m experiments` says without a verb, and with one that is none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from experiments.__main__ import main, verbs
from experiments.cli.composition import CONF


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_verbs_are_listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    listed = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[2:]]
    assert [name for name, _ in listed] == sorted(path.stem for path in CONF.glob("*.yaml"))
    assert dict(listed) == verbs()
    assert verbs()["transfer"] == "Do the same heads matter on other data?"
    assert verbs()["prune_fisher"] == "Prune heads and neurons to a budget without training"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["prune_headz"], "experiments: prune_headz: there is no such verb, did you mean 'prune_heads'"),
        (["prune_heads", "share=0.5"], "experiments: prune_heads: write python -m experiments.prune_heads\n"),
        (["zzz", "--help"], "experiments: zzz: there is no such verb, choose from ablate_heads, benchmark, "),
    ],
)
def test_all_else_is_answered_in_a_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, told = capsys.readouterr()
    assert out == "" and told.startswith(line) and told.count("\n") == 1


def test_a_process_of_its_own_says_the_same() -> None:
    command = [sys.executable, "-m", "experiments", "prune_headz"]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("experiments: prune_headz: ")


@pytest.mark.parametrize(("module", "told"), [("prune_headz", "did you mean 'prune_heads'"), ("cli.nosuch", "")])
def test_a_module_that_is_not_there_has_near_verbs(module: str, told: str) -> None:
    command = [sys.executable, "-X", "utf8", "-m", f"experiments.{module}", "share=0.5"]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True)
    if told:
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
        assert done.stderr.startswith(f"experiments: experiments.{module}: there is no such verb, {told}")
    else:  # Python's own line
        assert done.returncode == 1 and "No module named" in done.stderr
