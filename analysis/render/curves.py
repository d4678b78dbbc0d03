"""Curves over repeated runs with their intervals, and the unpruned model they start from, as lines of a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.render.style import GREY, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


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


def mark_disturbed(axes: Axes, rows: pd.DataFrame, x: str, y: str = "value") -> None:
    """Cross out the points of runs that were timed beside other work (``disturbed``, where there are some)."""
    if "disturbed" in rows:
        crossed = rows[rows["disturbed"] > 0]
        axes.plot(crossed[x], crossed[y], linestyle="", marker="x", color="black", markersize=6, markeredgewidth=0.8,
                  zorder=6)  # fmt: skip
