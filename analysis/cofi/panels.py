"""The curves of CoFi and its baselines in one panel, starred where a target was missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.render.curves import draw_series
from analysis.render.style import STRUCTURES, looks_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


STARRED = "Starred: target missed. "


def draw_structures(axes: Axes, rows: pd.DataFrame, x: str, *, limits: tuple[float, float] | None = None) -> None:
    """A curve for every structure in ``rows``, in the order of the sparsity asked for.

    Arguments:
        limits: of what the axis can have, where that is not the metric's range.
    """
    measured = rows.dropna(subset=["requested"])
    looks = {**STRUCTURES, **looks_of(STRUCTURES, measured["series"])}
    for place, (series, look) in enumerate(looks.items()):
        curve = measured[measured["series"] == series].sort_values("requested")
        if len(curve):
            draw_series(axes, curve, x, look, bars=True, limits=limits, markersize=4.2, linewidth=1.1,
                        zorder=3 - place / len(looks))  # fmt: skip
            for row in curve[curve["missed"] > 0].to_dict("records"):
                axes.annotate("*", (row[x], row["value"]), xytext=(-3.5, 0), textcoords="offset points", fontsize=9,
                              ha="right")  # fmt: skip


def any_missed(frame: pd.DataFrame) -> str:
    """A sentence for the caption where a point is starred."""
    return STARRED if "missed" in frame and (frame["missed"] > 0).any() else ""


def structure_label(row: Any) -> str:
    """The name of a row's structure, for captions."""
    return looks_of(STRUCTURES, [row.series])[str(row.series)].label
