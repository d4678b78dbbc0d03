"""Processes that run test files in a copy of the tree, each a fork of one that has imported the libraries."""

from __future__ import annotations

import gc
import importlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LIBRARIES = (
    "torch", "transformers", "transformers.models.auto.modeling_auto", "transformers.models.bert.modeling_bert",
    "datasets", "pandas", "scipy.stats", "sklearn.metrics", "hydra", "hypothesis", "wandb", "sacrebleu",
    "rich.progress", "pytest",
)  # fmt: skip
"""What costs seconds to import and is the same for all mutants."""

PLUGINS = ("cacheprovider", "hypothesispytest", "xdist", "anyio")
"""Of pytest, that take a second to import and are of no use here."""
HOUSE, ROOT = ("prunekit", "analysis", "experiments", "tests"), Path(__file__).parents[3]


@dataclass(frozen=True)
class Outcome:
    """Of running tests."""

    status: int
    """That of pytest; negative for the signal that ended it."""
    cpu: float
    seconds: float
    timed_out: bool = False

    @property
    def passed(self) -> bool:
        return self.status == 0


def import_libraries() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # so that collections in a fork leave it alone


def forked(work: Callable[[], int], cwd: Path, log: Path, *, cpu: float, seconds: float) -> Outcome:
    """Do work in a process of its own, as its group, and end that group with it.

    Args:
        cpu, seconds: of the processor and of the clock, after which it is ended.
    """
    start, child = time.monotonic(), os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 5))
            file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(file, 1)
            os.dup2(file, 2)
            os.chdir(cwd)
            sys.path[:] = [str(cwd), *[path for path in sys.path if path not in ("", str(ROOT))]]
            for name in [name for name in sys.modules if name.split(".")[0] in HOUSE]:
                del sys.modules[name]  # that of the copy is imported instead
            status = work()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:  # a process that has been forked must not go on in its parent's code
            os.write(2, repr(error).encode())
            status = 3
        os._exit(status)
    late = False
    try:
        while not (ended := os.wait4(child, os.WNOHANG))[0]:
            if time.monotonic() - start > seconds and not late:
                late = True
                os.killpg(child, signal.SIGKILL)
            time.sleep(0.02)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # with what the tests have started and left
    status, used = os.waitstatus_to_exitcode(ended[1]), ended[2].ru_utime + ended[2].ru_stime
    late = late or status in (-signal.SIGXCPU, -signal.SIGKILL)
    return Outcome(status, used, time.monotonic() - start, late)


def tests(files: list[str]) -> int:
    """Run test files until one fails, in this process."""
    import pytest

    plugins = [part for name in PLUGINS for part in ("-p", f"no:{name}")]
    imported = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins' packages that libraries have imported
    return int(pytest.main(["-x", "-q", *plugins, *imported, "--tb=line", *files]))
