"""What the pruned models are worth on this machine: the metric against the measured speed-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.data.averages import unpruned
from analysis.data.frames import means
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.quiet import CROSS, comparable_latencies, disturbed_text
from analysis.data.marks.trivial import accuracy_words
from analysis.data.timings import (
    NO_SPREAD,
    add_timings,
    count_timed,
    of_timed,
    shape_text,
    timed_columns,
    timed_text,
    timings,
)
from analysis.kwon.panels import draw_within, ring, ring_text
from analysis.kwon.runs import DRAWS, caption, default_runs, fisher_rows, mark_within, option
from analysis.render.curves import draw_series, mark_disturbed, signs_text
from analysis.render.machines import each_machine
from analysis.render.output import Drawing, Item
from analysis.render.panels import draw_panels
from analysis.render.style import BUDGETS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(group: Group, journal: Journal) -> list[Item]:
    """One figure a machine."""

    def make(name: str, groups: list[Group], device: str) -> Item | None:
        frame = curves(groups, journal)
        if frame is None:
            return None
        records = [record for one in groups for record in comparable_latencies(one.records)]
        measured = f"Over the dense model in PyTorch at {shape_text(frame)}. {NO_SPREAD}{device}."
        marks = f"{timed_text(frame)}{disturbed_text(records, CROSS)}"
        beside = f"{measured} {marks}{accuracy_words(frame)}{caption(groups)}"
        return Drawing(name, plot(frame), frame, beside)

    return each_machine("kwon_latency", default_runs(group.records, free=["budget"]), make)


def curves(groups: list[Group], journal: Journal) -> pd.DataFrame | None:
    """A row a task, budget and constraint: the metric in per cent, and the speed-up at the largest batch timed.

    The metric is the mean of all draws, the speed-up that of those that were timed; ``mac_speedup`` is what the MACs
    promise. A task with both budgets has a panel for each. ``marked`` is the fastest row of a panel that loses less
    than one point.
    """
    import pandas as pd

    parts, cell = [], ["panel", "task", "series", "constraint"]
    for group in groups:
        rows = fisher_rows([group], series=_budget, run_id=lambda record: record.run_id)
        rows = of_timed(add_timings(rows, timings(group.records, journal)), cell)
        if rows.empty:
            continue
        drawn = [record for record in group.records if record.run_id in set(rows["run_id"])]
        also = ["remaining_percent", "change", *timed_columns(rows)]
        averaged = count_timed(means(rows, cell, also), rows, cell)
        dense = {"task": group.records[0].task, "metric": averaged["metric"].iloc[0], "series": "unpruned"}
        whole = pd.DataFrame([dense | {"speedup": 1.0, "change": 0.0} | unpruned(drawn)])
        budgets = [look for look in BUDGETS if look in set(averaged["series"])]
        for budget in budgets:
            own = mark_within(averaged[averaged["series"] == budget], "speedup", largest=True)
            title = f"{group.title}, {BUDGETS[budget].label}" if len(budgets) > 1 else group.title
            both = pd.concat([own, whole.assign(within_1_point=True, marked=False)], ignore_index=True)
            parts.append(both.assign(panel=title, condition=group.title))
    return pd.concat(parts, ignore_index=True) if parts else None


def plot(frame: pd.DataFrame) -> Figure:
    """A panel a task and budget, with the other budget's curve of the same task as a thin line."""

    def others(rows: pd.DataFrame) -> pd.DataFrame:
        same = frame["condition"] == rows["condition"].iloc[0]
        return frame[same & (frame["panel"] != rows["panel"].iloc[0])]

    def panel(axes: Axes, rows: pd.DataFrame) -> None:
        draw_within(axes, rows)
        for series, look in BUDGETS.items():
            curve, beside = (some[some["series"] == series].sort_values("speedup") for some in (rows, others(rows)))
            if len(curve):
                draw_series(axes, curve, "speedup", look)
            axes.plot(beside["speedup"], beside["value"], color=look.color, linestyle=look.line, linewidth=0.6)
        mark_disturbed(axes, rows, "speedup")
        axes.set_xlim(left=min(0.95, rows["speedup"].min() - 0.05))
        ring(axes, rows, "speedup", "{:.2f} x".format, side="left")

    thin = "" if (frame["panel"] == frame["condition"]).all() else "Thin: the other budget. "
    key = f"{thin}{signs_text(frame)}{ring_text(frame, 'the fastest model')}"
    return draw_panels(frame, "measured speed-up (x)", panel, key, drawn_anew=DRAWS)


def _budget(record: Any) -> str:
    return str(option(record, "budget"))
