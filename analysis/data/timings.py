"""Measured latency of pruned models: the table ``latency`` of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from analysis.data.loading import Journal, read_tables
from analysis.data.records import Record
from prunekit.runs.schema import shared

if TYPE_CHECKING:
    import pandas as pd

LATENCY = shared.LATENCY.kinds()


def timings(records: Iterable[Record], journal: Journal, *, largest: bool = True) -> dict[str, Mapping[str, float]]:
    """The row of the ``largest`` batch, or of the smallest, by run id; runs without their table have none."""
    return {
        record.run_id: _row(table, -1 if largest else 0)
        for record, table in read_tables(records, "latency", LATENCY, journal)
    }


def add_timings(rows: pd.DataFrame, timings: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Rows of runs (with ``run_id``) with a column for everything that was timed; NaN where nothing was."""
    columns = {name: rows["run_id"].map({run: timing[name] for run, timing in timings.items()}) for name in LATENCY}
    return rows.assign(**columns)


def shape_text(frame: pd.DataFrame) -> str:
    """Batch and length of all that was timed."""
    timed = frame.dropna(subset=["batch_size"])
    return f"batch {_span(timed['batch_size'])}, length {_span(timed['length'])}"


def _row(table: pd.DataFrame, place: int) -> Mapping[str, float]:
    row = table.sort_values(["batch_size", "length"]).iloc[place]
    return {name: float(row[name]) for name in LATENCY}


def _span(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
