"""When does a claim of Michel et al. 2019 hold? Judged over teachers, from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.criteria.curves import curves_of, pairs
from analysis.claims.criteria.head_changes import layer_changes, single_head_changes
from analysis.claims.registry import criterion
from analysis.data.groups import Group, of_all_kinds
from analysis.data.loading import Journal
from analysis.intervals.estimates import Estimate, share_of
from analysis.intervals.replicates import of_teachers
from analysis.intervals.row_errors import difference
from analysis.michel import fig2b

if TYPE_CHECKING:
    import pandas as pd


@criterion
def single_heads(group: Group, journal: Journal, *, loss: float, kind: str) -> list[Outcome]:
    """Per cent of the heads of a kind of attention whose removal alone costs less than ``loss`` points.

    A head counts if the 95 % interval of its change lies above, does not if it lies below, and may be either if
    neither: equivalence, because a change that is not significant need not be small.
    """
    changes = single_head_changes(group, journal)
    if changes is None:
        return []
    own = changes[changes["kind"] == kind]
    if own.empty:
        return []
    share, words = shares(own, -loss)
    different, all_of_them = int(own["significant"].sum()), len(own)
    note = f"{words}; {different} of {all_of_them} changes with p < 0.01"
    effect = share_of(list(share.values()), "heads", _per_teacher(own), by=_by(own))
    return [Outcome(effect, note, members=tuple(share))]


@criterion
def one_head_layers(group: Group, journal: Journal, *, protocol: str, loss: float) -> list[Outcome]:
    """Per cent of layers whose best single head loses less than ``loss`` points, counted as heads are.

    A head that is chosen on the evaluation rows is the best of its layer by these rows: its interval is corrected for
    all of them.
    """
    changes = layer_changes(group, journal)
    if changes is None:
        return []
    own = changes[changes["protocol"] == protocol]
    if own.empty:
        return []
    share, words = shares(own, -loss)
    effect = share_of(list(share.values()), "layers", _per_teacher(own), by=_by(own))
    return [Outcome(effect, words, members=tuple(share))]


@criterion
def transfer(group: Group, journal: Journal) -> list[Outcome]:
    """Spearman's correlation of single-head effects on two evaluation sets; of one teacher its bootstrap over heads.

    Of ranks, because Pearson's may be made by a few heads.
    """
    from prunekit.support.statistics import spearman, spearman_error

    effects = fig2b.effects(group, journal)
    if effects is None:
        return []
    values, errors, notes = {}, [], []
    for teacher, rows in effects.groupby("teacher"):
        first, second = rows["first_delta_points"].to_numpy(), rows["second_delta_points"].to_numpy()
        correlation = spearman(first, second)
        if correlation == correlation:  # undefined where no head has any effect
            values[str(teacher)] = correlation
            errors.append(spearman_error(first, second))
            notes.append(f"Pearson {rows['pearson_r'].iloc[0]:.2f}")
    if not values:
        return []
    both = f"{effects['first'].iloc[0]} and {effects['second'].iloc[0]}; {', '.join(notes)}"
    own = of_teachers(values)
    if len(values) == 1:
        own = Estimate(own.value, rows_error=errors[0], rows=len(effects), rows_of="heads")
    return [Outcome(own, both, members=tuple(values))]


@criterion
def prunable(group: Group, journal: Journal, *, percent: float) -> list[Outcome]:
    """Change in points with ``percent`` of the heads removed in the order of importance."""
    values, scores = {}, []
    for teacher, curve in curves_of(of_all_kinds(group).records, journal, order="importance").items():
        if percent / 100 in curve and 0.0 in curve and not curve.useless:
            values[teacher] = 100 * (curve[percent / 100] - curve[0.0])
            scores += pairs(curve, percent / 100, curve, 0.0)
    if not values:
        return []
    return [Outcome(of_teachers(values, scores, difference), _each(values), members=tuple(values))]


@criterion
def importance_beats_oracle(group: Group, journal: Journal, *, beyond: float) -> list[Outcome]:
    """Mean advantage in points of importance over the oracle order, above ``beyond`` and below 100 per cent pruned."""
    records = of_all_kinds(group).records
    importance, oracle = (curves_of(records, journal, order=order) for order in ("importance", "oracle"))
    values, scores = {}, []
    for teacher in sorted(importance.keys() & oracle.keys()):
        ours, theirs = importance[teacher], oracle[teacher]
        mean = advantage(ours.series(), theirs.series(), beyond / 100)
        if mean is not None:
            values[teacher] = 100 * mean.number
            for share in mean.shares:
                scores += pairs(ours, share, theirs, share)
    if not values:
        return []
    return [Outcome(of_teachers(values, scores, difference), _each(values), members=tuple(values))]


@dataclass(frozen=True)
class Advantage:
    """Of one curve over another."""

    number: float
    """Mean difference."""
    shares: tuple[float, ...]
    """At which."""
    better: int
    """At how many of them."""

    @property
    def note(self) -> str:
        return f"better at {self.better} of {len(self.shares)} shares"


def advantage(importance: pd.Series, oracle: pd.Series, beyond: float) -> Advantage | None:
    """Mean difference of two curves (metric by share) above a share; None where they share no point there."""
    both = (importance - oracle).dropna()
    there = both[(both.index > beyond + 1e-9) & (both.index < 1 - 1e-9)]
    if there.empty:
        return None
    return Advantage(float(there.mean()), tuple(map(float, there.index)), int((there > 0).sum()))


def shares(units: pd.DataFrame, margin: float) -> tuple[dict[str, tuple[float, float, float]], str]:
    """Of each teacher the per cent of units that lie above the margin: surely, as it seems, at most; and in words."""
    of_teacher, words = {}, []
    for teacher, own in units.groupby("teacher"):
        number = len(own)
        surely, lost = int((own["low"] > margin).sum()), int((own["high"] <= margin).sum())
        seen = int((own["delta_points"] > margin).sum())
        of_teacher[str(teacher)] = (100 * surely / number, 100 * seen / number, 100 * (number - lost) / number)
        words.append(f"{surely} of {number} surely, {lost} surely not")
    return of_teacher, "; ".join(dict.fromkeys(words))


def _per_teacher(units: pd.DataFrame) -> int:
    return int(units.groupby("teacher").size().max())


def _by(units: pd.DataFrame) -> str:
    """What all intervals were taken by; of answers of some teachers only, nothing."""
    return str(units["by"].iloc[0]) if units["by"].nunique() == 1 else ""


def _each(values: Mapping[str, float]) -> str:
    """The number of every teacher, if there are several."""
    return "each " + ", ".join(f"{value:+z.1f}" for value in values.values()) if len(values) > 1 else ""
