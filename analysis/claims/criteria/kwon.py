"""When does a claim of Kwon et al. 2022 hold? Judged per task, from records alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.kwon import comparisons, latency, macs
from analysis.kwon import seconds as kwon_seconds
from analysis.kwon.runs import default_runs, fisher_rows, option

if TYPE_CHECKING:
    import pandas as pd

@criterion
def fewer_macs(group: Group, journal: Journal, *, at_least: float) -> list[Outcome]:
    """Largest reduction of MACs with less than one point lost, mean over runs; rounded to a digit, as printed."""
    frame = macs.curves(default_runs(group.records))
    return [
        _reached(rows, 100 / rows["remaining_percent"], at_least, digits=1)
        for _, rows in frame[frame["series"] == "pruned"].groupby("panel", sort=False)
    ]


@criterion
def faster(group: Group, journal: Journal, *, at_least: float) -> list[Outcome]:
    """Largest measured speed-up with less than one point lost, whatever the budget; to two digits, as printed."""
    frame = latency.curves(default_runs(group.records, free=["budget"]), journal)
    if frame is None:
        return []
    pruned = frame[frame["series"] != "unpruned"]
    return [
        _reached(rows, rows["speedup"], at_least, digits=2)
        for _, rows in pruned.groupby("panel", sort=False)
    ]


@criterion
def seconds(group: Group, journal: Journal, *, below: float) -> list[Outcome]:
    """Mean seconds of pruning."""
    frame = kwon_seconds.seconds(default_runs(group.records))
    return [
        Outcome(row["total"], row["total"] < below, subject=row["panel"])
        for row in frame.to_dict("records")
    ]


@criterion
def predicted_labels(group: Group, journal: Journal, *, above: float) -> list[Outcome]:
    """Mean change in points when predicted labels replace gold ones in the same run."""
    outcomes = []
    for one in comparisons.compared(group, "labels"):
        rows = fisher_rows([one], labels=lambda record: option(record, "labels"))
        cells = rows.pivot_table(index=["constraint", "teacher", "seed"], columns="labels", values="value").dropna()
        if len(cells):
            differences = cells["predicted"] - cells["gold"]
            note = f"{len(cells)} pairs, {differences.min():+.1f} to {differences.max():+.1f}"
            outcomes.append(Outcome(differences.mean(), differences.mean() > above, note, one.title))
    return outcomes


def _reached(rows: pd.DataFrame, ratios: pd.Series, published: float, *, digits: int) -> Outcome:
    """The largest of ``ratios`` among the rows that lose less than one point, against the published one."""
    title = str(rows["panel"].iloc[0])
    inside = ratios[rows["within_1_point"]]
    if inside.empty:
        lost = rows["change"].to_numpy()[ratios.to_numpy().argmin()]
        return Outcome(math.nan, False, f"{lost:+.1f} points at {ratios.min():.{digits}f} x", title)
    row = rows[rows["within_1_point"]].iloc[inside.to_numpy().argmax()]
    return Outcome(inside.max(), round(inside.max(), digits) >= published, f"{row['change']:+.1f} points", title)
