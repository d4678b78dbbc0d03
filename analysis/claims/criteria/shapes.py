"""When does a claim of Xia et al. 2022 on the shape of pruned models hold? From the tables of kept units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.cofi.runs import default_runs, missed
from analysis.data.groups import Group
from analysis.data.kept_units import kept_rows
from analysis.data.loading import Journal
from analysis.intervals.estimates import Estimate
from analysis.intervals.replicates import estimate

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Cell = tuple[list[np.ndarray], list[np.ndarray]]
    """Profiles of a task's runs at one sparsity, and those of other tasks'."""

RUN = ["sparsity", "teacher", "seed"]
PERMUTATIONS = 1000


@criterion
def upper_layers(group: Group, journal: Journal) -> list[Outcome]:
    """Parameters kept in the lower half of the layers minus the upper half, in points of their share.

    The middle one of an odd number of layers counts for neither half.
    """
    outcomes = []
    for title, rows in _shapes(group, journal):
        halves = [(run, _halves(members)) for run, members in rows.groupby(RUN)]
        lower, upper = (sum(ends[place] for _, ends in halves) / len(halves) for place in (0, 1))
        own = estimate(_frame((run, low - high) for run, (low, high) in halves))
        outcomes.append(Outcome(own, f"{lower:.0f} against {upper:.0f} % kept", title))
    return outcomes


@criterion
def neurons_before_heads(group: Group, journal: Journal) -> list[Outcome]:
    """Per cent of FFN neurons gone minus that of heads, in points."""
    outcomes = []
    for title, rows in _shapes(group, journal):
        sums = rows.groupby([*RUN, "unit"])[["kept", "total"]].sum()
        gone = (100 * (1 - sums["kept"] / sums["total"])).unstack("unit")
        note = f"neurons {gone['neurons'].mean():.0f} %, heads {gone['heads'].mean():.0f} %"
        more = (gone["neurons"] - gone["heads"]).rename("value").reset_index()
        outcomes.append(Outcome(estimate(more), note, title))
    return outcomes


@criterion
def different_tasks(group: Group, journal: Journal) -> list[Outcome]:
    """Mean difference of kept shares from other tasks' models, less that between own seeds, in points.

    Over the heads and neurons of every layer, at the sparsities for which a task has two runs and another has one. The
    interval is a jackknife's over runs: it needs three of the task and two of others. Beside it stands the share of
    all ways to call as many runs the task's own that make at least this much difference.
    """
    shapes = {title: _profiles(rows) for title, rows in _shapes(group, journal)}
    outcomes = []
    for title, own in shapes.items():
        others = [profiles for name, profiles in shapes.items() if name != title]
        cells = []
        for sparsity, mine in own.items():
            theirs = [profile for profiles in others for profile in profiles.get(sparsity, [])]
            if len(mine) > 1 and theirs:
                cells.append((mine, theirs))
        if cells:
            numbers = " and ".join(str(sum(len(cell[side]) for cell in cells)) for side in (1, 0))
            near, far, p_value = within(cells), between(cells), permutation(cells)
            note = f"{far:.1f} against {near:.1f} between its own seeds, {numbers} runs, permutation p = {p_value:.2f}"
            outcomes.append(Outcome(jackknife(cells), note, title))
    return outcomes


def within(cells: Sequence[Cell]) -> float:
    """Mean distance between runs of the task, in points."""
    near = [_distance(pair) for mine, _ in cells for pair in combinations(mine, 2)]
    return sum(near) / len(near)


def between(cells: Sequence[Cell]) -> float:
    """Mean distance of runs of the task from those of others, in points."""
    far = [_distance(pair) for mine, theirs in cells for pair in product(mine, theirs)]
    return sum(far) / len(far)


def jackknife(cells: Sequence[Cell]) -> Estimate:
    """``between - within`` with its standard error from leaving out run by run, of the task and of others.

    Its degrees of freedom are those of the smaller of the two groups of runs. Without three runs of the task and two
    of others there is none, and so no interval.
    """
    import numpy as np

    value = between(cells) - within(cells)
    numbers = [sum(len(cell[side]) for cell in cells) for side in (0, 1)]
    if any(len(mine) < 3 or len(theirs) < 2 for mine, theirs in cells):
        return Estimate(value, of="seeds")
    variance = 0.0
    for side, number in enumerate(numbers):
        left = []
        for place, cell in enumerate(cells):
            for run in range(len(cell[side])):
                fewer = list(cell)
                fewer[side] = [one for other, one in enumerate(cell[side]) if other != run]
                rest = [*cells[:place], (fewer[0], fewer[1]), *cells[place + 1 :]]
                left.append(between(rest) - within(rest))
        variance += (number - 1) * float(np.var(left))
    runs = min(numbers)
    return Estimate(value, runs, math.sqrt(variance * runs), of="seeds")


def permutation(cells: Sequence[Cell]) -> float:
    """p-value of ``between - within`` over all ways to choose as many runs of each sparsity for the task's own; of more
    than a thousand, over a thousand at random beside the one that was seen."""
    import numpy as np

    seen = between(cells) - within(cells)
    pools = [[*mine, *theirs] for mine, theirs in cells]
    ways = [list(combinations(range(len(pool)), len(mine))) for pool, (mine, _) in zip(pools, cells, strict=True)]

    def as_large(chosen: Sequence[tuple[int, ...]]) -> bool:
        drawn = [
            ([pool[i] for i in own], [pool[i] for i in range(len(pool)) if i not in own])
            for pool, own in zip(pools, chosen, strict=True)
        ]
        return between(drawn) - within(drawn) >= seen - 1e-9

    if math.prod(map(len, ways)) <= PERMUTATIONS:
        hits = [as_large(chosen) for chosen in product(*ways)]
        return sum(hits) / len(hits)
    generator = np.random.default_rng(0)
    hits = [as_large([one[generator.integers(len(one))] for one in ways]) for _ in range(PERMUTATIONS)]
    return (1 + sum(hits)) / (1 + len(hits))


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


def _halves(rows: pd.DataFrame) -> tuple[float, float]:
    """Per cent kept in the lower and in the upper half of the layers."""
    shares = layer_shares(rows)
    half = len(shares) // 2
    return float(100 * shares.iloc[:half].mean()), float(100 * shares.iloc[-half:].mean())


def _frame(values: Iterable[tuple[Any, float]]) -> pd.DataFrame:
    """A value a run."""
    import pandas as pd

    return pd.DataFrame([dict(zip(RUN, run, strict=True)) | {"value": value} for run, value in values])


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
