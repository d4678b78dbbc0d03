"""The curves of CoFi and its baselines in one panel, hollow where a target was missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.render.style import STRUCTURES, Look, looks_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def draw_structures(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    """A curve for every structure in ``rows``, in the order of the sparsity asked for."""
    measured = rows.dropna(subset=["requested"])
    looks = {**STRUCTURES, **looks_of(STRUCTURES, measured["series"])}
    for place, (series, look) in enumerate(looks.items()):
        curve = measured[measured["series"] == series]
        if len(curve):
            draw_points(axes, curve.sort_values("requested"), x, look, layer=3 - place / len(looks))


def draw_points(axes: Axes, rows: pd.DataFrame, x: str, look: Look, *, layer: float) -> None:
    """Markers on a line, with bars for the intervals that are known, above what has a lower ``layer``."""
    style: dict[str, Any] = {"color": look.color, "marker": look.marker, "markersize": 4.2, "zorder": layer}
    axes.plot(rows[x], rows["value"], linestyle=look.line, linewidth=1.1, label=look.label, **style)
    known = rows.dropna(subset=["low"])
    if len(known):
        spread = [known["value"] - known["low"], known["high"] - known["value"]]
        axes.errorbar(known[x], known["value"], yerr=spread, fmt="none", ecolor=look.color, elinewidth=0.8,
                      capsize=1.6, zorder=layer)  # fmt: skip
    hollow = rows[rows["missed"] > 0]
    axes.plot(hollow[x], hollow["value"], linestyle="", markerfacecolor="white", **style)


def structure_label(row: Any) -> str:
    """The name of a row's structure, for captions."""
    return STRUCTURES[row.series].label if row.series in STRUCTURES else str(row.series)
