"""When does a claim of Michel et al. 2019 on translation hold? Judged over teachers, from records alone.

The claims that the paper makes of BERT as well are judged by :mod:`analysis.claims.criteria.michel`.
"""

from __future__ import annotations

import math
from typing import Any

from analysis.claims.claim import Outcome
from analysis.claims.criteria.curves import Curve, curves_of
from analysis.claims.criteria.head_changes import layer_changes, single_head_changes
from analysis.claims.registry import criterion
from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.trivial import trivial_score
from analysis.intervals.estimates import over_runs, share_of
from analysis.intervals.replicates import beside, of_teachers
from analysis.intervals.row_errors import ScoreOnRows, Scores
from analysis.michel import fig5

ENCODER, CROSS, DECODER = "enc-enc", "enc-dec", "dec-dec"
DYNAMICS = columns("head_dynamics", "points", "epoch", "share", "value", "low", "high")


@criterion
def improvements(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of encoder self-attention heads with a significant change whose removal raises BLEU.

    Of each teacher with Wilson's interval over these heads; not judged where no change is significant.
    """
    from prunekit.support.statistics import accuracy_band

    changes = single_head_changes(group, journal)
    if changes is None:
        return []
    shares, notes = {}, []
    significant = changes[(changes["kind"] == ENCODER) & changes["significant"]]
    for teacher, heads in significant.groupby("teacher"):
        better = (heads["delta_points"] > 0).to_numpy()
        band = accuracy_band(better)
        shares[str(teacher)] = (100 * float(band.low), 100 * float(band.value), 100 * float(band.high))
        notes.append(f"{better.sum()} of {len(better)} heads")
    if not shares:
        return []
    most = int(significant.groupby("teacher").size().max())
    effect = share_of(list(shares.values()), "heads", most, "heads")
    return [Outcome(effect, ", ".join(notes), members=tuple(shares))]


@criterion
def last_cross_layer(group: Group, journal: Journal, *, protocol: str) -> list[Outcome]:
    """Change in points with one head left in the last layer of encoder-decoder attention, less that of the worst other
    layer of any kind: of all of them, so that the interval is corrected for their number."""
    changes = layer_changes(group, journal)
    if changes is None:
        return []
    values, errors, notes, others = {}, [], [], 1
    for teacher, rows in changes[changes["protocol"] == protocol].groupby("teacher"):
        *rest, last = rows.assign(cross=rows["kind"] == CROSS).sort_values(["cross", "layer"]).to_dict("records")
        worst = min(rest, key=lambda row: float(row["delta_points"]))
        values[str(teacher)] = float(last["delta_points"] - worst["delta_points"])
        errors.append(math.hypot(last["error"], worst["error"]))
        ends = f"{last['delta_points']:+z.2f} against {worst['delta_points']:+z.2f}"
        notes.append(f"{ends}, {worst['kind']} {worst['layer']}")
        others = len(rest)
    if not values:
        return []
    rows_at_hand = max(item.rows for record in group.records for item in record.data if item.role == "evaluation")
    by = str(changes["by"].iloc[0])
    own = over_runs(list(values.values()), sum(errors) / len(errors), rows_at_hand, by)
    return [Outcome(own, "; ".join(notes), members=tuple(values), cells=others)]


@criterion
def most_sensitive(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of BLEU that encoder-decoder attention keeps less than the worse of the other kinds, pruned alone.

    A mean over all shares between none and all.
    """
    values, scores, notes = {}, [], []
    for teacher, curves in _kinds(group, journal).items():
        kept = {kind: _kept(curve) for kind, curve in curves.items()}
        inner = sorted(set.intersection(*({s for s in of if 0 < s < 1} for of in kept.values())))
        if not inner:
            continue
        mean = {kind: sum(of[share] for share in inner) / len(inner) for kind, of in kept.items()}
        worse = min((ENCODER, DECODER), key=lambda kind: mean[kind])
        values[teacher] = mean[worse] - mean[CROSS]
        kinds = ", ".join(f"{kind} {mean[kind]:.0f} %" for kind in (ENCODER, CROSS, DECODER))
        notes.append(f"kept on average: {kinds}")
        ends = [curves[kind].of(0.0)[0] for kind in (worse, CROSS)]
        scores += [[curves[worse].of(share)[0], ends[0], curves[CROSS].of(share)[0], ends[1]] for share in inner]
    if not values:
        return []
    own = of_teachers(values, scores, _more_left)
    return [Outcome(own, "; ".join(notes), members=tuple(values))]


@criterion
def catastrophe(group: Group, journal: Journal, *, pruned: float) -> list[Outcome]:
    """Per cent of BLEU left with ``pruned`` per cent of the encoder-decoder heads gone."""
    return _left(group, journal, pruned / 100, (CROSS,))


@criterion
def bearable(group: Group, journal: Journal, *, pruned: float) -> list[Outcome]:
    """Per cent of BLEU left with ``pruned`` per cent of the heads of encoder or decoder gone, the lower one."""
    return _left(group, journal, pruned / 100, (ENCODER, DECODER))


@criterion
def late_redundancy(group: Group, journal: Journal, *, pruned: float, keep: float) -> list[Outcome]:
    """Per cent of BLEU left with ``pruned`` per cent of all heads gone after the last epoch: more than ``keep``, and
    more than after the first epoch that has learnt something, or it has nothing to do with being late."""
    late, margins, differences, scores, notes = {}, {}, {}, [], []
    for teacher, epochs in _dynamics(group, journal, pruned / 100).items():
        (first, early), (last, own) = min(epochs.items()), max(epochs.items())
        late[teacher] = _percent(*own)
        margins[teacher] = max(keep, _percent(*early)) if last > first else keep
        differences[teacher] = late[teacher] - margins[teacher]
        scores.append([*own, *early])
        notes.append(f"epoch {last}; {_percent(*early):.0f} % after epoch {first}")
    if not late:
        return []
    least = max(margins.values()) == keep  # then the margin is the same whatever the rows
    apart = of_teachers(differences, scores, _left_alone if least else _more_left)
    own_estimate, margin = beside(late, margins, apart)
    return [Outcome(own_estimate, "; ".join(notes), members=tuple(late), margin=margin)]


@criterion
def early_need(group: Group, journal: Journal, *, pruned: float) -> list[Outcome]:
    """Per cent of BLEU that pruning ``pruned`` per cent of all heads leaves more after the last epoch than after the
    first that has learnt something."""
    values, scores, notes = {}, [], []
    for teacher, epochs in _dynamics(group, journal, pruned / 100).items():
        (first, early), (last, late) = min(epochs.items()), max(epochs.items())
        if last > first:
            values[teacher] = _percent(*late) - _percent(*early)
            scores.append([*late, *early])
            notes.append(f"{_percent(*early):.0f} % after epoch {first}, {_percent(*late):.0f} % after epoch {last}")
    if not values:
        return []
    own = of_teachers(values, scores, _more_left)
    return [Outcome(own, "; ".join(notes), members=tuple(values))]


def _more_left(pruned: Any, whole: Any, other_pruned: Any, other_whole: Any) -> Any:
    """In per cent of the unpruned."""
    return 100 * (pruned / whole - other_pruned / other_whole)


def _left_alone(pruned: Any, whole: Any, *_: Any) -> Any:
    return 100 * pruned / whole


def _left(group: Group, journal: Journal, share: float, kinds: tuple[str, ...]) -> list[Outcome]:
    """What the most sensitive of some kinds keeps with a share of its heads pruned."""
    values, scores, notes = {}, [], []
    for teacher, curves in _kinds(group, journal).items():
        if all(share in curve for curve in curves.values()):
            kept = {kind: _kept(curves[kind])[share] for kind in kinds}
            lowest = min(kinds, key=lambda kind: kept[kind])
            values[teacher] = kept[lowest]
            scores.append([curves[lowest].of(share)[0], curves[lowest].of(0.0)[0]])
            notes.append(", ".join(f"{kind} {kept[kind]:.0f} %" for kind in kinds) if len(kinds) > 1 else "")
    if not values:
        return []
    own = of_teachers(values, scores, _left_alone)
    return [Outcome(own, "; ".join(filter(None, notes)), members=tuple(values))]


def _kinds(group: Group, journal: Journal) -> dict[str, dict[str, Curve]]:
    """The curve by importance of each kind pruned alone, of teachers with all kinds."""
    by_teacher: dict[str, dict[str, Curve]] = {}
    for kind in (ENCODER, CROSS, DECODER):
        records = [record for record in group.records if record.config.get("kinds") == [kind]]
        for teacher, curve in curves_of(records, journal, order="importance").items():
            if 0.0 in curve and curve[0.0] > 0:
                by_teacher.setdefault(teacher, {})[kind] = curve
    return {teacher: curves for teacher, curves in by_teacher.items() if len(curves) == 3}


def _kept(curve: Curve) -> dict[float, float]:
    """Per cent of the unpruned by share."""
    return {share: 100 * curve[share] / curve[0.0] for share in curve.shares}


def _dynamics(group: Group, journal: Journal, share: float) -> dict[str, dict[int, tuple[ScoreOnRows, ScoreOnRows]]]:
    """The pruned and the unpruned model of every epoch that has a curve in Fig. 5, by teacher: what a model keeps that
    has learnt next to nothing says nothing."""
    by_teacher: dict[str, dict[int, tuple[ScoreOnRows, ScoreOnRows]]] = {}
    unpruned: dict[int, list[float]] = {}
    for record, table in read_tables(group.records, "points", DYNAMICS, journal):
        scores, epochs = Scores(record, journal), by_teacher.setdefault(teacher_of(record), {})
        for epoch, rows in table.groupby("epoch"):
            points = {float(row["share"]): scores.of(row, epoch=int(row["epoch"]), share=float(row["share"]))
                      for row in rows.to_dict("records")}  # fmt: skip
            if share in points and 0.0 in points and int(str(epoch)) not in epochs:
                epochs[int(str(epoch))] = points[share], points[0.0]
                unpruned.setdefault(int(str(epoch)), []).append(points[0.0].value)
    means = {epoch: sum(values) / len(values) for epoch, values in unpruned.items()}
    poor = fig5.unlearnt(means, trivial_score(group.records[0]))
    learnt = {
        teacher: {epoch: ends for epoch, ends in epochs.items() if epoch not in poor and ends[1].value > 0}
        for teacher, epochs in sorted(by_teacher.items())
    }
    return {teacher: epochs for teacher, epochs in learnt.items() if epochs}


def _percent(pruned: ScoreOnRows, whole: ScoreOnRows) -> float:
    return 100 * pruned.value / whole.value
