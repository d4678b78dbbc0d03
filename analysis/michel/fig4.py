"""Fig. 4: the metric against the share pruned of the heads of one kind of attention, the other kinds left whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.michel.fig3b import (
    RUN,
    draw_runs,
    explain_runs,
    order_curves,
    replicates,
    run_curves,
    with_limit,
    with_unpruned,
)
from analysis.render.curves import draw_limit, draw_line, draw_trivial, draw_unpruned, runs_text
from analysis.render.output import Drawing, Item
from analysis.render.style import ATTENTION, ORDERS, Look, add_caption, figure_style, metric_axis, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LINES: dict[str, Any] = {"importance": "-", "random": (0, (3, 1.5))}
"""By order; the figure shows these two."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """Importance and random orders of runs that prune one kind; none where there is no such run."""
    members = [r for r in group.records if len(r.config.get("kinds") or []) == 1 and r.config["order"] in LINES]
    frame = curves(Group(members), journal)
    if frame is None:
        return []
    return [Drawing("fig4", plot(frame), frame, f"Published: WMT14 En-Fr. {Group(members, group.label).caption}")]


def curves(group: Group, journal: Journal) -> pd.DataFrame | None:
    """A row a kind, order (``series``) and share of the kind's heads, in per cent or points, and the unpruned model."""
    import pandas as pd

    parts = []
    for kind in ATTENTION:
        points = replicates([record for record in group.records if record.config.get("kinds") == [kind]], journal)
        if points is not None:
            each = run_curves(points)
            parts += [rows.assign(kind=kind) for rows in (order_curves(points), each) if len(rows)]
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    whole = with_unpruned(frame, group.records)
    return with_limit(whole, "enc-dec") if "enc-dec" in set(frame["kind"]) else whole


def plot(frame: pd.DataFrame) -> Figure:
    pruned = frame[(frame["source"] == "measured") & (frame["series"] != "unpruned")]
    each = frame[frame["source"] == RUN]
    with figure_style():
        figure = new_figure(6.2, 3.3)
        axes = figure.subplots()
        draw_unpruned(axes, frame[frame["series"] == "unpruned"].iloc[0])
        for (kind, order), rows in pruned.groupby(["kind", "series"], sort=False):
            own = ATTENTION[str(kind)]
            label = f"{own.label},\n{ORDERS[str(order)].label}{runs_text(rows['runs'])}"
            look = Look(label, own.color, own.marker, LINES[str(order)])
            draw_runs(axes, each[(each["kind"] == kind) & (each["series"] == order)], look)
            draw_line(axes, rows, "pruned_percent", look)
        for percent in frame.loc[frame["series"] == "limit", "pruned_percent"]:
            draw_limit(axes, percent, "published: encoder-decoder\nattention collapses beyond")
        draw_trivial(axes, frame[frame["series"] == "unpruned"].iloc[0])
        axes.set_xlabel("heads of the kind pruned (%)")
        axes.set_ylabel(metric_axis(frame["metric"].iloc[0]))
        axes.set_xlim(-2, 102)
        axes.xaxis.set_ticks(range(0, 101, 10))
        figure.legend(loc="outside right upper", labelspacing=0.7, handlelength=2.6)
        add_caption(figure, f"Heads of one kind of attention pruned, all others kept. {explain_runs(frame)}")
    return figure
