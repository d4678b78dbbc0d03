"""What a budget of multiply-accumulates costs: the metric against the MACs that remain, a panel a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.averages import unpruned
from analysis.data.frames import means
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.trivial import accuracy_words
from analysis.kwon.panels import draw_within, ring, ring_text
from analysis.kwon.runs import DRAWS, caption, default_runs, fisher_rows, mark_within
from analysis.render.curves import draw_series
from analysis.render.output import Drawing, Item
from analysis.render.panels import MACS_LEFT, draw_panels
from analysis.render.style import BLUE, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRUNED = Look("pruned, not retrained", BLUE, "o", "-")


def draw(group: Group, journal: Journal) -> list[Item]:
    """The runs with a MAC budget and every other setting at its default."""
    groups = default_runs(group.records)
    if not groups:
        return []
    _tell_uneven(groups, journal)
    frame = curves(groups)
    return [Drawing("kwon_macs", plot(frame), frame, accuracy_words(frame) + caption(groups))]


def curves(groups: list[Group]) -> pd.DataFrame:
    """The drawn numbers in per cent: a row a task and constraint, and one a task for the unpruned model.

    ``change`` is the mean over runs of the difference to the unpruned model of the same teacher, in points.
    ``marked`` is the row with the fewest MACs of those that lose less than one point.
    """
    import pandas as pd

    parts = []
    for group in groups:
        averaged = means(fisher_rows([group]), ["panel", "task", "constraint"], ["remaining_percent", "change"])
        parts.append(mark_within(averaged, "remaining_percent", largest=False).assign(series="pruned"))
        dense = {"panel": group.title, "task": group.records[0].task, "metric": averaged["metric"].iloc[0]}
        dense |= {"series": "unpruned", "constraint": 1.0, "remaining_percent": 100.0, "change": 0.0}
        parts.append(pd.DataFrame([dense | unpruned(group.records)]).assign(within_1_point=True, marked=False))
    return pd.concat(parts, ignore_index=True)


def plot(frame: pd.DataFrame) -> Figure:
    def panel(axes: Axes, rows: pd.DataFrame) -> None:
        draw_within(axes, rows)
        draw_series(axes, rows[rows["series"] == "pruned"], "remaining_percent", PRUNED)
        ring(axes, rows, "remaining_percent", "{:.0f} %".format, side="right")

    key = ring_text(frame, "the model of fewest MACs")
    return draw_panels(frame, MACS_LEFT, panel, key, drawn_anew=DRAWS)


def _tell_uneven(groups: list[Group], journal: Journal) -> None:
    for group in groups:
        runs = fisher_rows([group]).groupby("constraint").size()
        for constraint, number in runs[runs < runs.max()].items():
            journal.warn(f"kwon_macs, {group.title}: constraint {constraint:g} has {number} of {runs.max()} runs")
