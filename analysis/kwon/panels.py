"""What every panel of Fisher pruning has: the line that the headline allows, and the best point above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analysis.kwon.runs import TOLERANCE
from analysis.render.panels import unpruned_row

ONE_RUN = " (1 run)"
"""After what a single run gave."""

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def draw_within(axes: Axes, rows: pd.DataFrame) -> None:
    """The line one point below the unpruned metric."""
    line = unpruned_row(rows)["value"] - TOLERANCE
    axes.axhline(line, color="#555555", linewidth=0.7, linestyle=(0, (2, 2)), label="1 point less")


def ring(axes: Axes, rows: pd.DataFrame, x: str, text: Callable[[float], str], *, side: str) -> None:
    """Ring the marked point of ``rows`` and tell its ``x`` in the lower corner on the ``side`` that curves leave.

    Of a single run that is said: one run is no average. There is neither of a teacher at chance, as nothing is kept of
    what it is worth, nor where models lose less than a point and all of them were timed beside other work.
    """
    pruned = rows[rows["series"] != "unpruned"]
    if unpruned_row(rows)["at_chance"] or (pruned["within_1_point"].any() and not pruned["marked"].any()):
        return
    value = "none"
    for row in rows[rows["marked"]].to_dict("records"):
        value = text(row[x]) + (ONE_RUN if row["runs"] == 1 else "")
        axes.plot([row[x]], [row["value"]], "o", markersize=8, markerfacecolor="none", markeredgecolor="#222222")
    axes.text(0.97 if side == "right" else 0.03, 0.1, f"< 1 point: {value}", fontsize=7, transform=axes.transAxes,
              ha="right" if side == "right" else "left",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip


def ring_text(frame: pd.DataFrame, what: str) -> str:
    """A sentence for the caption: what is ringed, and that it was chosen by what it is reported on."""
    marked = frame[frame["marked"]]
    if marked.empty:
        return ""
    single = (marked["runs"] == 1).any()
    mean = "on average over its runs" if (marked["runs"] > 1).any() else ""
    words = f"{mean}{', or in its only run' if mean else 'in its only run'}" if single or not mean else mean
    return f"Ringed: {what} that loses less than 1 point {words}, chosen by the scores shown."
