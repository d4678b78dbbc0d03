"""Small wrong changes of the library, and whether its tests notice: ``python -m tests.support.mutants [out=FOLDER]``.

A seeded sample of every package (``size=60 seed=0``) is tried in a copy of the tree, each mutant against those files of
tests that run its line, until one fails: the whole sample against tests that import its module, who lives against the
other ones of its package, and who still lives against tests of commands. What is done is in
``FOLDER/mutants.jsonl``, a line a mutant, and not done again, so a run that was stopped (or ends by itself after
``seconds=``) goes on; ``FOLDER/report.md`` is written after every mutant. ``again=FILE`` tries those that lived in
other results, for tests that were written since.
"""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support.mutants import lines, report, server
from tests.support.mutants.areas import AREAS, ROOT, SEED, SIZE, Area, Mutant, in_turns, sample

BROKEN = 3
"""Files of tests that may fail on the code as it is (of time, on a busy machine) before nothing more is tried."""
TIERS, KEPT = 3, ".kept"
MARGIN, FLOOR = 3.0, 60.0
"""A mutant may take so many times what its tests take on the code as it is, and so many seconds more."""


class Known:
    """Files of tests, each run once on the code as it is before it judges a mutant."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self._tree, self._folder = tree, folder
        self._files: dict[str, lines.TestFile] = {}
        self.failing: list[str] = []

    def __call__(self, name: str) -> lines.TestFile:
        if name not in self._files:
            file = self._files[name] = lines.measured(name, self._tree, self._folder)
            if not file.passed:
                print(f"{name}: fails on the code as it is, left out", flush=True)
                self.failing.append(name)
                if len(self.failing) > BROKEN:
                    raise SystemExit(f"{', '.join(self.failing)} fail on the code as it is: mend them first")
        return self._files[name]


def copied(tree: Path) -> None:
    """The files that git knows, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    # By the hash of their source: a mutant of the same size and second is compiled anew.
    compileall.compile_dir(tree, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)


@contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """A file with other text; :func:`restored` undoes it where this process is killed."""
    kept = path.with_name(f"{path.name}{KEPT}")
    shutil.copy2(path, kept)
    try:
        path.write_text(text, encoding="utf-8")
        yield
    finally:
        kept.replace(path)


def restored(tree: Path) -> None:
    """Undo the mutant that a killed run has left."""
    for kept in tree.rglob(f"*{KEPT}"):
        kept.replace(kept.with_name(kept.name.removesuffix(KEPT)))


def tried(mutant: Mutant, names: list[str], known: Known, tree: Path, folder: Path) -> report.Line:
    """What becomes of a mutant."""
    own, whole = set(mutant.mutation.statement), (tree / mutant.module).read_text("utf-8")
    verdict, by, cpu = "no test runs it", "", 0.0
    for file in map(known, names):
        if not file.passed or own.isdisjoint(file.lines.get(mutant.module, ())):
            continue
        limit = MARGIN * file.cpu + FLOOR
        with changed(tree / mutant.module, mutant.mutation.apply(whole)):
            work = partial(server.tests, [file.name])
            outcome = server.forked(work, tree, folder / "last.log", cpu=limit, seconds=20 * limit)
        verdict, cpu = "survived", cpu + outcome.cpu
        if outcome.status:
            failed = outcome.status in (1, 2)
            verdict = "killed" if failed else "timed out" if outcome.timed_out else f"ended with {outcome.status}"
            by = file.name
            break
    return {**report.described(mutant, whole), "verdict": verdict, "by": by, "cpu": round(cpu, 1)}


def chosen(areas: list[Area], size: int, seed: int, again: str | None, tree: Path) -> list[Mutant]:
    """The sample, an area after the other in turns; or those of it that lived."""
    mutants = list(in_turns([sample(area, size, seed, tree) for area in areas]))
    if again is None:
        return mutants
    alive = {key for key, line in report.read(Path(again)).items() if line["verdict"] in report.ALIVE}
    return [mutant for mutant in mutants if mutant.key in alive]


def rounds(mutants: list[Mutant], done: dict[str, report.Line]) -> Iterator[tuple[int, Mutant]]:
    """What is left to do: every mutant against the nearest tests, and who lives against the next ones."""
    for tier in range(TIERS):
        for mutant in mutants:
            line = done.get(mutant.key, {"verdict": report.ALIVE[0], "tier": -1})
            if line["verdict"] in report.ALIVE and line["tier"] < tier:
                yield tier, mutant


def main(arguments: list[str]) -> None:
    given = dict(argument.split("=", 1) for argument in arguments)
    folder = Path(given.pop("out", "build/mutants")).resolve()
    size, seed, seconds = int(given.pop("size", SIZE)), int(given.pop("seed", SEED)), float(given.pop("seconds", "inf"))
    only, again = given.pop("areas", ",".join(area.name for area in AREAS)).split(","), given.pop("again", None)
    if given:
        raise SystemExit(f"{', '.join(given)}: unknown, right would be out=, size=, seed=, areas=, seconds= or again=")
    tree, results, end = folder / "tree", folder / "mutants.jsonl", time.monotonic() + seconds
    if not tree.exists():
        copied(folder / "tree.new")
        (folder / "tree.new").rename(tree)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that tests that run end with it
    restored(tree)
    os.environ.update(PYTHONDONTWRITEBYTECODE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    sys.dont_write_bytecode = True
    server.import_libraries()
    areas = {area.name: area for area in AREAS if area.name in only}
    known, done = Known(tree, folder), report.read(results)
    for tier, mutant in rounds(chosen(list(areas.values()), size, seed, again, tree), done):
        if time.monotonic() > end:
            break
        names = areas[mutant.area].test_files(mutant.module, tree)[tier]
        line, before = tried(mutant, names, known, tree, folder), done.get(mutant.key)
        if before and before["verdict"] == "survived" and line["verdict"] == "no test runs it":
            line = {**line, "verdict": "survived"}
        done[mutant.key] = line = {**line, "tier": tier}
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        page = report.page(areas, done.values(), report.equivalents())
        (folder / "report.md").write_text(page, encoding="utf-8")
        print(f"{mutant.area} {mutant.number}: {line['verdict']} in {line['cpu']} s, {mutant.key}", flush=True)
    print(report.page(areas, done.values(), report.equivalents()))


if __name__ == "__main__":
    main(sys.argv[1:])
