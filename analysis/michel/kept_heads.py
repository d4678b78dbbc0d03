"""Where the pruned heads were: heads kept in each layer at each share, in order of importance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, by_teacher, of_all_kinds
from analysis.data.loading import Journal, read_tables
from analysis.michel.fig3b import order_of
from analysis.render.heatmap import draw_map
from analysis.render.output import Drawing, Item
from analysis.render.style import ORDERS, add_caption, figure_style, kinds_in_order, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

KEPT = columns("prune_heads", "kept")
PREFERRED = ("importance", "importance_released", "importance_stepwise")


def draw(group: Group, journal: Journal) -> list[Item]:
    """The map of the first importance order there is; none for the other orders."""
    group = of_all_kinds(group)
    orders = {order_of(record) for record in group.records}
    order = next((order for order in PREFERRED if order in orders), None)
    if order is None:
        return []
    members = replace(group, records=[record for record in group.records if order_of(record) == order])
    frame = counts(members, journal)
    if frame is None:
        return []
    return [Drawing("kept_heads", plot(frame, order), frame, members.caption)]


def counts(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a share, attention kind and layer (1-based): heads kept, the mean over teachers."""
    import pandas as pd

    parts = []
    for teacher, members in by_teacher(group.records).items():
        tables = [table for _, table in read_tables(members, "kept", KEPT, journal)]
        if tables:
            one = pd.concat(tables).groupby(["share", "kind", "layer"], as_index=False)[["heads_kept", "heads"]]
            parts.append(one.mean().assign(teacher=teacher))
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    frame["layer"] += 1
    grouped = frame.groupby(["share", "kind", "layer"], as_index=False)
    return grouped.agg(heads_kept=("heads_kept", "mean"), heads=("heads", "mean"), teachers=("teacher", "nunique"))


def plot(frame: pd.DataFrame, order: str) -> Figure:
    kinds = kinds_in_order(frame["kind"])
    grid = frame.pivot(index=["kind", "layer"], columns="share", values="heads_kept").loc[kinds]
    names = [f"{kind} {layer}" if len(kinds) > 1 else str(layer) for kind, layer in grid.index]
    heads = float(frame["heads"].max())
    whole = bool((grid % 1 == 0).all(axis=None))
    with figure_style():
        figure = new_figure(max(4.2, 1.4 + 0.27 * grid.shape[1]), 1.0 + 0.2 * grid.shape[0])
        axes = figure.subplots()
        draw_map(
            axes,
            grid.to_numpy(),
            columns=[f"{100 * share:.0f}" for share in grid.columns],
            rows=names,
            limits=(0, heads),
            text=lambda value: f"{value:.0f}" if whole or value in (0, heads) else f"{value:.1f}",
            bar="heads kept",
        )
        axes.set_xlabel("heads pruned (%)")
        axes.set_ylabel("layer")
        teachers = int(frame["teachers"].max())
        mean = f"mean of {teachers} teachers" if teachers > 1 else "one teacher"
        add_caption(figure, f"Heads kept, pruned by {ORDERS[order].label}; {mean}.")
    return figure
