"""Where the time goes: seconds of each stage of pruning, a bar a task, and how far runs are apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.data import published
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.quiet import disturbed_text
from analysis.kwon.runs import caption, default_runs, fisher_rows
from analysis.render.machines import each_machine
from analysis.render.output import Drawing, Item
from analysis.render.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    add_caption,
    add_legend,
    figure_style,
    new_figure,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from analysis.data.records import Record

PARTS = {
    "gradients": ("mask gradients", SKY, ""),
    "search": ("mask search", PURPLE, ""),
    "rearrange": ("rearrangement", ORANGE, "//////"),
    "tune": ("tuning", BLUE, ""),
}
UNSEEN = 0.002
"""Share of the axis below which a part of a bar is thinner than a line."""


def draw(group: Group, journal: Journal) -> list[Item]:
    """One figure a machine."""

    def make(name: str, groups: list[Group], device: str) -> Item | None:
        timed = [with_seconds for one in groups if (with_seconds := with_times(one))]
        if not timed:
            return None
        frame = seconds(timed)
        return Drawing(name, plot(frame), frame, f"{device}. {_disturbed(timed)}{caption(timed)}")

    return each_machine("kwon_seconds", default_runs(group.records), make)


def seconds(groups: list[Group]) -> pd.DataFrame:
    """A row a task: mean seconds of each stage and in all over its runs, with the least and the most in all."""
    rows = fisher_rows(groups, **{part: lambda record, part=part: of_stage(record, part) for part in PARTS})
    rows["total"] = rows[list(PARTS)].sum(axis=1)
    grouped = rows.groupby(["panel", "task"], sort=False, as_index=False)
    return grouped.agg(
        **{part: (part, "mean") for part in [*PARTS, "total"]},
        least=("total", "min"),
        most=("total", "max"),
        runs=("total", "size"),
    )


def _disturbed(groups: list[Group]) -> str:
    records = [record for group in groups for record in group.records]
    return disturbed_text(records, "In the means", list(PARTS))


def with_times(group: Group) -> Group | None:
    """Its runs that recorded seconds; None where none did."""
    members = [record for record in group.records if any(of_stage(record, part) for part in PARTS)]
    return replace(group, records=members) if members else None


def of_stage(record: Record, part: str) -> float:
    """Seconds of a stage; none where it did not run."""
    return float(record.metrics.get(f"seconds_{part}") or 0.0)


def plot(frame: pd.DataFrame) -> Figure:
    """A bar a task with the fastest and the slowest run, its mean and number of runs, and the published limit."""
    with figure_style():
        figure = new_figure(6.2, 1.25 + 0.3 * len(frame))
        axes = figure.subplots()
        axes.grid(False, axis="y")
        left = frame["total"] * 0
        for part, (label, color, hatch) in PARTS.items():
            axes.barh(
                frame["panel"], frame[part], left=left, color=color, hatch=hatch, edgecolor="white", linewidth=0.4,
                height=0.62, label=label if part not in unseen(frame) else "_",
            )  # fmt: skip
            left = left + frame[part]
        spread = [frame["total"] - frame["least"], frame["most"] - frame["total"]]
        axes.errorbar(frame["total"], frame["panel"], xerr=spread, fmt="none", ecolor=BLACK, elinewidth=0.8,
                      capsize=2.2, label="fastest to slowest run")  # fmt: skip
        for place, row in enumerate(frame.to_dict("records")):
            runs = f"{row['runs']:.0f} runs" if row["runs"] > 1 else "1 run"
            axes.annotate(f"{row['total']:.0f} s ({runs})", (row["most"], place), xytext=(4, 0), va="center",
                          textcoords="offset points", fontsize=7)  # fmt: skip
        limit = published.claim("kwon", "pruning time on one GPU, minutes")
        seconds_published = 60 * float(limit.strip("< "))
        axes.axvline(seconds_published, color=GREY, linewidth=1.0, linestyle=(0, (5, 2, 1, 2)),
                     label=f"published: {limit} minutes on one GPU")  # fmt: skip
        axes.set_xlim(0, 1.22 * max(seconds_published, frame["most"].max()))
        axes.invert_yaxis()
        axes.set_xlabel("seconds of pruning, mean of the runs")
        add_legend(figure, [axes])
        small = [f"{PARTS[part][0]} (at most {frame[part].max():.2g} s)" for part in unseen(frame)]
        words = f" Too short to be seen: {', '.join(small)}." if small else ""
        add_caption(figure, f"Without loading and evaluation, over all budgets and calibration draws.{words}")
    return figure


def unseen(frame: pd.DataFrame) -> list[str]:
    """Stages that take so little of every bar that they cannot be seen in it."""
    return [part for part in PARTS if frame[part].max() < UNSEEN * frame["most"].max()]
