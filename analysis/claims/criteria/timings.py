"""When does a claim on the speed of one model hold? Its own repeats say how sure a median is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.intervals.estimates import Largest, fixed
from analysis.intervals.positive import Positive
from analysis.michel import table4

if TYPE_CHECKING:
    import pandas as pd


@criterion
def large_batch_gain(group: Group, journal: Journal, *, batch: int) -> list[Outcome]:
    """Best gain in per cent with half of the heads removed, at ``batch`` or more."""
    frame = _half_pruned(group, journal)
    if frame is None or not (frame["batch_size"] >= batch).any():
        return []
    large = frame[frame["batch_size"] >= batch]
    best = large.sort_values("gain").iloc[-1]
    note = f"batch {best['batch_size']}, length {best['length']}"
    return [Outcome(Largest(_gains(large)), note, cells=len(large))]


@criterion
def batch_one_gain(group: Group, journal: Journal) -> list[Outcome]:
    """Gain in per cent with half of the heads removed at batch 1."""
    frame = _half_pruned(group, journal)
    if frame is None or not (frame["batch_size"] == 1).any():
        return []
    one = frame[frame["batch_size"] == 1].iloc[:1]
    return [Outcome(_gains(one)[0], f"length {one['length'].iloc[0]}")]


@criterion
def attention_share(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of all parameters that sit in attention: counted."""
    outcomes = {}
    for record in group.records:
        share = record.metrics.get("attention_parameter_share")
        if share is not None:
            layers = record.metrics.get("attention_share_of_layers")
            note = f"without embeddings {100 * layers:.1f} %" if layers is not None else ""
            outcomes[share] = Outcome(fixed(100 * share), note)
    return list(outcomes.values())


def _gains(rows: pd.DataFrame) -> list[Positive]:
    return [table4.gain_of(row) for row in rows.to_dict("records")]


def _half_pruned(group: Group, journal: Journal) -> pd.DataFrame | None:
    """The removed variant at half of the heads, at length 128 (as released) or else the longest."""
    frame = table4.gains(group, journal)
    if frame is None:
        return None
    frame = frame[(frame["variant"] == "pruned") & (frame["share"] == table4.PUBLISHED_SHARE)]
    if frame.empty:
        return None
    lengths = set(frame["length"])
    return frame[frame["length"] == (128 if 128 in lengths else max(lengths))]
