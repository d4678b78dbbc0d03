"""Measured latency of pruned models: the table ``latency`` of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from analysis.data.loading import Journal, read_tables
from analysis.data.marks.quiet import MARKS, comparable_latencies, marks_of, timed_by
from analysis.data.records import Record
from prunekit.runs.schema import shared

if TYPE_CHECKING:
    import pandas as pd

NO_SPREAD = "A latency is the median of its rounds, whose spread is not drawn. "
"""Beside figures and tables of :data:`LATENCY`."""
LATENCY = shared.LATENCY.kinds()
SPREAD = ("speedup_low", "speedup_high", "repeats")
"""Quartiles of the rounds that a speed-up is the median of, and how many these are; not in older records."""


def timings(records: Iterable[Record], journal: Journal, *, largest: bool = True) -> dict[str, Mapping[str, float]]:
    """The row of the ``largest`` batch, or of the smallest, by run id; runs without their table have none.

    Of a batch size that was timed at several lengths, the longest.
    """
    return {
        record.run_id: {**_row(table, largest=largest), **marks_of(record)}
        for record, table in latency_tables(list(records), journal)
    }


def latency_tables(records: Sequence[Record], journal: Journal) -> list[tuple[Record, pd.DataFrame]]:
    """The runs with their table ``latency``; where shapes of some were timed again, those alone, with what that gave.
    """
    runs = {timed_by(record).run_id: record for record in comparable_latencies(records)}
    tables = read_tables(map(timed_by, runs.values()), "latency", LATENCY, journal)
    return [(runs[timed.run_id], table) for timed, table in tables]


def speedup(record: Record) -> float:
    """Measured at the largest batch size, of the shape timed again where it was."""
    if record.timed_again is None:
        return float(record.metrics["speedup"])
    again = record.timed_again
    return float(again.metrics[f"speedup_batch_{max(again.config['batch_sizes'])}"])


def speedups(records: Sequence[Record]) -> Callable[[Record], float]:
    """:func:`speedup` of each of these runs.

    NaN where it may not stand beside that of the others: of a shape that was not timed again, where others of its task
    were.
    """
    comparable = {record.run_id for record in comparable_latencies(records)}
    return lambda record: speedup(record) if record.run_id in comparable else math.nan


def timed_text(averaged: pd.DataFrame) -> str:
    """A sentence for captions on how many of the runs that are averaged have times; nothing where all have.

    Arguments:
        averaged: with ``runs``, and ``timed`` of :func:`count_timed`; rows of which none was timed do not count.
    """
    some = averaged[averaged["timed"] > 0]
    timed, runs = int(some["timed"].sum()), int(some["runs"].sum())
    return "" if timed == runs else f"Times are of {timed} of these {runs} runs, scores of all of them. "


def count_timed(averaged: pd.DataFrame, rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """With ``timed``: of how many of the ``rows`` that each cell ``by`` is the mean of there is a speed-up."""
    counts = rows.drop_duplicates([*by, "teacher", "seed"]).groupby(list(by))["speedup"].count().rename("timed")
    return averaged.join(counts, on=list(by))


def timed_first(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with a speed-up before others: of runs that differ in no number the first counts."""
    return rows.sort_values("speedup", key=lambda speedup: speedup.isna(), kind="stable")


def add_timings(rows: pd.DataFrame, timings: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Rows of runs (with ``run_id``) with a column for everything that was timed; NaN where nothing was, and of the
    spread where a record has none.

    :data:`MARKS` only where there are some.
    """
    names = [*LATENCY, *SPREAD, *(mark for mark in MARKS if any(timing[mark] for timing in timings.values()))]
    columns = {name: rows["run_id"].map({run: timing[name] for run, timing in timings.items()}) for name in names}
    return rows.assign(**columns)


def of_timed(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows of :func:`add_timings` whose ``by`` has a run that was timed: its score is that of all its runs. Those
    that were timed come first."""
    return timed_first(rows[rows.groupby(list(by))["speedup"].transform("count") > 0])


def timed_columns(rows: pd.DataFrame) -> list[str]:
    """The columns of :func:`add_timings` that rows have, to be averaged."""
    return [*LATENCY, *(mark for mark in MARKS if mark in rows)]


def shape_text(frame: pd.DataFrame) -> str:
    """Batch and length of all that was timed."""
    timed = frame.dropna(subset=["batch_size"])
    return f"batch {_span(timed['batch_size'])}, length {_span(timed['length'])}"


def _row(table: pd.DataFrame, *, largest: bool) -> Mapping[str, float]:
    batch = table["batch_size"].max() if largest else table["batch_size"].min()
    row = table[table["batch_size"] == batch].sort_values("length").iloc[-1]
    return {name: float(row.get(name, math.nan)) for name in (*LATENCY, *SPREAD)}


def _span(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
