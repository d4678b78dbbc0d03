"""Kill a sweep and all its processes at random moments, start it again each time, and keep what it ends with.

    python -m tests.support.killing FOLDER KILLS OVERRIDES

``FOLDER/whole`` is an undisturbed sweep of `prune_fisher`, ``FOLDER/1`` and so on are those that came to their end
after kills, one or several; all ran in ``FOLDER/runs``. Each start is killed after a time that is drawn between
nothing and what the undisturbed sweep took, unless it has ended by then. Processes, workers too, are forked from one
that has imported the libraries and computed nothing.
"""

from __future__ import annotations

import importlib
import os
import random
import select
import signal
import sys
import time
import warnings
from pathlib import Path

from joblib.externals.loky.backend.context import set_start_method

from experiments.prune_fisher import main as prune_fisher
from tests.support.dying import IMPORTS


def sweep(overrides: list[str], seconds: float | None) -> bool:
    """Run the sweep in a process group of its own, killed after so many seconds; whether it ended before."""
    everyone, held = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(everyone)  # what is left open says to the other end that somebody lives
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        warnings.simplefilter("ignore")  # forking is discouraged where threads run; here none do yet
        set_start_method("fork")
        sys.argv = [prune_fisher.name, "-m", *overrides]
        try:
            prune_fisher()
        finally:
            sys.stderr.flush()
            os._exit(int(sys.exc_info()[0] is not None))
    os.close(held)
    ended, _, _ = select.select([os.pidfd_open(process)], [], [], seconds)
    os.killpg(process, signal.SIGKILL)  # workers outlive a sweep that has ended, they have nothing to do then
    _, status = os.waitpid(process, 0)
    if ended and status:
        sys.exit("the sweep failed")
    while os.read(everyone, 1):
        pass
    os.close(everyone)
    return bool(ended)


def finished(root: Path) -> dict[Path, tuple[int, int]]:
    """Records of finished cells, by what a record that was written again would differ in."""
    found = ((path, path.stat()) for path in root.glob(f"{prune_fisher.name}/*/result.json"))
    return {path: (stat.st_ino, stat.st_mtime_ns) for path, stat in found}


def main(folder: Path, kills: int, *overrides: str) -> None:
    for module in IMPORTS:
        importlib.import_module(module)
    root, arguments, moments = folder / "runs", [*overrides, f"run.folder={folder}/runs"], random.Random(0)
    start = time.perf_counter()
    sweep(arguments, None)
    whole = time.perf_counter() - start
    root.rename(folder / "whole")
    killed, ends, ended, before = 0, 0, False, finished(root)
    while killed < kills or not ended:
        ended = sweep(arguments, moments.uniform(0, whole) if killed < kills else None)
        now = finished(root)
        if not before.items() <= now.items():
            sys.exit("a cell was finished again")
        killed += not ended
        print(f"{killed} kills, {ends + ended} ends", file=sys.stderr)
        before = {} if ended else now
        if ended:
            ends += 1
            root.rename(folder / str(ends))
    print(f"{killed} kills, {ends} sweeps in the end, {whole:.1f} s undisturbed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
