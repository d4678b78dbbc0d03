"""When does a claim of Michel et al. 2019 hold? Judged per teacher, from records alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.data.groups import Group, of_all_kinds, teacher_of
from analysis.data.loading import Journal
from analysis.michel import fig1b, fig2b, fig3b, table3, table4

if TYPE_CHECKING:
    import pandas as pd

ATTENTION_SHARE = 1 / 3


@criterion
def single_heads(group: Group, journal: Journal, *, above: float) -> list[Outcome]:
    """Per cent of heads without a significant change when removed alone."""
    effects = fig1b.single_head_effects(group, journal)
    if effects is None:
        return []
    outcomes = []
    for teacher, heads in effects.groupby("teacher"):
        unchanged, after_bh = int((~heads["significant"]).sum()), int((~heads["significant_bh"]).sum())
        note = f"{unchanged} of {len(heads)} heads, {after_bh} after Benjamini-Hochberg"
        percent = 100 * unchanged / len(heads)
        outcomes.append(Outcome(percent, percent > above, note, str(teacher)))
    return outcomes


@criterion
def one_head_layers(group: Group, journal: Journal, *, protocol: str, above: float) -> list[Outcome]:
    """Per cent of layers whose best single head loses nothing significant.

    A significant gain is no loss.
    """
    layers = table3.kept_one_head(group, journal)
    if layers is None:
        return []
    outcomes = []
    for teacher, rows in layers[layers["protocol"] == protocol].groupby("teacher"):
        fine = int((~(rows["significant"] & (rows["delta_points"] < 0))).sum())
        note = f"{fine} of {len(rows)} layers"
        percent = 100 * fine / len(rows)
        outcomes.append(Outcome(percent, percent > above, note, str(teacher)))
    return outcomes


@criterion
def transfer(group: Group, journal: Journal, *, level: float) -> list[Outcome]:
    """Pearson's r of single-head effects on two evaluation sets; holds if positive with p below the level."""
    effects = fig2b.effects(group, journal)
    if effects is None:
        return []
    outcomes = []
    for teacher, rows in effects.groupby("teacher"):
        r, p = float(rows["pearson_r"].iloc[0]), float(rows["p_value"].iloc[0])
        note = f"{rows['first'].iloc[0]} and {rows['second'].iloc[0]}"
        if not math.isnan(r):  # undefined where no head has any effect
            outcomes.append(Outcome(r, r > 0 and p < level, note, str(teacher)))
    return outcomes


@criterion
def prunable(group: Group, journal: Journal, *, percent: float) -> list[Outcome]:
    """Largest share (per cent) up to which every point of the importance order stays in the sampling band.

    The band is the unpruned model's own 95 % sampling interval; holds from ``percent`` of the heads on.
    """
    claimed, outcomes = percent / 100, []
    for teacher, curve in _curves(group, journal, "importance").items():
        record = next(r for r in group.records if teacher_of(r) == teacher)
        inside = curve >= 100 * float(record.metrics["baseline_low"])
        failing = inside.index[~inside]
        reached = inside.index[inside.index < failing[0]] if len(failing) else inside.index
        largest = float(reached.max()) if len(reached) else 0.0
        if len(failing) == 0 and largest < claimed - 1e-9:
            continue  # the records stop before the claim begins
        if largest == 1:
            continue  # no head matters: the model does not use attention, so the claim has no content
        outcomes.append(Outcome(100 * largest, largest >= claimed - 1e-9, subject=teacher))
    return outcomes


@criterion
def importance_beats_oracle(group: Group, journal: Journal, *, beyond: float) -> list[Outcome]:
    """Mean advantage in points of importance over the oracle order, above ``beyond`` and below 100 per cent pruned."""
    importance, oracle = _curves(group, journal, "importance"), _curves(group, journal, "oracle")
    both = sorted(importance.keys() & oracle.keys())
    outcomes = [(teacher, advantage(importance[teacher], oracle[teacher], beyond / 100)) for teacher in both]
    return [replace(outcome, subject=teacher) for teacher, outcome in outcomes if outcome is not None]


def advantage(importance: pd.Series, oracle: pd.Series, beyond: float) -> Outcome | None:
    """Mean difference of two curves (metric by share) above a share; None where they share no point there."""
    both = (importance - oracle).dropna()
    there = both[(both.index > beyond + 1e-9) & (both.index < 1 - 1e-9)]
    if there.empty:
        return None
    note = f"better at {(there > 0).sum()} of {len(there)} shares"
    return Outcome(float(there.mean()), bool(there.mean() > 0), note)


@criterion
def large_batch_gain(group: Group, journal: Journal, *, batch: int, at_least: float) -> list[Outcome]:
    """Best gain in per cent with half of the heads removed, at ``batch`` or more."""
    frame = _half_pruned(group, journal)
    if frame is None or not (frame["batch_size"] >= batch).any():
        return []
    large = frame[frame["batch_size"] >= batch]
    best = large.sort_values("gain").iloc[-1]
    note = f"batch {best['batch_size']}, length {best['length']}"
    return [Outcome(100 * best["gain"], best["gain"] >= at_least / 100, note)]


@criterion
def batch_one_gain(group: Group, journal: Journal, *, below: float) -> list[Outcome]:
    """Gain in per cent with half of the heads removed at batch 1."""
    frame = _half_pruned(group, journal)
    if frame is None or not (frame["batch_size"] == 1).any():
        return []
    one = frame[frame["batch_size"] == 1].iloc[0]
    return [Outcome(100 * one["gain"], one["gain"] < below / 100, f"length {one['length']}")]


@criterion
def attention_share(group: Group, journal: Journal, *, within: float) -> list[Outcome]:
    """Per cent of all parameters that sit in attention; holds ``within`` so many points of a third."""
    outcomes = {}
    for record in group.records:
        share = record.metrics.get("attention_parameter_share")
        if share is not None:
            layers = record.metrics.get("attention_share_of_layers")
            note = f"without embeddings {100 * layers:.1f} %" if layers is not None else ""
            outcomes[share] = Outcome(100 * share, abs(share - ATTENTION_SHARE) <= within / 100, note)
    return list(outcomes.values())


def _curves(group: Group, journal: Journal, order: str) -> dict[str, pd.Series]:
    """Metric in per cent by share, the mean over seeds, for each teacher."""
    points = fig3b.replicates(of_all_kinds(group).records, journal)
    if points is None:
        return {}
    chosen = points[points["order"] == order]
    return {
        teacher: chosen[chosen["teacher"] == teacher].groupby("share")["value"].mean().sort_index()
        for teacher in sorted(set(chosen["teacher"]))
    }


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
