"""When do claims on the speed of the code hold? From rounds of `benchmark`, over sessions."""

from __future__ import annotations

import re

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.data.columns import columns
from analysis.data.groups import Group
from analysis.data.loading import Journal, read_tables
from analysis.intervals.medians import error_of_median
from analysis.intervals.positive import Positive, over_sessions, timed

REPEATS = columns("benchmark", "repeats", "comparison", "ratio")
COMPARISON = re.compile(r"(?P<shape>.+), batch (?P<batch>\d+): hand-built")


@criterion
def beside_hand_built(group: Group, journal: Journal, *, batch: int) -> list[Outcome]:
    """Per cent of the speed of a plain model of the same shape: an outcome a shape, over the runs that timed it, with
    the rounds of a single one as what is known of it."""
    sessions: dict[str, list[Positive]] = {}
    for _, table in read_tables(group.records, "repeats", REPEATS, journal):
        for comparison, rounds in table.groupby("comparison", sort=False):
            match = COMPARISON.fullmatch(str(comparison))
            if match and int(match["batch"]) == batch:
                low, middle, high = rounds["ratio"].astype(float).quantile([0.25, 0.5, 0.75])
                error = error_of_median(low, high, len(rounds))
                sessions.setdefault(match["shape"], []).append(timed(middle, error / middle, len(rounds)))
    return [Outcome(over_sessions(own), subject=shape) for shape, own in sessions.items()]
