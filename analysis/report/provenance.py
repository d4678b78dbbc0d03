"""Where every run came from, as one table: what ran, on what, when, from which commit and with which libraries."""

from __future__ import annotations

import math
from collections.abc import Iterable

from analysis.data.loading import Journal, Unused
from analysis.data.records import Record
from analysis.report.grid import Grid, grid

COLUMNS = (
    "verb", "run", "model", "weights", "task", "scale", "seed", "status", "commit", "tree", "device", "threads",
    "dtype", "seconds", "finished (UTC)", "libraries",
)  # fmt: skip


def provenance(records: Iterable[Record], journal: Journal) -> Grid:
    """A row a run; of a run that was left out only its name and why is known."""
    used = [_row(record) for record in records]
    return grid(COLUMNS, used + [_left_out(unused) for unused in journal.unused])


def _row(record: Record) -> list[str]:
    origin = record.provenance
    seconds = "" if math.isnan(origin.seconds) else f"{origin.seconds:.1f}"
    return [
        record.verb, record.run_id, record.model.name, record.model.weights, record.task, record.scale or "none",
        str(record.seed), "finished", origin.commit[:10], "dirty" if origin.dirty else "clean" if origin.commit else "",
        origin.hardware, str(origin.threads), origin.dtype, seconds, origin.finished.removesuffix("+00:00"),
        ", ".join(f"{name} {version}" for name, version in origin.versions.items()),
    ]  # fmt: skip


def _left_out(unused: Unused) -> list[str]:
    known = {"verb": unused.run.verb, "run": unused.run.run_id, "status": unused.why}
    return [known.get(column, "") for column in COLUMNS]
