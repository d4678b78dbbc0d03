"""What each stage adds: the metric after the mask search alone, after rearrangement, and after tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.averages import unpruned
from analysis.data.columns import columns
from analysis.data.frames import means
from analysis.data.groups import Group
from analysis.data.loading import Journal, read_tables
from analysis.kwon.runs import DRAWS, caption, default_runs, fisher_rows
from analysis.render.curves import draw_series
from analysis.render.output import Drawing, Item
from analysis.render.panels import MACS_LEFT, draw_panels
from analysis.render.style import PRUNING_STAGES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.data.records import Record

SHIFTS = {"search": -1.2, "rearrange": 0.0, "tune": 1.2}
"""Per cent of MACs that points of a stage are set aside by, so that intervals do not hide one another."""
STAGES = columns("prune_fisher", "stages", "stage", "metric", "value")


def draw(group: Group, journal: Journal) -> list[Item]:
    groups = default_runs(group.records)
    frame = curves(groups, journal)
    if frame is None:
        return []
    return [Drawing("kwon_stages", plot(frame), frame, caption(groups))]


def curves(groups: list[Group], journal: Journal) -> pd.DataFrame | None:
    """A row a task, stage and constraint, in per cent; ``change`` is to the unpruned model, in points."""
    import pandas as pd

    parts = []
    for group in groups:
        values = stage_values(group.records, journal)
        stages = [stage for stage in PRUNING_STAGES if any(stage in by_stage for by_stage in values.values())]
        for stage in stages:
            members = [record for record in group.records if stage in values.get(record.run_id, {})]
            rows = fisher_rows([Group(members, group.label)], run_id=lambda record: record.run_id)
            rows = at_stage(rows, values, stage)
            parts.append(means(rows, ["panel", "task", "constraint"], ["remaining_percent", "change"]))
            parts[-1].insert(2, "series", stage)
        if stages:
            dense = {"panel": group.title, "task": group.records[0].task, "metric": parts[-1]["metric"].iloc[0]}
            dense |= {"series": "unpruned", "remaining_percent": 100.0, "change": 0.0} | unpruned(group.records)
            parts.append(pd.DataFrame([dense]))
    return pd.concat(parts, ignore_index=True) if parts else None


def stage_values(records: list[Record], journal: Journal) -> dict[str, dict[str, float]]:
    """The metric by stage, for each run id."""
    values = {}
    for record, table in read_tables(records, "stages", STAGES, journal):
        own = table[table["metric"] == str(record.metrics.get("metric", table["metric"].iloc[0]))]
        values[record.run_id] = {str(stage): float(value) for stage, value in own[["stage", "value"]].to_numpy()}
    return values


def at_stage(rows: pd.DataFrame, values: dict[str, dict[str, float]], stage: str) -> pd.DataFrame:
    """Rows of :func:`~analysis.kwon.runs.fisher_rows` (with ``run_id``) with the metric as it was after ``stage``."""
    dense = rows["value"] - rows["change"]
    after = 100 * rows["run_id"].map({run: by_stage[stage] for run, by_stage in values.items() if stage in by_stage})
    return rows.assign(value=after, change=after - dense)


def plot(frame: pd.DataFrame) -> Figure:
    def panel(axes: Axes, rows: pd.DataFrame) -> None:
        for stage, look in PRUNING_STAGES.items():
            curve = rows[rows["series"] == stage]
            if len(curve):
                draw_series(axes, curve.assign(remaining_percent=curve["remaining_percent"] + SHIFTS[stage]),
                            "remaining_percent", look, bars=True)  # fmt: skip

    key = "Each stage builds on the one before; points of one budget are set apart sideways."
    return draw_panels(frame, MACS_LEFT, panel, key, drawn_anew=DRAWS, intervals="Bars")
