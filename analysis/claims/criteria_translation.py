"""When does a claim of Michel et al. 2019 on translation hold? One function a claim, judged per teacher.

As in :mod:`analysis.claims.criteria_michel`, whose functions judge the claims that the paper makes of both models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.michel import fig1b, fig3b, fig5, table3

if TYPE_CHECKING:
    import pandas as pd

WITHOUT_LOSS = 0.2
"""Share of the heads that the paper prunes without noticeable loss (Sec. 4.2, Fig. 3a)."""
ENCODER, CROSS, DECODER = "enc-enc", "enc-dec", "dec-dec"
MOSTLY_PRUNED = 0.8
"""Share of a kind's heads beyond the 60 % from which the paper's Fig. 4 sees encoder-decoder attention fail."""
CATASTROPHE, MOST = 50, 80
"""Per cent of BLEU: less than the first is a catastrophe, the second is most of it (the paper's 30 of 36.05 is 83)."""
DYNAMICS_SHARE, DYNAMICS_KEPT = 0.4, 85
"""Sec. 6, Fig. 5: this share of all heads can go while this many per cent of the BLEU stay."""
DYNAMICS_GAIN = 10
"""Per cent of BLEU that must stay more at the end than at the beginning for redundancy to have appeared."""


def single_heads(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of encoder self-attention heads without a significant change when removed alone; holds above 50 %."""
    outcomes = []
    for teacher, heads in _effects(group, journal).items():
        own = heads[heads["kind"] == ENCODER]
        unchanged, all_unchanged = int((~own["significant"]).sum()), int((~heads["significant"]).sum())
        note = f"{unchanged} of {len(own)} enc-enc heads, {all_unchanged} of {len(heads)} of all kinds"
        outcomes.append(Outcome(100 * unchanged / len(own), unchanged > len(own) / 2, note, teacher))
    return outcomes


def improvements(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of encoder self-attention heads with a significant change whose removal raises BLEU.

    Holds from a quarter to three quarters; not judged where no change is significant.
    """
    outcomes = []
    for teacher, heads in _effects(group, journal).items():
        found = heads[(heads["kind"] == ENCODER) & heads["significant"]]
        if len(found):
            better = int((found["delta_points"] > 0).sum())
            share = better / len(found)
            outcomes.append(Outcome(100 * share, 0.25 <= share <= 0.75, f"{better} of {len(found)} heads", teacher))
    return outcomes


def last_cross_layer(group: Group, journal: Journal, protocol: str) -> list[Outcome]:
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


def most_sensitive(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of BLEU that encoder-decoder attention keeps less than the worse of the other kinds, pruned alone.

    A mean over all shares between none and all; holds if positive.
    """
    outcomes = []
    for teacher, curves in _kinds(group, journal).items():
        kept = {kind: float(curve[(curve.index > 0) & (curve.index < 1)].mean()) for kind, curve in curves.items()}
        difference = min(kept[ENCODER], kept[DECODER]) - kept[CROSS]
        note = "kept on average: " + ", ".join(f"{kind} {kept[kind]:.0f} %" for kind in (ENCODER, CROSS, DECODER))
        outcomes.append(Outcome(difference, difference > 0, note, teacher))
    return outcomes


def catastrophe(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of BLEU left with 80 % of encoder-decoder heads pruned; holds below 50."""
    return [
        Outcome(kept[CROSS], kept[CROSS] < CATASTROPHE, subject=teacher)
        for teacher, kept in _mostly_pruned(group, journal).items()
    ]


def bearable(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of BLEU left with 80 % of encoder or decoder self-attention heads pruned, lower one; from 80 on."""
    outcomes = []
    for teacher, kept in _mostly_pruned(group, journal).items():
        lower = min(kept[ENCODER], kept[DECODER])
        note = ", ".join(f"{kind} {kept[kind]:.0f} %" for kind in (ENCODER, DECODER))
        outcomes.append(Outcome(lower, lower >= MOST, note, teacher))
    return outcomes


def late_redundancy(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of BLEU left with 40 % of all heads pruned after the last epoch; holds from 85 on."""
    outcomes = []
    for teacher, kept in _dynamics(group, journal).items():
        failing = kept.index[kept < DYNAMICS_KEPT]
        since = kept.index[kept.index > failing.max()] if len(failing) else kept.index
        from_epoch = f"; at least {DYNAMICS_KEPT} % from epoch {since[0]} on" if len(since) else ""
        outcomes.append(Outcome(float(kept.iloc[-1]), bool(len(since)), f"epoch {kept.index[-1]}{from_epoch}", teacher))
    return outcomes


def early_need(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of BLEU left with 40 % of all heads pruned after the first epoch that scores at all.

    Holds below 85, if the last epoch leaves at least 10 per cent of BLEU more.
    """
    outcomes = []
    for teacher, kept in _dynamics(group, journal).items():
        if len(kept) > 1:
            first, last = float(kept.iloc[0]), float(kept.iloc[-1])
            note = f"epoch {kept.index[0]}; {last:.0f} % after epoch {kept.index[-1]}"
            holds = first < DYNAMICS_KEPT and last - first >= DYNAMICS_GAIN
            outcomes.append(Outcome(first, holds, note, teacher))
    return outcomes


def _effects(group: Group, journal: Journal) -> dict[str, pd.DataFrame]:
    effects = fig1b.single_head_effects(group, journal)
    return {} if effects is None else {str(teacher): rows for teacher, rows in effects.groupby("teacher")}


def _kinds(group: Group, journal: Journal) -> dict[str, dict[str, pd.Series]]:
    """BLEU in per cent of the unpruned by share pruned of one kind by importance, of teachers with all kinds."""
    found: dict[str, dict[str, pd.Series]] = {}
    for kind in (ENCODER, CROSS, DECODER):
        points = fig3b.replicates([r for r in group.records if r.config.get("kinds") == [kind]], journal)
        if points is not None:
            for teacher, rows in points[points["order"] == "importance"].groupby("teacher"):
                curve = rows.groupby("share")["value"].mean().sort_index()
                if 0.0 in curve.index and curve[0.0] > 0:
                    found.setdefault(str(teacher), {})[kind] = 100 * curve / curve[0.0]
    return {teacher: curves for teacher, curves in found.items() if len(curves) == 3}


def _mostly_pruned(group: Group, journal: Journal) -> dict[str, dict[str, float]]:
    """What each kind keeps with 80 % of its heads pruned, of teachers whose curves have that share."""
    found = {}
    for teacher, curves in _kinds(group, journal).items():
        if all(MOSTLY_PRUNED in curve.index for curve in curves.values()):
            found[teacher] = {kind: float(curve[MOSTLY_PRUNED]) for kind, curve in curves.items()}
    return found


def _dynamics(group: Group, journal: Journal) -> dict[str, pd.Series]:
    """BLEU in per cent of the unpruned model's by epoch, with 40 % of all heads pruned; epochs without any left out."""
    points = fig5.replicates(group, journal)
    if points is None:
        return {}
    there = points[(points["share"] == DYNAMICS_SHARE) & points["relative"].notna()]
    found = there.groupby(["teacher", "epoch"])["relative"].mean()
    return {teacher: found[teacher] for teacher in found.index.unique("teacher")}
