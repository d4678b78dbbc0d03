"""What every panel of Fisher pruning has: the line that the headline allows, and the best point above it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

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
    """Ring the marked point of ``rows`` and tell its ``x`` in the lower corner on the ``side`` that curves leave. The
    ring is whole where the interval of the point lies above the line, else dotted: its mean alone does.

    Of a single run that is said: one run is no average. There is neither of a teacher at chance, as nothing is kept of
    what it is worth, nor where models lose less than a point and all of them were timed beside other work.
    """
    pruned = rows[rows["series"] != "unpruned"]
    if unpruned_row(rows)["at_chance"] or (pruned["within_1_point"].any() and not pruned["marked"].any()):
        return
    words = "< 1 point: none"
    for row in rows[rows["marked"]].to_dict("records"):
        words = f"< 1 point: {text(row[x])}{ONE_RUN}" if row["runs"] == 1 else f"mean < 1 point: {text(row[x])}"
        axes.scatter([row[x]], [row["value"]], s=64, facecolors="none", edgecolors="#222222", linewidths=1.0, zorder=4,
                     linestyle="-" if surely_within(row) else (0, (1.5, 1.2)))  # fmt: skip
    axes.text(0.97 if side == "right" else 0.03, 0.1, words, fontsize=7, transform=axes.transAxes,
              ha="right" if side == "right" else "left",
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip


def surely_within(row: Mapping[Hashable, Any]) -> bool:
    """Does all of its interval lie less than one point below the unpruned metric? False of a single run, without one.
    """
    return bool(row["low"] > row["value"] - row["change"] - TOLERANCE)


def ring_text(frame: pd.DataFrame, what: str) -> str:
    """A sentence for the caption: what is ringed, and that it was chosen by what it is reported on."""
    marked = frame[frame["marked"]]
    if marked.empty:
        return ""
    ways = [(marked["runs"] > 1, "on average"), (marked["runs"] == 1, "in its only run")]
    words = " or ".join(text for some, text in ways if some.any())
    dotted = "" if all(map(surely_within, marked.to_dict("records"))) else " (dotted: not by its interval)"
    return f"Ringed: {what} that loses less than 1 point {words}{dotted}, by the scores shown."
