"""When does a claim of Michel et al. 2019 on translation hold? Judged per teacher, from records alone.

The claims that the paper makes of BERT as well are judged by :mod:`analysis.claims.criteria.michel`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.criteria.michel import one_head_layers
from analysis.claims.registry import criterion
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.michel import fig1b, fig3b, fig5, table3

if TYPE_CHECKING:
    import pandas as pd

ENCODER, CROSS, DECODER = "enc-enc", "enc-dec", "dec-dec"


@criterion
def single_heads(group: Group, journal: Journal, *, above: float) -> list[Outcome]:
    """Per cent of encoder self-attention heads without a significant change when removed alone."""
    outcomes = []
    for teacher, heads in _effects(group, journal).items():
        own = heads[heads["kind"] == ENCODER]
        unchanged, all_unchanged = int((~own["significant"]).sum()), int((~heads["significant"]).sum())
        note = f"{unchanged} of {len(own)} enc-enc heads, {all_unchanged} of {len(heads)} of all kinds"
        percent = 100 * unchanged / len(own)
        outcomes.append(Outcome(percent, percent > above, note, teacher))
    return outcomes


@criterion
def improvements(group: Group, journal: Journal, *, low: float, high: float) -> list[Outcome]:
    """Per cent of encoder self-attention heads with a significant change whose removal raises BLEU.

    Holds from ``low`` to ``high``; not judged where no change is significant.
    """
    outcomes = []
    for teacher, heads in _effects(group, journal).items():
        significant = heads[(heads["kind"] == ENCODER) & heads["significant"]]
        if len(significant):
            better = int((significant["delta_points"] > 0).sum())
            percent = 100 * better / len(significant)
            outcomes.append(Outcome(percent, low <= percent <= high, f"{better} of {len(significant)} heads", teacher))
    return outcomes


@criterion
def half_of_layers(group: Group, journal: Journal, *, protocol: str, at_least: float) -> list[Outcome]:
    """As :func:`analysis.claims.criteria.michel.one_head_layers`, but half is enough."""
    outcomes = one_head_layers(group, journal, protocol=protocol, above=at_least)
    return [replace(outcome, holds=outcome.number >= at_least) for outcome in outcomes]


@criterion
def last_cross_layer(group: Group, journal: Journal, *, protocol: str) -> list[Outcome]:
    """Change in points with one head left in the last layer of encoder-decoder attention.

    Holds if it is a significant loss, and larger than that of any other layer of any kind.
    """
    layers = table3.kept_one_head(group, journal)
    if layers is None:
        return []
    outcomes = []
    for teacher, rows in layers[layers["protocol"] == protocol].groupby("teacher"):
        *others, last = rows.assign(cross=rows["kind"] == CROSS).sort_values(["cross", "layer"]).to_dict("records")
        worst = min(others, key=lambda row: float(row["delta_points"]))
        holds = last["significant"] and last["delta_points"] < min(0, worst["delta_points"])
        note = f"worst of the others {worst['delta_points']:+.2f}, {worst['kind']} {worst['layer']}"
        outcomes.append(Outcome(float(last["delta_points"]), bool(holds), note, str(teacher)))
    return outcomes


@criterion
def most_sensitive(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of BLEU that encoder-decoder attention keeps less than the worse of the other kinds, pruned alone.

    A mean over all shares between none and all; holds if positive.
    """
    outcomes = []
    for teacher, curves in _kinds(group, journal).items():
        bleu = {kind: float(curve[(curve.index > 0) & (curve.index < 1)].mean()) for kind, curve in curves.items()}
        difference = min(bleu[ENCODER], bleu[DECODER]) - bleu[CROSS]
        note = "kept on average: " + ", ".join(f"{kind} {bleu[kind]:.0f} %" for kind in (ENCODER, CROSS, DECODER))
        outcomes.append(Outcome(difference, difference > 0, note, teacher))
    return outcomes


@criterion
def catastrophe(group: Group, journal: Journal, *, pruned: float, below: float) -> list[Outcome]:
    """Per cent of BLEU left with ``pruned`` per cent of the encoder-decoder heads gone."""
    return [
        Outcome(bleu[CROSS], bleu[CROSS] < below, subject=teacher)
        for teacher, bleu in _remaining(group, journal, pruned / 100).items()
    ]


@criterion
def bearable(group: Group, journal: Journal, *, pruned: float, at_least: float) -> list[Outcome]:
    """Per cent of BLEU left with ``pruned`` per cent of the heads of encoder or decoder gone, the lower one."""
    outcomes = []
    for teacher, bleu in _remaining(group, journal, pruned / 100).items():
        lower = min(bleu[ENCODER], bleu[DECODER])
        note = ", ".join(f"{kind} {bleu[kind]:.0f} %" for kind in (ENCODER, DECODER))
        outcomes.append(Outcome(lower, lower >= at_least, note, teacher))
    return outcomes


@criterion
def late_redundancy(group: Group, journal: Journal, *, pruned: float, at_least: float) -> list[Outcome]:
    """Per cent of BLEU left with ``pruned`` per cent of all heads gone after the last epoch."""
    outcomes = []
    for teacher, bleu in _dynamics(group, journal, pruned / 100).items():
        failing = bleu.index[bleu < at_least]
        since = bleu.index[bleu.index > failing.max()] if len(failing) else bleu.index
        from_epoch = f"; at least {at_least} % from epoch {since[0]} on" if len(since) else ""
        outcomes.append(Outcome(float(bleu.iloc[-1]), bool(len(since)), f"epoch {bleu.index[-1]}{from_epoch}", teacher))
    return outcomes


@criterion
def early_need(group: Group, journal: Journal, *, pruned: float, below: float, gain: float) -> list[Outcome]:
    """Per cent of BLEU left with ``pruned`` per cent of all heads gone after the first epoch that scores at all.

    Holds ``below``, if the last epoch leaves at least ``gain`` per cent of BLEU more.
    """
    outcomes = []
    for teacher, bleu in _dynamics(group, journal, pruned / 100).items():
        if len(bleu) > 1:
            first, last = float(bleu.iloc[0]), float(bleu.iloc[-1])
            note = f"epoch {bleu.index[0]}; {last:.0f} % after epoch {bleu.index[-1]}"
            holds = first < below and last - first >= gain
            outcomes.append(Outcome(first, holds, note, teacher))
    return outcomes


def _effects(group: Group, journal: Journal) -> dict[str, pd.DataFrame]:
    effects = fig1b.single_head_effects(group, journal)
    return {} if effects is None else {str(teacher): rows for teacher, rows in effects.groupby("teacher")}


def _kinds(group: Group, journal: Journal) -> dict[str, dict[str, pd.Series]]:
    """BLEU in per cent of the unpruned by share pruned of one kind by importance, of teachers with all kinds."""
    by_teacher: dict[str, dict[str, pd.Series]] = {}
    for kind in (ENCODER, CROSS, DECODER):
        points = fig3b.replicates([r for r in group.records if r.config.get("kinds") == [kind]], journal)
        if points is not None:
            for teacher, rows in points[points["order"] == "importance"].groupby("teacher"):
                curve = rows.groupby("share")["value"].mean().sort_index()
                if 0.0 in curve.index and curve[0.0] > 0:
                    by_teacher.setdefault(str(teacher), {})[kind] = 100 * curve / curve[0.0]
    return {teacher: curves for teacher, curves in by_teacher.items() if len(curves) == 3}


def _remaining(group: Group, journal: Journal, share: float) -> dict[str, dict[str, float]]:
    """What each kind keeps with a share of its heads pruned, of teachers whose curves have that share."""
    by_teacher = {}
    for teacher, curves in _kinds(group, journal).items():
        if all(share in curve.index for curve in curves.values()):
            by_teacher[teacher] = {kind: float(curve[share]) for kind, curve in curves.items()}
    return by_teacher


def _dynamics(group: Group, journal: Journal, share: float) -> dict[str, pd.Series]:
    """BLEU in per cent of the unpruned model's by epoch, with a share of all heads pruned; epochs without any left out.
    """
    points = fig5.replicates(group, journal)
    if points is None:
        return {}
    there = points[(points["share"] == share) & points["relative"].notna()]
    bleu = there.groupby(["teacher", "epoch"])["relative"].mean()
    return {teacher: bleu[teacher] for teacher in bleu.index.unique("teacher")}
