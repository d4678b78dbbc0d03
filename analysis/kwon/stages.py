"""What each stage adds: points over the mask search alone, after rearrangement and after tuning, run by run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.data.averages import resampled_text, unpruned
from analysis.data.columns import columns
from analysis.data.frames import means
from analysis.data.groups import Group
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.trivial import ACCURACY, AT_CHANCE, accuracy_words
from analysis.kwon.runs import DRAWS, caption, default_runs, fisher_rows
from analysis.render.curves import DARK, SINGLE, any_single, draw_series
from analysis.render.output import Drawing, Item
from analysis.render.panels import MACS_LEFT, WIDEST, unpruned_row
from analysis.render.points_axis import is_near, scale, scale_text
from analysis.render.style import (
    PRUNING_STAGES,
    add_caption,
    add_legend,
    figure_style,
    metric_name,
    panel_grid,
    panel_title,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.data.records import Record

FIRST = "search"
"""The stage that the others are held to."""
SHIFTS = {"rearrange": -0.6, "tune": 0.6}
"""Per cent of MACs that points of a stage are set aside by, so that intervals do not hide one another."""
SIZE = (2.15, 1.75)
STAGES = columns("prune_fisher", "stages", "stage", "metric", "value")


def draw(group: Group, journal: Journal) -> list[Item]:
    groups = default_runs(group.records)
    frame = curves(groups, journal)
    if frame is None:
        return []
    return [Drawing("kwon_stages", plot(frame), frame, accuracy_words(frame) + caption(groups))]


def curves(groups: list[Group], journal: Journal) -> pd.DataFrame | None:
    """A row a task, stage and constraint: ``value`` in points over the mask search of the same run, the mean with its
    interval, ``score`` in per cent and ``change`` to the unpruned model, which has rows of its own."""
    import pandas as pd

    parts = []
    for group in groups:
        values = {run: own for run, own in stage_values(group.records, journal).items() if FIRST in own}
        for stage in (stage for stage in PRUNING_STAGES if any(stage in by_stage for by_stage in values.values())):
            members = [record for record in group.records if stage in values.get(record.run_id, {})]
            rows = fisher_rows([Group(members, group.label)], run_id=lambda record: record.run_id)
            first, after = at_stage(rows, values, FIRST), at_stage(rows, values, stage)
            rows = after.assign(score=after["value"], value=after["value"] - first["value"])
            parts.append(means(rows, ["panel", "task", "constraint"], ["remaining_percent", "change", "score"]))
            parts[-1].insert(2, "series", stage)
            if stage == FIRST:
                whole = unpruned(group.records)
                dense = parts[-1].assign(series="unpruned", value=-parts[-1]["change"], change=0.0, low=float("nan"))
                dense = dense.assign(high=float("nan"), score=whole["value"], trivial=whole["trivial"])
        if values:
            parts.append(dense.assign(accuracy=float("nan"), at_chance=whole["at_chance"]))
    return pd.concat(parts, ignore_index=True) if parts else None


def stage_values(records: list[Record], journal: Journal) -> dict[str, dict[str, tuple[float, float]]]:
    """The metric and the accuracy (NaN where the table has none) by stage, for each run id."""
    values = {}
    for record, table in read_tables(records, "stages", STAGES, journal):
        own = table[table["metric"] == str(record.metrics.get("metric", table["metric"].iloc[0]))]
        numbers = own.reindex(columns=["value", ACCURACY]).astype(float).to_numpy()
        stages = zip(own["stage"].astype(str), numbers, strict=True)
        values[record.run_id] = {stage: (float(value), float(accuracy)) for stage, (value, accuracy) in stages}
    return values


def at_stage(rows: pd.DataFrame, values: dict[str, dict[str, tuple[float, float]]], stage: str) -> pd.DataFrame:
    """Rows of :func:`~analysis.kwon.runs.fisher_rows` (with ``run_id``) with metric and accuracy as after ``stage``."""
    dense = rows["value"] - rows["change"]
    known = {run: by_stage[stage] for run, by_stage in values.items() if stage in by_stage}
    after = 100 * rows["run_id"].map({run: value for run, (value, _) in known.items()}).astype(float)
    accuracy = 100 * rows["run_id"].map({run: share for run, (_, share) in known.items()}).astype(float)
    return rows.assign(value=after, change=after - dense, **{ACCURACY: accuracy})


def plot(frame: pd.DataFrame) -> Figure:
    """A panel a task. The mask search is the line at 0; what the unpruned model and one answer to all score is said."""
    panels = [(str(title), rows) for title, rows in frame.groupby("panel", sort=False)]
    with figure_style():
        figure, all_axes = panel_grid(len(panels), width=SIZE[0], height=SIZE[1], columns=int(WIDEST / SIZE[0]))
        for axes, (title, rows) in zip(all_axes, panels, strict=True):
            _panel(axes, rows, title)
        add_legend(figure, all_axes)
        add_caption(figure, key(frame))
    return figure


def key(frame: pd.DataFrame) -> str:
    """How to read the figure."""
    drawn = frame[frame["series"].isin(SHIFTS)]
    over = resampled_text(drawn, DRAWS)
    words = [f"Means of differences run by run; bars: their 95 % interval over {over}." if over else ""]
    words += [SINGLE if any_single(drawn) else "", "Each stage builds on the one before."]
    words += [scale_text([str(title) for title, rows in frame.groupby("panel", sort=False)
                          if not is_near(_shown(rows))])]  # fmt: skip
    return " ".join(filter(None, words))


def _panel(axes: Axes, rows: pd.DataFrame, title: str) -> None:
    whole, first = unpruned_row(rows), PRUNING_STAGES[FIRST]
    known = "" if math.isnan(whole["trivial"]) else f", one answer to all {whole['trivial']:.1f}"
    axes.set_title(panel_title(f"{title} ({AT_CHANCE})" if whole["at_chance"] else title)
                   + f"\nunpruned {whole['score']:.1f}{known}", fontsize=7)  # fmt: skip
    axes.axhline(0, color=first.color, linewidth=1.3, label=f"{first.label} (line at 0)", zorder=2)
    dense = rows[rows["series"] == "unpruned"]
    axes.plot(dense["remaining_percent"], dense["value"], linestyle="", marker="_", markersize=9, color=DARK,
              label="unpruned", zorder=2)  # fmt: skip
    for stage, aside in SHIFTS.items():
        own = rows[rows["series"] == stage]
        if len(own):
            places = own.assign(remaining_percent=own["remaining_percent"] + aside)
            draw_series(axes, places, "remaining_percent", PRUNING_STAGES[stage], bars=True, limits=(-200.0, 200.0))
    axes.set_xlim(rows["remaining_percent"].min() - 4, 102)
    scale(axes, _shown(rows))
    axes.set_xlabel(MACS_LEFT)
    axes.set_ylabel(f"{metric_name(str(whole['metric']))}, points")


def _shown(rows: pd.DataFrame) -> list[float]:
    """All that a panel must show."""
    return [float(value) for value in rows[["value", "low", "high"]].to_numpy().ravel() if not math.isnan(value)]
