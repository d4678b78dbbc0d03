"""Pruning and 8 bits together: score, measured speed-up and size against the MACs that remain, beside what each alone
would promise."""

from __future__ import annotations

from string import ascii_lowercase
from typing import TYPE_CHECKING

from analysis.data.averages import resampled_text, unpruned
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.quiet import CROSS, disturbed_text
from analysis.data.marks.trivial import accuracy_words
from analysis.quantization.runs import FLOAT, each_average
from analysis.render.curves import (
    any_single,
    draw_series,
    draw_trivial,
    draw_unpruned,
    mark_disturbed,
    signs_text,
)
from analysis.render.output import Drawing, Item
from analysis.render.panels import MACS_LEFT
from analysis.render.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    VERMILLION,
    Look,
    add_caption,
    add_legend,
    figure_style,
    metric_axis,
    panel_grid,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {
    FLOAT: Look("float32", BLACK, "o", "-"),
    "dynamic": Look("int8, after training", BLUE, "s", (0, (4, 1.5))),
    "aware": Look("int8, trained for it", VERMILLION, "^", (0, (5, 1, 1, 1))),
    "trained": Look("int8, trained as long without (control)", ORANGE, "D", (0, (1, 1.5))),
}
SHIFTS = {FLOAT: -1.2, "dynamic": -0.4, "aware": 0.4, "trained": 1.2}
"""Per cent of MACs that points of a series are set aside by, so that intervals do not hide one another."""
EXPECTED = "both, if gains multiplied and losses added"


def draw(group: Group, journal: Journal) -> list[Item]:
    """A figure a task and machine."""

    def make(name: str, own: Group, frame: pd.DataFrame, device: str) -> Item:
        marks = disturbed_text(own.records, CROSS) + accuracy_words(frame)
        frame = frame[frame["series"].isin(LOOKS)].reset_index(drop=True)
        words = f"Graphs of ONNX Runtime on {device}; size is of the graph's file. {marks}{own.caption}"
        return Drawing(name, plot(frame, own), frame, words)

    return each_average(group, journal, "quantized", make)


def plot(frame: pd.DataFrame, group: Group) -> Figure:
    sizes = sorted(int(str(name).partition("_")[2]) for name in frame if str(name).startswith("speedup_"))
    with figure_style():
        figure, all_axes = panel_grid(2 + len(sizes), width=2.3, height=2.0, columns=4)
        whole = unpruned(group.records) | {"metric": frame["metric"].iloc[0]}
        draw_unpruned(all_axes[0], whole, f"(a) {group.records[0].task}")
        _series(all_axes[0], frame, "value", "sum", bars=True)
        draw_trivial(all_axes[0], whole)
        all_axes[0].set_ylabel(metric_axis(whole["metric"]))
        for letter, axes, size in zip(ascii_lowercase[1:], all_axes[1:], sizes, strict=False):
            _series(axes, frame, f"speedup_{size}", f"product_{size}")
            axes.set_title(f"({letter}) speed, batch {size}")
            axes.set_ylabel("speed-up (x)")
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _series(all_axes[-1], frame, "megabytes", "")
        all_axes[-1].set_title(f"({ascii_lowercase[len(sizes) + 1]}) size")
        all_axes[-1].set_ylabel("MB on disk")
        all_axes[-1].set_ylim(bottom=0)
        for axes in all_axes:
            axes.set_xlabel(MACS_LEFT)
            axes.set_xlim(0, 104)
        add_legend(figure, all_axes)
        over = resampled_text(frame, "training seeds")
        words = [f"Bars: 95 % interval of the mean over {over}." if over else ""]
        words += ["Hollow: a single run." if any_single(frame) else "", signs_text(frame).strip()]
        words += ["Speed-ups are over the whole model in float32, in the same rounds; points are set apart sideways."]
        add_caption(figure, " ".join(filter(None, words)))
    return figure


def _series(axes: Axes, frame: pd.DataFrame, y: str, expected: str, *, bars: bool = False) -> None:
    """A column of every series, and beside those in 8 bits what pruning and 8 bits alone would promise together."""
    for series, look in LOOKS.items():
        rows = frame[frame["series"] == series].sort_values("remaining_percent")
        if rows.empty:
            continue
        rows = rows.assign(place=rows["remaining_percent"] + SHIFTS[series], own=rows[y])
        if bars:
            draw_series(axes, rows, "place", look, bars=True)
        else:
            draw_series(axes, rows.assign(value=rows["own"], low=float("nan")), "place", look)
            if y.startswith("speedup"):
                mark_disturbed(axes, rows, "place", "own")
        if expected and series in ("dynamic", "aware"):
            there = rows[(rows["asked"] < 100) & rows[expected].notna()]
            axes.plot(there["place"], there[expected], linestyle="", marker="_", markersize=9, markeredgewidth=1.4,
                      color=GREY, zorder=1.8, label=EXPECTED)  # fmt: skip
