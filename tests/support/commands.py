"""Running verbs in tests: in this process, or as a user would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from experiments.cli.composition import CONF
from experiments.cli.verb import named
from experiments.reproduce import settings_of
from tests.support.answers import assert_answered
from tests.support.summaries import assert_summed_up

TINY = [
    "run.wandb=disabled",
    "run.quiet_seconds=0",
    "task.train_rows=192",
    "task.evaluation_rows=96",
    "train.epochs=1",
    "train.batch_size=32",
    "model.shape={hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 16}",
]
"""Overrides under which every verb of the demo scale takes a moment."""
TINY_STUDENT = [
    *TINY, "student.batch_size=16", "student.held_out=40", "student.evaluate_every=20", "student.prune_epochs=6",
    "student.sparsity_epochs=2", "student.finetune_epochs=1", "student.learning_rate=1e-3",
    "student.gates_learning_rate=0.15", "student.multipliers_learning_rate=0.6",
    "sparsity=0.5", "batch_sizes=[1,2]", "length=500", "repeats=1",
]  # fmt: skip
"""The same for prune_cofi."""


def perform(verb: str, *overrides: str) -> dict[str, Any]:
    """Run a verb in this process and return its record, whose scores its answers give as well, and which sums up its
    tables."""
    config = composed(verb, *overrides)
    record: dict[str, Any] = named(verb).perform(config)
    if record and "answers" in record:
        assert_answered(Path(config.run.folder) / verb / record["run_id"])
    if record and record.get("status") == "finished":
        assert_summed_up(record, Path(config.run.folder) / verb / record["run_id"])
    return record


def composed(verb: str, *overrides: str) -> Any:
    """The typed configuration of a command line; of a sweep, without what it sweeps."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return settings_of(verb, overrides)


def command(verb: str, *overrides: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m experiments.VERB OVERRIDES`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{verb}", *overrides],
        cwd=CONF.parent, env={**os.environ, "HF_HUB_OFFLINE": "1", **environment}, capture_output=True, text=True,
    )  # fmt: skip


def called(verb: str, *overrides: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What :func:`command` gives, from this process: the same code from the same command line, without the seconds in
    which Python starts and imports. For all that neither kills, nor starts processes, nor is about what they share."""
    out, told, status = StringIO(), StringIO(), 0
    line = [f"{CONF.parent}/experiments/{verb}.py", *overrides]
    GlobalHydra.instance().clear()
    with patch.dict(os.environ, environment), patch.object(sys, "argv", line), redirect_stdout(out), \
            redirect_stderr(told):  # fmt: skip
        try:
            named(verb)()
        except SystemExit as end:
            status = int(end.code or 0)
        except Exception:  # as Python itself does with what nobody has answered
            traceback.print_exc()
            status = 1
        finally:
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
    return subprocess.CompletedProcess(line, status, out.getvalue(), told.getvalue())


@contextmanager
def started(verb: str, *overrides: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a terminal or a scheduler starts it; gone at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"experiments.{verb}", *overrides],
        cwd=CONF.parent, env={**os.environ, "HF_HUB_OFFLINE": "1", **environment}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it in what runs behind them
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait(process: subprocess.Popen[str], reached: Callable[[], bool]) -> bool:
    """Until a moment is reached (True) or the process has ended (False)."""
    while process.poll() is None:
        if reached():
            return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.005)
    return False


def refused(verb: str, *overrides: str, **environment: str) -> str:
    """The one line with which a command line is refused."""
    done = called(verb, *overrides, **environment)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"{verb}: ")
    return lines[0].removeprefix(f"{verb}: ")
