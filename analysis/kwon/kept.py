"""Where the pruned units were: heads and neurons kept in each layer, at each constraint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.groups import Group
from analysis.data.kept_units import kept_units
from analysis.data.loading import Journal
from analysis.kwon.runs import caption, default_runs
from analysis.render.heatmap import draw_map, runs_of_columns
from analysis.render.output import Drawing, Item, file_name
from analysis.render.style import add_caption, figure_style, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

UNITS = ("heads", "neurons")


def draw(group: Group, journal: Journal) -> list[Item]:
    """One map a task: units kept at each constraint, and their share of the layer's."""
    items: list[Item] = []
    for one in default_runs(group.records):
        frame = kept_units(one, "constraint", journal)
        if frame is not None:
            items.append(Drawing(file_name("kwon_kept", one.title), plot(frame), frame, caption([one])))
    return items


def plot(frame: pd.DataFrame) -> Figure:
    constraints, layers = sorted(frame["constraint"].unique()), sorted(frame["layer"].unique())
    with figure_style():
        figure = new_figure(max(4.4, 1.6 + 0.62 * len(constraints)), 1.1 + 0.2 * len(layers))
        for axes, unit in zip(figure.subplots(1, len(UNITS), sharey=True), UNITS, strict=True):
            rows = frame[frame["unit"] == unit]
            grid = rows.pivot(index="layer", columns="constraint", values="kept").reindex(layers)[constraints]
            most = float(rows["total"].max())
            whole = bool((grid % 1 == 0).all(axis=None)) or unit == "neurons"
            draw_map(
                axes,
                grid.to_numpy(),
                columns=[f"{100 * constraint:g}" for constraint in constraints],
                rows=[str(layer) for layer in layers],
                limits=(0, most),
                text=("{:.0f}" if whole else "{:.1f}").format,
                fontsize=5.5,
            )
            axes.set_title(f"{unit} kept of {most:,.0f}")
            axes.set_xlabel("MACs that may remain (%)")
        figure.axes[0].set_ylabel("layer")
        add_caption(figure, runs_of_columns(frame, "constraint"))
    return figure
