"""How the pages write a ratio of times that was measured in rounds: its median, and how sure that is."""

from __future__ import annotations

from analysis.intervals.estimates import CONFIDENCE
from analysis.intervals.medians import error_of_median
from analysis.intervals.positive import timed
from analysis.pages.table_rows import TableRows


def speedup(row: TableRows) -> str:
    """``1.27 (1.26 to 1.28)``: of the one row that is left, with the 95 % interval that claims on speed have, which is
    of other rounds of the same models."""
    median, repeats = float(row["speedup"]), int(row["repeats"])
    error = float(error_of_median(row["speedup_low"], row["speedup_high"], repeats))
    low, high = (1 + end / 100 for end in timed(median, error / median, repeats, gain=True).interval(CONFIDENCE))
    return f"{median:.2f} ({low:.2f} to {high:.2f})"
