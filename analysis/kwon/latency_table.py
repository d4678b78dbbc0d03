"""The tables that a latency budget is searched in: measured latency of a sublayer against its units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, by_condition, by_setting
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.quiet import disturbed_text
from analysis.render.curves import SINGLE
from analysis.render.output import Drawing, Item, count_range, file_name
from analysis.render.style import BLUE, add_caption, figure_style, panel_grid

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

LATENCY = columns("latency_table", "latency")
UNITS = {"attention": "heads", "ffn": "neurons"}


def draw(group: Group, journal: Journal) -> list[Item]:
    """One figure a machine and batch shape."""
    items: list[Item] = []
    for members in by_setting(group.records).values():
        for one in by_condition(members):
            frame = latencies(one, journal)
            if frame is not None:
                name = file_name("kwon_latency_table", one.title) if items else "kwon_latency_table"
                items.append(Drawing(name, plot(frame), frame, caption(one)))
    return items


def latencies(group: Group, journal: Journal) -> pd.DataFrame | None:
    """The measured rows of the first run that has its table."""
    for _, table in read_tables(group.records, "latency", LATENCY, journal):
        return table[list(LATENCY)].sort_values(["sublayer", "units"], ignore_index=True)
    return None


def caption(group: Group) -> str:
    record = group.records[0]
    shape = f"batch {record.metrics.get('batch_size', '?')}, length {record.metrics.get('length', '?')}"
    return f"{record.device}; {shape}. {disturbed_text([record], 'Beware')}{group.caption}"


def plot(frame: pd.DataFrame) -> Figure:
    panels = [(name, rows) for name in UNITS if len(rows := frame[frame["sublayer"] == name])]
    with figure_style():
        figure, all_axes = panel_grid(len(panels), width=2.5)
        for axes, (sublayer, rows) in zip(all_axes, panels, strict=True):
            axes.plot(rows["units"], rows["median_ms"], color=BLUE, marker="o", markersize=2.6, markerfacecolor="white")
            axes.fill_between(rows["units"], rows["low_ms"], rows["high_ms"], color=BLUE, alpha=0.2, linewidth=0)
            axes.set_ylim(bottom=0)
            axes.set_title("one attention sublayer" if sublayer == "attention" else "one FFN sublayer")
            axes.set_xlabel(f"{UNITS[sublayer]} left")
            axes.set_ylabel("latency (ms)")
        repeats = count_range(frame["repeats"])
        add_caption(figure, f"{SINGLE} Markers: measured widths, median of {repeats} repeats; band: quartiles.")
    return figure
