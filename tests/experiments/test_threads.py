"""Threads of a run: what waits for others sleeps, and ``run.threads=auto`` takes the CPUs that are free."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from prunekit.runs import run_device
from prunekit.runs.identity import run_id
from prunekit.runs.run_device import prepare_device
from prunekit.support.errors import UserError
from tests.support.commands import composed

POLICY = """
import os, sys, experiments.finetune
assert "torch" not in sys.modules
print(os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("own", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(own: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if own is None else {"OMP_WAIT_POLICY": own}
    done = subprocess.run([sys.executable, "-c", POLICY], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


@pytest.mark.parametrize(("given", "used"), [("auto", 3), (2, 2), (None, None)])
def test_auto_takes_the_free_cpus(given: Any, used: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(run_device, "free_cpus", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    prepare_device(composed("finetune", *([] if given is None else [f"run.threads={given}"])))
    assert asked == ([] if used is None else [used])


def test_threads_are_no_part_of_the_identity() -> None:
    given: tuple[list[str], ...] = ([], ["run.threads=auto"], ["run.threads=2"])
    assert len({run_id("finetune", 1, composed("finetune", *overrides)) for overrides in given}) == 1


@pytest.mark.parametrize(
    ("given", "line"), [("all", "threads: 'all' is neither"), ("0", "threads: 0 must be at least 1")]
)
def test_other_words_are_refused(given: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        composed("finetune", f"run.threads={given}")
