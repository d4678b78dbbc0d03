"""Which lines of the library each file of tests runs, and how long it takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.support.mutants import server

LIMIT = 1200.0
"""Seconds a file may take; those with longer ones run too rarely to be worth it."""


@dataclass(frozen=True)
class TestFile:
    """What is known of one."""

    __test__ = False
    name: str
    passed: bool
    cpu: float
    lines: dict[str, list[int]]
    """By module of the library, those that run; of the processes that it starts as well."""


def measured(name: str, tree: Path, folder: Path) -> TestFile:
    """Run it once on the code as it is; later calls read what the first one that passed saw.

    Args:
        tree: a copy of the repository.
        folder: where results are kept.
    """
    kept = folder / "lines" / f"{name.replace('/', '.')}.json"
    if kept.exists():
        return TestFile(**json.loads(kept.read_text("utf-8")))
    kept.parent.mkdir(parents=True, exist_ok=True)
    data = kept.with_suffix(".coverage")
    for old in data.parent.glob(f"{data.name}*"):
        old.unlink()
    settings = kept.with_suffix(".rc")
    settings.write_text(
        f"[run]\ndata_file = {data}\nparallel = true\nsource = {tree}/prunekit\npatch = subprocess\n", encoding="utf-8"
    )

    def work() -> int:
        import coverage

        measuring = coverage.Coverage(config_file=str(settings))
        measuring.start()
        status = server.tests([name])
        measuring.stop()
        measuring.save()
        return status

    outcome = server.forked(work, tree, kept.with_suffix(".log"), cpu=LIMIT, seconds=10 * LIMIT)
    file = TestFile(name, outcome.passed, outcome.cpu, _lines(data, tree))
    if file.passed:
        kept.write_text(json.dumps(vars(file)), encoding="utf-8")
    return file


def _lines(data: Path, tree: Path) -> dict[str, list[int]]:
    import coverage

    both = coverage.CoverageData(basename=str(data))
    for part in sorted(data.parent.glob(f"{data.name}.*")):
        one = coverage.CoverageData(basename=str(part))
        one.read()
        both.update(one)
        part.unlink()
    files = {str(Path(name).relative_to(tree)): sorted(both.lines(name) or []) for name in both.measured_files()}
    data.unlink(missing_ok=True)
    return files
