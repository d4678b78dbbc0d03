"""The frame of the figures that show a curve a task: panels, the unpruned model in each, one legend, one caption."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analysis.data.averages import resampled_text
from analysis.render.curves import SINGLE, any_single, draw_trivial, draw_unpruned
from analysis.render.style import add_caption, add_legend, figure_style, metric_name, panel_grid, panel_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MACS_LEFT = "MACs that remain (%)"
WIDEST = 9.2
"""Inches that the panels of a row may take."""


def draw_panels(
    frame: pd.DataFrame,
    x: str,
    curves: Callable[[Axes, pd.DataFrame], None],
    key: str = "",
    *,
    drawn_anew: str,
    y: str = "(%)",
    intervals: str = "Bands",
    size: tuple[float, float] = (2.05, 1.75),
) -> Figure:
    """A panel for every value of the column ``panel``.

    Arguments:
        frame: rows of curves, and one row a panel with ``series`` unpruned.
        x: the label of the horizontal axis.
        curves: draws the rows of one panel.
        key: what else the caption says of how to read it, after intervals and single runs.
        drawn_anew: what differs between the runs of one teacher, as in
            :func:`~analysis.data.averages.resampled_text`.
        y: the label of the vertical axis, after the metric.
        intervals: how the interval of the mean is drawn.
        size: of a panel, in inches.
    """
    panels = list(frame.groupby("panel", sort=False))
    with figure_style():
        figure, all_axes = panel_grid(len(panels), width=size[0], height=size[1], columns=int(WIDEST / size[0]))
        for axes, (title, rows) in zip(all_axes, panels, strict=True):
            draw_unpruned(axes, unpruned_row(rows), panel_title(str(title)))
            curves(axes, rows)
            if x == MACS_LEFT:
                axes.set_xlim(frame["remaining_percent"].min() - 4, 102)
            draw_trivial(axes, unpruned_row(rows))
            axes.set_xlabel(x)
            axes.set_ylabel(f"{metric_name(str(rows['metric'].iloc[0]))} {y}")
        add_legend(figure, all_axes)
        add_caption(figure, f"{explain(frame, intervals, drawn_anew)} {key}".strip())
    return figure


def unpruned_row(rows: pd.DataFrame) -> pd.Series:
    return rows[rows["series"] == "unpruned"].iloc[0]


def explain(frame: pd.DataFrame, intervals: str, drawn_anew: str) -> str:
    """What the intervals and hollow markers are."""
    drawn = frame[frame["series"] != "unpruned"]
    words = []
    if over := resampled_text(drawn, drawn_anew):
        words.append(f"{intervals}: 95 % interval of the mean over {over}.")
    if any_single(drawn):
        words.append(SINGLE)
    return " ".join(words)
