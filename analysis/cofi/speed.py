"""What the pruned models are worth on this machine: points against the teacher, and measured speed-up."""

from __future__ import annotations

from dataclasses import replace
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from analysis.cofi import published
from analysis.cofi.panels import any_missed, draw_structures, structure_label
from analysis.cofi.runs import SEEDS, caption, cofi_means, cofi_rows, default_runs, missed_text, structure
from analysis.data.averages import unpruned
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.quiet import CROSS, comparable_latencies, disturbed_text
from analysis.data.marks.trivial import accuracy_words
from analysis.data.timings import (
    NO_SPREAD,
    add_timings,
    of_timed,
    shape_text,
    timed_columns,
    timed_text,
    timings,
)
from analysis.render.curves import mark_disturbed, outlined, signs_text
from analysis.render.machines import each_machine
from analysis.render.output import Drawing, Item
from analysis.render.panels import draw_panels, unpruned_row
from analysis.render.style import GREY, metric_range

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TICKS = (1, 2, 4, 8, 16, 32, 64)
PUBLISHED_CURVE, PUBLISHED_OTHERS = "published: CoFi", "published: others"


def draw(group: Group, journal: Journal) -> list[Item]:
    """One figure a machine."""

    def make(name: str, groups: list[Group], device: str) -> Item | None:
        frame = curves(groups, journal)
        return None if frame is None else Drawing(name, plot(frame), frame, words(frame, groups, device))

    return each_machine("cofi_speed", default_runs(group.records, free=["structure"]), make)


def words(frame: pd.DataFrame, groups: list[Group], device: str) -> str:
    records = [record for group in groups for record in comparable_latencies(group.records)]
    starred = missed_text(frame, "Starred", structure_label)
    measured = f"Changes are against the teacher. Measured over it in PyTorch at {shape_text(frame)}, on {device}. "
    measured += NO_SPREAD.rstrip()
    marks = timed_text(frame) + disturbed_text(records, CROSS) + accuracy_words(frame)
    return f"{starred}{_left_out_text(frame)}{measured} {marks}{caption(groups)}"


def curves(groups: list[Group], journal: Journal) -> pd.DataFrame | None:
    """A row a task, structure and requested sparsity, one a task for the teacher, and the published ones.

    A score is the mean of all runs, timed or not: one that was timed alone may be the luckiest of them.
    ``value`` and ``trivial`` are in points against the teacher, ``score`` in per cent; times are at the largest batch.
    """
    import pandas as pd

    parts, cell = [], ["panel", "task", "series", "requested"]
    for group in groups:
        rows = add_timings(cofi_rows([group], series=structure), timings(group.records, journal))
        rows = of_timed(rows, cell)
        if rows.empty:
            continue
        drawn = replace(group, records=[record for record in group.records if record.run_id in set(rows["run_id"])])
        rows["trivial"] -= rows["value"] - rows["change"]
        rows = rows.assign(score=rows["value"], value=rows["change"])
        parts.append(cofi_means(rows, cell, ["score", *timed_columns(rows)]))
        metric = str(rows["metric"].iloc[0])
        where = {"panel": drawn.title, "task": drawn.records[0].task, "metric": metric}
        parts += [pd.DataFrame([where | _teacher(drawn)]), _published(drawn, metric).assign(**where)]
    return pd.concat([part for part in parts if len(part)], ignore_index=True) if parts else None


def plot(frame: pd.DataFrame) -> Figure:
    letters = letters_of(frame)

    def panel(axes: Axes, rows: pd.DataFrame) -> None:
        axes.margins(y=0.1)  # letters stand below their points
        _draw_published(axes, rows, letters)
        teacher = unpruned_row(rows)["score"]
        lowest, highest = metric_range(str(rows["metric"].iloc[0]))
        draw_structures(axes, rows, "speedup", limits=(lowest - teacher, highest - teacher))
        mark_disturbed(axes, rows, "speedup")
        axes.set_xscale("log", base=2)
        most = max(2.0, rows["speedup"].max())
        axes.set_xlim(min(0.93, 0.93 * rows["speedup"].min()), 1.2 * most)
        ticks = [tick for tick in TICKS if tick <= 1.2 * most]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()

    theirs = frame["series"].isin([PUBLISHED_CURVE, PUBLISHED_OTHERS]).any()
    label = "speed-up, each on its own machine (x)" if theirs else "measured speed-up (x)"
    key = f"{any_missed(frame)}{signs_text(frame)}{_published_text(frame, letters)}"
    return draw_panels(
        frame, label, panel, key, drawn_anew=SEEDS, y="change (points)", intervals="Bars",
        size=(3.6, 2.2),
    )


def letters_of(frame: pd.DataFrame) -> dict[str, str]:
    """A letter for every published model other than CoFi that is drawn."""
    drawn = set(frame.loc[frame["series"] == PUBLISHED_OTHERS, "method"]) if "method" in frame else set()
    methods = [name for name in dict.fromkeys(published.others()["method"]) if name in drawn]
    return dict(zip(methods, ascii_lowercase, strict=False))


def _teacher(group: Group) -> dict[str, Any]:
    whole = unpruned(group.records)
    ends = {name: whole[name] - whole["value"] for name in ("value", "low", "high", "trivial")}
    return {"series": "unpruned", "speedup": 1.0, "change": 0.0, "score": whole["value"], **whole, **ends}


def _published(group: Group, metric: str) -> pd.DataFrame:
    """The paper's points of the same task; none where it has another metric."""
    import pandas as pd

    task = group.records[0].task
    frames = {PUBLISHED_CURVE: published.curve(), PUBLISHED_OTHERS: published.others()}
    both = pd.concat([frame.assign(series=series) for series, frame in frames.items()], ignore_index=True)
    same = both["task"] == (task if published.METRICS.get(task) == metric else "")
    return both[same].assign(value=both["change"])


def _draw_published(axes: Axes, rows: pd.DataFrame, letters: dict[str, str]) -> None:
    curve, others = (rows[rows["series"] == series] for series in (PUBLISHED_CURVE, PUBLISHED_OTHERS))
    if len(curve):
        axes.plot(curve["speedup"], curve["value"], color=GREY, linewidth=0.9, marker="+", markersize=5,
                  label="CoFi, published: BERT-base, V100")  # fmt: skip
    if len(others):
        axes.plot(others["speedup"], others["value"], color=GREY, linestyle="", marker=".", markersize=4,
                  label="others, published")  # fmt: skip
    for row in others.itertuples():
        left = "without" in str(row.method)  # beside its namesake, often at the same place
        axes.annotate(letters[str(row.method)], (row.speedup, row.value), xytext=(-2.5 if left else 2.5, -2),
                      textcoords="offset points", fontsize=6.5, color="#555555", ha="right" if left else "left",
                      va="top", zorder=4, path_effects=outlined())  # fmt: skip


def _published_text(frame: pd.DataFrame, letters: dict[str, str]) -> str:
    """What the grey points are."""
    if not (frame["series"] == PUBLISHED_CURVE).any():
        return ""
    named = ", ".join(f"{letter} {name}" for name, letter in letters.items())
    return f"Grey: published, against their own teachers{': ' if named else ''}{named}."


def _left_out_text(frame: pd.DataFrame) -> str:
    """Which tasks the paper has with another metric."""
    overlaid = frame.loc[frame["series"] == PUBLISHED_CURVE, "task"]
    left_out = sorted({*frame["task"]} & {*published.curve()["task"]} - {*overlaid})
    return f"Published with another metric: {', '.join(left_out)}. " if len(overlaid) and left_out else ""
