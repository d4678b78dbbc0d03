"""Curves over repeated runs: their means and intervals, and the unpruned model they start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.data.groups import by_teacher
from analysis.data.records import Record
from analysis.render.style import GREY, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def average(found: pd.DataFrame, column: str = "value") -> dict[str, Any]:
    """Mean of repeated runs with its 95 % interval, and how many teachers and runs it is of.

    The interval is over teachers where there are several (a teacher's seeds are averaged first, because runs
    of one teacher are not independent), else over the seeds of one teacher; NaN below three values.
    """
    values = found.groupby("teacher")[column].mean() if found["teacher"].nunique() > 1 else found[column]
    low, high = mean_interval(values.tolist())
    return {
        "value": float(values.mean()),
        "low": low,
        "high": high,
        "teachers": found["teacher"].nunique(),
        "runs": len(found),
    }


def mean_interval(values: list[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean; NaN below three values, where it would say nothing."""
    import numpy as np

    from prunekit.statistics import mean_band

    if len(values) < 3:
        return float("nan"), float("nan")
    band = mean_band(np.array(values))
    return float(band.low), float(band.high)


def unpruned(records: Sequence[Record]) -> dict[str, Any]:
    """The unpruned metric in per cent and its 95 % sampling interval, averaged over teachers."""
    bands = [
        [float(members[0].metrics[f"baseline{end}"]) for end in ("", "_low", "_high")]
        for members in by_teacher(records).values()
    ]
    value, low, high = (100 * sum(column) / len(bands) for column in zip(*bands, strict=True))
    return {"value": value, "low": low, "high": high, "teachers": len(bands), "runs": len(records)}


def draw_series(axes: Axes, rows: pd.DataFrame, x: str, look: Look, *, label: str | None = None) -> None:
    """The curve of ``rows`` over the column ``x``, and its band where there is one."""
    axes.plot(
        rows[x], rows["value"], color=look.color, marker=look.marker, linestyle=look.line,
        label=look.label if label is None else label,
    )  # fmt: skip
    if rows["low"].notna().any():
        axes.fill_between(rows[x], rows["low"], rows["high"], color=look.color, alpha=0.15, linewidth=0)


def draw_limit(axes: Axes, percent: float, label: str) -> None:
    """A grey line at a share of heads that the paper names."""
    axes.axvline(percent, color=GREY, linewidth=1.0, linestyle=(0, (5, 2, 1, 2)), label=label)


def draw_unpruned(axes: Axes, row: Any) -> None:
    """A line at the unpruned metric on its sampling band."""
    axes.axhspan(row["low"], row["high"], color="#D9D9D9", alpha=0.6, linewidth=0, label="unpruned, sampling band")
    axes.axhline(row["value"], color="#777777", linewidth=0.7)
