"""Where the time goes: seconds of each stage of pruning, a bar a task."""

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
from analysis.render.style import BLUE, ORANGE, PURPLE, SKY, add_caption, figure_style, new_figure

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


def draw(group: Group, journal: Journal) -> list[Item]:
    """One figure a machine."""

    def make(name: str, groups: list[Group], device: str) -> Item | None:
        timed = [with_seconds for one in groups if (with_seconds := with_times(one))]
        if not timed:
            return None
        frame = seconds(timed)
        return Drawing(name, plot(frame, f"{device}. {_disturbed(timed)}{caption(timed)}"), frame)

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


def plot(frame: pd.DataFrame, words: str) -> Figure:
    with figure_style():
        figure = new_figure(5.2, 1.15 + 0.3 * len(frame))
        axes = figure.subplots()
        axes.grid(False, axis="y")
        left = frame["total"] * 0
        for part, (label, color, hatch) in PARTS.items():
            axes.barh(
                frame["panel"], frame[part], left=left, color=color, hatch=hatch, edgecolor="white", linewidth=0.4,
                height=0.62, label=label,
            )  # fmt: skip
            left = left + frame[part]
        for place, total in enumerate(frame["total"]):
            axes.annotate(f"{total:.1f} s", (total, place), xytext=(3, 0), textcoords="offset points", fontsize=7,
                          va="center")  # fmt: skip
        axes.set_xlim(0, 1.12 * frame["total"].max())
        axes.invert_yaxis()
        axes.set_xlabel("seconds")
        figure.legend(loc="outside upper center", ncols=4, columnspacing=1.2, handlelength=1.4)
        limit = published.claim("kwon", "pruning time on one GPU, minutes")
        runs = int(frame["runs"].max())
        mean = f"Mean of {runs} runs" if frame["runs"].nunique() == 1 else f"Mean of up to {runs} runs"
        add_caption(
            figure, f"{mean if runs > 1 else 'One run'}, without loading and evaluation. "
            f"Published: {limit} minutes on one GPU. {words}",
        )  # fmt: skip
    return figure
