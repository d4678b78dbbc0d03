"""Run records found in folders: all that can be used, and a word on every one that cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.records import TIMING_VERBS, DamagedRecordError, Record, read_record
from prunekit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Journal:
    """What the reader must know besides the figures: warnings, and figures that could not be drawn."""

    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: dict[Path, str] = field(default_factory=dict)
    """Folders of runs that were left out, and why in a word: ``damaged`` or ``unfinished``."""

    def warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)


def load(sources: Iterable[Path], journal: Journal) -> list[Record]:
    """Every finished run below ``sources``, in a fixed order.

    A source is a folder of records (``runs``), of one verb (``runs/prune_heads``) or a single run.
    Damaged and unfinished runs are left out and named in ``journal``; a run found twice counts once.

    Raises:
        UserError: a source is not a folder.
    """
    found: dict[tuple[str, str], Record] = {}
    unfinished = []
    for source in sources:
        if not source.is_dir():
            raise UserError(f"source={source}: no such folder; it must hold run records (VERB/RUN_ID/result.json)")
        for folder in _run_folders(source):
            try:
                record = read_record(folder)
            except DamagedRecordError as error:
                journal.warn(f"skipped: {error}")
                journal.unused[folder] = "damaged"
                continue
            if record is None:
                unfinished.append(str(folder))
                journal.unused[folder] = "unfinished"
            else:
                found.setdefault((record.verb, record.run_id), record)
    if unfinished:
        journal.warn(f"not used: {len(unfinished)} unfinished run(s): {', '.join(unfinished)}")
    records = [record for record in found.values() if _may_be_shown(record, journal)]
    _warn_of_mixed_revisions(records, journal)
    return sorted(records, key=lambda record: (record.verb, record.seed, record.run_id))


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


def _run_folders(source: Path) -> Iterator[Path]:
    """Folders that hold a record: the source itself, or one or two levels below it."""
    for folder in (source, *sorted(source.glob("*")), *sorted(source.glob("*/*"))):
        if (folder / "result.json").exists() or (folder / "config.yaml").exists():
            yield folder


def _may_be_shown(record: Record, journal: Journal) -> bool:
    if record.model.weights == "random" and record.verb not in TIMING_VERBS:
        journal.warn(f"skipped: {record.folder}: random weights have no score to show")
        return False
    return True


def _warn_of_mixed_revisions(records: Iterable[Record], journal: Journal) -> None:
    revisions: dict[str, Counter[int]] = {}
    for record in records:
        kind = f"{record.verb} {record.config.get('benchmark', '')}".strip()  # each benchmark stands for itself
        revisions.setdefault(kind, Counter())[record.revision] += 1
    for kind, counts in sorted(revisions.items()):
        if len(counts) > 1:
            parts = ", ".join(f"{number} of revision {revision}" for revision, number in sorted(counts.items()))
            journal.warn(f"{kind}: runs of different revisions are mixed ({parts}); their numbers may not compare")
