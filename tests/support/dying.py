"""Kill a verb at each of its writes in turn, run it again each time, and keep what every pair of runs left.

    python -m tests.support.dying FOLDER VERB OVERRIDES

``FOLDER/whole`` is an undisturbed run, ``FOLDER/N`` one that was killed at its N-th write (before it for odd N,
after it for even N) and run again. All of them ran in ``FOLDER/runs``, so nothing but the kill tells them apart.
Processes are forked from one that has imported the libraries and computed nothing.
"""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import sys
from pathlib import Path

from tests.support.commands import perform

IMPORTS = ("prunekit.runs.teachers", "prunekit.data.demo", "torch._dynamo", "transformers.models.bert.modeling_bert")
"""What takes long to import: once here, not in every process again."""


def die_at(write: int) -> None:
    """Kill this process at the rename that makes its N-th file appear."""
    numbers, rename = itertools.count(1), Path.replace

    def replace(self: Path, target: Path) -> Path:
        now = next(numbers) == write
        if now and write % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        renamed = rename(self, target)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed

    Path.replace = replace  # type: ignore[method-assign, assignment]


def killed(verb: str, overrides: list[str], write: int | None) -> bool:
    """Run a verb in a process of its own, killed at the given write; whether the kill came before the end."""
    process = os.fork()
    if process == 0:
        try:
            if write is not None:
                die_at(write)
            perform(verb, *overrides)
        finally:
            sys.stderr.flush()
            os._exit(int(sys.exc_info()[0] is not None))
    _, status = os.waitpid(process, 0)
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        sys.exit(f"{verb} failed")
    return os.WIFSIGNALED(status)


def main(folder: Path, verb: str, *overrides: str) -> None:
    for module in IMPORTS:
        importlib.import_module(module)
    arguments = [*overrides, f"run.folder={folder}/runs", "run.threads=1"]
    killed(verb, arguments, None)
    (folder / "runs").rename(folder / "whole")
    for write in itertools.count(1):
        if not killed(verb, arguments, write):
            break  # it got through: there is no such write any more
        killed(verb, arguments, None)
        (folder / "runs").rename(folder / str(write))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
