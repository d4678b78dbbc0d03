"""What became of every cell of a sweep.

Hydra tells of a sweep's first failure only. Here each cell, in whichever process a launcher runs it, reports into a
folder, and the process that started the sweep tells of all of them at the end: also of those that never reported.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli.launchers import waiting_for_all
from experiments.cli.outcome import CellOutcome
from prunekit.support.files import is_gone, process_name, remove, write_json

if TYPE_CHECKING:
    from rich.table import Table

VARIABLE = "PRUNEKIT_SWEEP"
"""Environment variable with the folder of reports; processes that launchers start inherit it."""

NAMES = "names.json"
"""Beside the reports, what tells each cell from the others."""
RESULTS = ("metric", "score", "baseline", "requested", "achieved")
"""Columns of the table, of an :class:`CellOutcome`; one that no cell has a value for is left out."""
NUMBERS = ("score", "baseline", "seconds")

Outcome = dict[str, str | float]
DONE, SKIPPED, FAILED, LOST = "done", "was finished", "failed", "no report"


@dataclass
class Sweep:
    """The cells of a sweep and what became of them."""

    folder: Path
    cells: Sequence[str]
    """What tells each from the others, for example ``constraint=0.3 seed=1``."""
    outcomes: list[Outcome] = field(default_factory=list)
    """Once it has ended: ``status``, ``seconds`` and ``reason`` of every cell, and its :class:`CellOutcome`."""

    @property
    def failed(self) -> bool:
        return any(cell["status"] in (FAILED, LOST) for cell in self.outcomes)


@contextmanager
def watched(runs: Path, cells: Sequence[str]) -> Iterator[Sweep]:
    """Collect the reports of the cells that the block runs, and print them all when it ends, however it ends.

    Args:
        runs: folder of the records; reports lie there, which launchers' processes on other machines share.
        cells: what tells each from the others.
    """
    home = runs.absolute() / ".sweeps"
    _remove_abandoned(home)
    sweep = Sweep(home / process_name(), cells)
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(sweep.folder)
    ended = False
    try:
        with waiting_for_all():
            with suppress(OSError):  # then a cell is told by its verb alone
                write_json(sweep.folder / NAMES, list(cells))
            yield sweep
        ended = True
    finally:
        os.environ.pop(VARIABLE) if before is None else os.environ.update({VARIABLE: before})
        _collect(sweep, ended)
        shutil.rmtree(sweep.folder, ignore_errors=True)
        with suppress(OSError):
            home.rmdir()  # unless another sweep is at work
        _show(sweep)


def cell_name(number: int) -> str:
    """What tells a cell from the others of its sweep; nothing where nobody watches that.

    Args:
        number: 0-based.
    """
    try:
        return str(json.loads((Path(os.environ[VARIABLE]) / NAMES).read_text(encoding="utf-8"))[number])
    except (KeyError, OSError, ValueError, IndexError):
        return ""


def report(number: int, status: str, seconds: float, reason: str = "", result: CellOutcome | None = None) -> None:
    """Tell what became of a cell, if its sweep is watched.

    Args:
        number: of the cell in its sweep, 0-based.
        reason: of a failure, or what else is to be said of it, in one line.
        result: of a run that has a record.
    """
    if folder := os.environ.get(VARIABLE):
        told = {"status": status, "seconds": seconds, "reason": reason} | (asdict(result) if result else {})
        with suppress(OSError):  # a full disk: the cell has no report then
            write_json(Path(folder) / f"{number}.json", told)


def _collect(sweep: Sweep, ended: bool) -> None:
    reports = {}
    for path in sweep.folder.glob("[0-9]*.json"):
        with suppress(OSError, ValueError):
            reports[int(path.stem)] = json.loads(path.read_text(encoding="utf-8"))
    if not reports and not ended:
        return  # it did not come to running anything
    missing = {"status": LOST, "seconds": 0.0, "reason": "interrupted or killed; the same command runs it"}
    sweep.outcomes = [reports.get(number, missing) for number in range(len(sweep.cells))]


def _show(sweep: Sweep) -> None:
    if not sweep.outcomes:
        return
    from rich.text import Text

    from prunekit.support.progress import console

    metrics = {cell["metric"] for cell in sweep.outcomes if cell.get("metric")}
    columns = [name for name in RESULTS if any(cell.get(name) for cell in sweep.outcomes)]
    if len(metrics) == 1:  # the heading of the scores says it
        columns.remove("metric")
    table, alike = _table(sweep.cells, sweep.outcomes, columns, metrics), dict[str, str | float]()
    if console.measure(table, options=console.options.update(width=10_000)).maximum > console.width:
        for name in ("baseline", "requested", "achieved"):
            values = {cell[name] for cell in sweep.outcomes if cell.get(name)}
            if len(values) == 1:
                columns.remove(name)
                alike[name] = values.pop()
        table = _table(_shorter(sweep.cells), sweep.outcomes, columns, metrics)
    reasons = []
    for name, cell in zip(sweep.cells, sweep.outcomes, strict=True):
        if cell["reason"]:
            what = " ".join(filter(None, (name, str(cell["status"]))))
            reasons.append(Text.assemble("  ", (what, _color(cell)), f": {cell['reason']}"))
    counts = {
        status: number
        for status in (DONE, SKIPPED, FAILED, LOST)
        if (number := sum(cell["status"] == status for cell in sweep.outcomes))
    }
    console.print()
    console.print(table)
    if alike:
        console.print(Text("all cells: " + ", ".join(f"{name} {value}" for name, value in alike.items())), style="dim")
    for reason in reasons:
        console.print(reason, soft_wrap=True)
    words = {SKIPPED: f"of {len(sweep.outcomes)} {'was' if counts.get(SKIPPED) == 1 else 'were'} finished before"}
    counted = ", ".join(f"{number} {words.get(status, status)}" for status, number in counts.items())
    console.print(Text.assemble((f"{len(sweep.outcomes)} cells", "bold"), f": {counted}"))


def _table(
    names: Sequence[str], outcomes: Sequence[Outcome], columns: Sequence[str], metrics: set[str | float]
) -> Table:
    """A row a cell. What is too wide folds in its words: no number and no status does."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("cell", "", *columns, "seconds"):
        shown = str(next(iter(metrics))) if heading == "score" and len(metrics) == 1 else heading
        table.add_column(shown, justify="right" if heading in NUMBERS else "left", overflow="fold",
                         no_wrap=heading in ("", *NUMBERS))  # fmt: skip
    for name, cell in zip(names, outcomes, strict=True):
        seconds = f"{cell['seconds']:.1f}" if cell["seconds"] else ""
        values = [Text(str(cell.get(column, ""))) for column in columns]
        table.add_row(Text(name), Text(str(cell["status"]), style=_color(cell)), *values, seconds)
    return table


def _color(cell: Outcome) -> str:
    return {DONE: "green", SKIPPED: "dim"}.get(str(cell["status"]), "red")


def _shorter(names: Sequence[str]) -> list[str]:
    """With the last part of each setting's name, where no other setting ends in it.

    >>> _shorter(["seed=0 train.seed=1 student.prune_epochs=3 order=a b"])
    ['seed=0 train.seed=1 prune_epochs=3 order=a b']
    """
    settings = {word.partition("=")[0] for name in names for word in name.split() if "=" in word}
    ends = Counter(setting.rpartition(".")[2] for setting in settings)
    full = {setting for setting in settings if ends[setting.rpartition(".")[2]] > 1}

    def short(word: str) -> str:
        setting, equals, value = word.partition("=")
        return word if not equals or setting in full else f"{setting.rpartition('.')[2]}={value}"

    return [" ".join(map(short, name.split())) for name in names]


def _remove_abandoned(home: Path) -> None:
    """Reports of sweeps on this machine whose process was killed."""
    remove(*[folder for folder in home.glob("*") if is_gone(folder.name)])
