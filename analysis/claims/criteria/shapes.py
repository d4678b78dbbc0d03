"""When does a claim of Xia et al. 2022 on the shape of pruned models hold? From the tables of kept units."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.cofi.runs import default_runs, missed
from analysis.data.groups import Group
from analysis.data.kept_units import kept_rows
from analysis.data.loading import Journal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

RUN = ["sparsity", "teacher", "seed"]


@criterion
def upper_layers(group: Group, journal: Journal) -> list[Outcome]:
    """Parameters kept in the lower half of the layers minus the upper half, in points of their share; holds above 0.

    The middle one of an odd number of layers counts for neither half.
    """
    outcomes = []
    for title, rows in _shapes(group, journal):
        shares = layer_shares(rows)
        half = len(shares) // 2
        lower, upper = 100 * shares.iloc[:half].mean(), 100 * shares.iloc[-half:].mean()
        note = f"{lower:.0f} against {upper:.0f} % kept, {_runs(rows)}"
        outcomes.append(Outcome(lower - upper, lower > upper, note, title))
    return outcomes


@criterion
def neurons_before_heads(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of FFN neurons gone, beside that of heads; holds where more neurons than heads go."""
    outcomes = []
    for title, rows in _shapes(group, journal):
        sums = rows.groupby("unit")[["kept", "total"]].sum()
        gone = 100 * (1 - sums["kept"] / sums["total"])
        note = f"heads {gone['heads']:.0f} %, {_runs(rows)}"
        outcomes.append(Outcome(gone["neurons"], gone["neurons"] > gone["heads"], note, title))
    return outcomes


@criterion
def different_tasks(group: Group, journal: Journal) -> list[Outcome]:
    """Mean difference of kept shares from other tasks' models; holds where it exceeds that between own seeds.

    Over the heads and neurons of every layer, at all sparsities for which a task has two runs and another has one.
    """
    shapes = {title: _profiles(rows) for title, rows in _shapes(group, journal)}
    outcomes = []
    for title, own in shapes.items():
        others = [profiles for name, profiles in shapes.items() if name != title]
        within, between = [], []
        for sparsity, mine in own.items():
            theirs = [profile for profiles in others for profile in profiles.get(sparsity, [])]
            if len(mine) > 1 and theirs:
                within += [_distance(pair) for pair in combinations(mine, 2)]
                between += [_distance(pair) for pair in product(mine, theirs)]
        if between:
            far, near = sum(between) / len(between), sum(within) / len(within)
            note = f"{near:.1f} between its own seeds, {len(between)} and {len(within)} pairs"
            outcomes.append(Outcome(far, far > near, note, title))
    return outcomes


def layer_shares(rows: pd.DataFrame) -> pd.Series:
    """The share of a layer's parameters whose head or neuron is kept, by layer, the mean over runs.

    A head has the parameters of ``4 x hidden x head size``, a neuron of ``2 x hidden``; all heads together are as
    wide as the model. Kept hidden dimensions cut every layer alike, so that they change nothing here.
    """
    wide = rows.pivot_table(index="layer", columns="unit", values=["kept", "total"], aggfunc="mean")
    neurons = wide["total"]["neurons"]
    width = rows.loc[rows["unit"] == "hidden", "total"].max()
    attention = 4 * width * wide["kept"]["heads"] / wide["total"]["heads"]
    return (attention + 2 * wide["kept"]["neurons"]).div(4 * width + 2 * neurons).dropna().sort_index()


def _shapes(group: Group, journal: Journal) -> list[tuple[str, pd.DataFrame]]:
    """The kept units of each task's learned runs that reached their target."""
    groups = default_runs([record for record in group.records if not missed(record)])
    tables = [(one.title, kept_rows(one, "sparsity", journal)) for one in groups]
    return [(title, rows) for title, rows in tables if rows is not None]


def _profiles(rows: pd.DataFrame) -> dict[float, list[np.ndarray]]:
    """The kept shares of every run in one order, by sparsity."""
    units = rows[rows["unit"].isin(["heads", "neurons"])]
    units = units.assign(share=units["kept"] / units["total"])
    wide = units.pivot_table(index=RUN, columns=["unit", "layer"], values="share").sort_index(axis=1)
    profiles: dict[float, list[np.ndarray]] = {}
    for sparsity, members in wide.groupby(level="sparsity"):
        profiles[float(str(sparsity))] = list(members.to_numpy())
    return profiles


def _distance(pair: Iterable[np.ndarray]) -> float:
    """Mean absolute difference in points."""
    first, second = pair
    return float(100 * abs(first - second).mean())


def _runs(rows: pd.DataFrame) -> str:
    number = len(rows[RUN].drop_duplicates())
    return f"{number} run{'s' * (number > 1)}"
