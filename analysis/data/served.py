"""How fast models are as they would be served: whole and pruned, each in the runtime that is the fastest for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from analysis.data.columns import columns
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.quiet import timed_by
from analysis.data.records import Record

if TYPE_CHECKING:
    import pandas as pd

TABLE = "runtimes"
RUNTIMES = columns("time_inference", TABLE)
INT8 = "Models in onnx-int8 have weights in 8 bits: their scores are not those of the table."
"""What a caption must say where that runtime is in a table of scores."""
OWN_INT8 = "Models in 8 bits are scored as they are timed, the whole model beside them is in float32."
"""And what where models that were scored in it are."""


def runtime_tables(records: Iterable[Record], journal: Journal) -> list[tuple[Record, pd.DataFrame]]:
    """The runs whose models, or shapes timed again, were timed in several runtimes, with that table; others, as those
    of before, are not in it."""
    runs = {timed_by(record).run_id: record for record in records if timed_by(record).rows.get(TABLE)}
    return [(runs[t.run_id], table) for t, table in read_tables(map(timed_by, runs.values()), TABLE, RUNTIMES, journal)]


def in_8_bits(table: pd.DataFrame) -> pd.DataFrame:
    """Of the runtimes of a run of `quantize` those of the whole model in float32 and of what was put into 8 bits."""
    pairs = [("original", "onnx"), ("pruned", "onnx-int8")]
    return table[[pair in pairs for pair in zip(table["variant"], table["runtime"], strict=True)]]


def as_served(table: pd.DataFrame) -> pd.DataFrame:
    """A row a batch size and length, whole over pruned, each in its own fastest runtime.

    Returns:
        ``batch_size``, ``length``, ``served``: the speed-up; ``dense_in`` and ``pruned_in``: in which runtimes;
        ``dense_ms`` and ``pruned_ms``: medians there.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for (batch, length), cells in table.groupby(["batch_size", "length"], sort=True):
        best = {
            name: cells[cells["variant"] == variant].sort_values("median_ms", kind="stable").iloc[0]
            for name, variant in (("dense", "original"), ("pruned", "pruned"))
        }
        row = {"batch_size": batch, "length": length}
        row["served"] = float(best["dense"]["median_ms"] / best["pruned"]["median_ms"])
        row |= {f"{name}_in": str(one["runtime"]) for name, one in best.items()}
        rows.append(row | {f"{name}_ms": float(one["median_ms"]) for name, one in best.items()})
    return pd.DataFrame(rows)


def runtimes_text(dense_in: str, pruned_in: str) -> str:
    """In words.

    >>> runtimes_text("onnx", "onnx"), runtimes_text("compile", "onnx")
    ('both onnx', 'onnx, whole: compile')
    """
    return f"both {pruned_in}" if dense_in == pruned_in else f"{pruned_in}, whole: {dense_in}"
