"""Run records found in folders: all that can be used, and a word on every one that cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.data.columns import DamagedRecordError
from analysis.data.contents import (
    disagreement,
    of_one_content,
    warn_of_mixed_revisions,
    warn_of_other_weights,
    without_replaced,
)
from analysis.data.marks.over_budget import over_budget
from analysis.data.marks.overlaps import with_overlaps
from analysis.data.marks.quiet import disturbed
from analysis.data.marks.teacher_names import with_names_of_teachers
from analysis.data.records import TIMING_VERBS, Record, read_record
from analysis.data.wandb_offline import OfflineRun, log_in, offline_runs
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LocalRun:
    """The folder of one run record."""

    folder: Path

    @property
    def verb(self) -> str:
        return self.folder.parent.name

    @property
    def run_id(self) -> str:
        return self.folder.name

    def read(self) -> Record | None:
        """See :func:`analysis.data.records.read_record`."""
        return read_record(self.folder)


@dataclass(frozen=True)
class Unused:
    """A run that was left out."""

    run: LocalRun | OfflineRun | Record
    why: str
    """``damaged``, ``unfinished``, ``replaced`` or ``other content``."""


@dataclass
class Journal:
    """What the reader must know besides the figures: warnings, and figures that could not be drawn."""

    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[Unused] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Figures, tables and claims over which something broke, in a line each; they are among the warnings too."""

    def fail(self, what: str, error: Exception) -> None:
        """Something broke over one figure or claim, which must not stop the others."""
        words = " ".join(str(error).split())[:200]
        self.failed.append(f"could not be drawn: {what}: {type(error).__name__}" + (f": {words}" if words else ""))
        self.warn(self.failed[-1])

    def warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)


def load(sources: Iterable[Path], journal: Journal) -> list[Record]:
    """Every finished run below ``sources``, in a fixed order.

    A source is a folder of records (``runs``), of one verb (``runs/prune_heads``) or a single run, or a folder that
    W&B wrote (``runs/wandb/offline-run-...``), or one of those (``runs/wandb``): what is in it tells which.
    Damaged and unfinished runs are left out and named in ``journal``, and so are those whose model is above its budget,
    and runs that one at a later revision replaces or on other contents of the same name
    (:mod:`analysis.data.contents`); a run found twice counts once.

    Raises:
        UserError: a source is not a folder.
    """
    unique: dict[tuple[str, str], Record] = {}
    unfinished = []
    for source in sources:
        runs: list[LocalRun | OfflineRun] = [*_local_runs(source), *_offline_runs(source)]
        for run in runs:
            try:
                record = run.read()
            except DamagedRecordError as error:
                journal.warn(f"skipped: {error}")
                journal.unused.append(Unused(run, "damaged"))
                continue
            if record is None:
                unfinished.append(str(run.folder))
                journal.unused.append(Unused(run, "unfinished"))
            else:
                first = unique.setdefault((record.verb, record.run_id), record)
                if first is not record and (differs := disagreement(first, record)):
                    journal.warn(f"{record.folder}: not used, its {differs} differ from those of {first.folder}, "
                                 "which is a record of the same run")  # fmt: skip
    if unfinished:
        journal.warn(f"not used: {len(unfinished)} unfinished run(s): {', '.join(unfinished)}")
    every = with_overlaps(with_names_of_teachers([*unique.values()]))
    records = [record for record in every if _may_be_shown(record, journal)]
    records, replaced = without_replaced(records, journal.warn)
    journal.unused += [Unused(record, "replaced") for record in replaced]
    warn_of_mixed_revisions(records, journal.warn)
    warn_of_other_weights(records, journal.warn)
    records, others = of_one_content(records, journal.warn)
    journal.unused += [Unused(record, "other content") for record in others]
    return _with_new_times(sorted(records, key=lambda record: (record.verb, record.seed, record.run_id)), journal)


def _with_new_times(records: Sequence[Record], journal: Journal) -> list[Record]:
    """The records, with the latest run that timed the shape of each on its machine; a quiet one before others."""
    again: dict[str, list[Record]] = {}
    for record in records:
        if record.model.shape_of:
            again.setdefault(record.model.shape_of, []).append(record)
    joined = []
    for record in records:
        later = again.pop(f"{record.verb}/{record.run_id}", [])
        here = [one for one in later if one.device == record.device]
        best = max(here, key=lambda one: (disturbed(one) is False, one.provenance.finished), default=None)
        joined.append(record if best is None else replace(record, timed_again=best))
        if len(here) < len(later):
            journal.warn(f"{record.folder}: its shape was timed on another machine than it ran on, not used: "
                         + ", ".join(str(one.folder) for one in later if one not in here))  # fmt: skip
    for shape, later in again.items():
        folders = ", ".join(str(one.folder) for one in later)
        journal.warn(f"not used: {folders}: timed the shape of {shape}, which is not in the source")
    return joined


def read_tables(
    records: Iterable[Record], name: str, columns: Mapping[str, str], journal: Journal
) -> list[tuple[Record, pd.DataFrame]]:
    """The records with their table ``name``; a record whose table is damaged is left out with a warning."""
    tables = []
    for record in records:
        try:
            tables.append((record, record.table(name, columns)))
        except DamagedRecordError as error:
            journal.warn(f"skipped: {error}")
    return tables


def folders_of(source: Path) -> list[Path]:
    """Where records of a source may be: the source itself, and one and two levels below it.

    Raises:
        UserError: it is not a folder.
    """
    if not source.is_dir():
        raise UserError(f"source={source}: no such folder; it must hold run records (VERB/RUN_ID/result.json)")
    return [source, *sorted(source.glob("*")), *sorted(source.glob("*/*"))]


def _local_runs(source: Path) -> Iterator[LocalRun]:
    """Runs whose record is in the source itself, or one or two levels below it."""
    for folder in folders_of(source):
        if (folder / "result.json").exists() or (folder / "config.yaml").exists():
            if folder.name == "files" and log_in(folder.parent) is not None:
                continue  # W&B's, which its log must vouch for
            yield LocalRun(folder)


def _offline_runs(source: Path) -> list[OfflineRun]:
    """Runs of W&B's folders: the source itself, or those right below it.

    Not deeper: in ``runs``, the folders of ``runs/wandb`` only repeat the records beside them.
    """
    return offline_runs([source, *source.glob("*")])


def _may_be_shown(record: Record, journal: Journal) -> bool:
    if record.model.weights == "random" and record.verb not in TIMING_VERBS:
        journal.warn(f"skipped: {record.folder}: random weights have no score to show")
        return False
    if over := over_budget(record):
        journal.warn(f"skipped: {record.folder}: {over}")
        return False
    return True
