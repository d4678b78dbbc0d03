"""When does a claim of Kwon et al. 2022 hold? One function a claim, judged per task, from records alone.

A function returns one :class:`~analysis.claims.claim.Outcome` a task, or an empty list when the records cannot tell.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.kwon import comparisons, latency, macs
from analysis.kwon import seconds as kwon_seconds
from analysis.kwon.runs import TOLERANCE, default_runs, fisher_rows, option

if TYPE_CHECKING:
    import pandas as pd

MACS, SPEEDUP, MINUTES = 2.0, 1.56, 3.0
"""The paper's headlines (abstract)."""


def fewer_macs(group: Group, journal: Journal) -> list[Outcome]:
    """Largest reduction of MACs with less than one point lost, mean over runs; holds from 2.0 (as printed) on."""
    frame = macs.curves(default_runs(group.records))
    return [
        _reached(rows, 100 / rows["remaining_percent"], MACS, digits=1)
        for _, rows in frame[frame["series"] == "pruned"].groupby("panel", sort=False)
    ]


def faster(group: Group, journal: Journal) -> list[Outcome]:
    """Largest measured speed-up with less than one point lost, whatever the budget; holds from 1.56 on."""
    frame = latency.curves(default_runs(group.records, free=["budget"]), journal)
    if frame is None:
        return []
    pruned = frame[frame["series"] != "unpruned"]
    return [
        _reached(rows, rows["speedup"], SPEEDUP, digits=2)
        for _, rows in pruned.groupby("panel", sort=False)
    ]


def seconds(group: Group, journal: Journal) -> list[Outcome]:
    """Mean seconds of pruning; holds below three minutes."""
    frame = kwon_seconds.seconds(default_runs(group.records))
    return [
        Outcome(row["total"], row["total"] < 60 * MINUTES, subject=row["panel"])
        for row in frame.to_dict("records")
    ]


def predicted_labels(group: Group, journal: Journal) -> list[Outcome]:
    """Mean change in points when predicted labels replace gold ones in the same run; holds above minus one."""
    outcomes = []
    for one in comparisons.compared(group, "labels"):
        rows = fisher_rows([one], labels=lambda record: option(record, "labels"))
        cells = rows.pivot_table(index=["constraint", "teacher", "seed"], columns="labels", values="value").dropna()
        if len(cells):
            differences = cells["predicted"] - cells["gold"]
            note = f"{len(cells)} pairs, {differences.min():+.1f} to {differences.max():+.1f}"
            outcomes.append(Outcome(differences.mean(), differences.mean() > -TOLERANCE, note, one.title))
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
