"""When does a claim of Xia et al. 2022 hold? Judged per task, from records alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.cofi import distillation as cofi_distillation
from analysis.cofi import units
from analysis.cofi.pairs import CELL, paired
from analysis.cofi.runs import cofi_rows, default_runs, structure
from analysis.data.groups import Group
from analysis.data.loading import Journal

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record

@criterion
def faster(group: Group, journal: Journal, *, above: float) -> list[Outcome]:
    """Mean measured speed-up at the largest batch."""
    return [
        Outcome(rows["speedup"].mean(), rows["speedup"].mean() > above, _runs(rows), title)
        for title, rows in _tasks(group)
    ]


@criterion
def kept_score(group: Group, journal: Journal, *, above: float) -> list[Outcome]:
    """Mean per cent of the teacher's score."""
    outcomes = []
    for title, rows in _tasks(group):
        percent = (100 * rows["value"] / (rows["value"] - rows["change"])).mean()
        outcomes.append(Outcome(percent, percent > above, f"{rows['change'].mean():+.1f} points, {_runs(rows)}", title))
    return outcomes


@criterion
def distillation(group: Group, journal: Journal) -> list[Outcome]:
    """Points of full distillation over none, at the highest sparsity that both have; holds above 0."""
    full, none = cofi_distillation.FULL, cofi_distillation.NONE
    groups = default_runs(group.records, free=["matching", "learn_from"])
    return _highest(groups, cofi_distillation.distillation, full, none)


@criterion
def hidden_masks(group: Group, journal: Journal) -> list[Outcome]:
    """Points of all masks over all but those of hidden dimensions, at the highest sparsity of both; holds above 0."""
    groups = default_runs(group.records, free=["units"])
    return _highest(groups, units.units_text, units.ALL, "no hidden")


@criterion
def learned_masks(group: Group, journal: Journal) -> list[Outcome]:
    """Mean points of learned over random units in the same shape, at every sparsity; holds above 0."""
    outcomes = []
    for one in paired(default_runs(group.records, free=["structure"]), structure, "learned", "random"):
        cells = pairs(one, structure, "learned", "random")
        differences = cells["difference"]
        note = _pairs(cells) + (f", {differences.min():+.1f} to {differences.max():+.1f}" if len(cells) > 1 else "")
        outcomes.append(Outcome(differences.mean(), differences.mean() > 0, note, one.title))
    return outcomes


@criterion
def small_dense(group: Group, journal: Journal, *, apart: float) -> list[Outcome]:
    """Mean points over a small dense Transformer whose sparsity is at most so many points apart; holds above 0."""
    outcomes = []
    for one in paired(default_runs(group.records, free=["structure"]), structure, "learned", "dense"):
        cells = pairs(one, structure, "learned", "dense")
        cells = cells[(cells["counted_first"] - cells["counted_second"]).abs() <= apart]
        if len(cells):
            gain, first, second = (cells[name].mean() for name in ("difference", "counted_first", "counted_second"))
            note = f"{_pairs(cells)}, {first:.0f} against {second:.0f} % gone"
            outcomes.append(Outcome(gain, gain > 0, note, one.title))
    return outcomes


def pairs(group: Group, name: Callable[[Record], Any], first: str, second: str) -> pd.DataFrame:
    """A row a sparsity, teacher and seed that :func:`~analysis.cofi.pairs.paired` runs have, with ``difference``."""
    rows = cofi_rows([group], name=name)
    both = [
        rows.loc[rows["name"] == value, [*CELL, "value", "counted"]].drop_duplicates(CELL) for value in (first, second)
    ]
    cells = both[0].merge(both[1], on=CELL, suffixes=("_first", "_second"))
    return cells.assign(difference=cells["value_first"] - cells["value_second"])


def _highest(groups: list[Group], name: Callable[[Record], Any], first: str, second: str) -> list[Outcome]:
    outcomes = []
    for one in paired(groups, name, first, second):
        cells = pairs(one, name, first, second)
        requested = cells["requested"].max()
        top = cells[cells["requested"] == requested]
        gain = top["difference"].mean()
        outcomes.append(Outcome(gain, gain > 0, f"at {requested:g} %, {_pairs(top)}", one.title))
    return outcomes


def _tasks(group: Group) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each task, without those that repeat a run."""
    return [(one.title, cofi_rows([one]).drop_duplicates(CELL)) for one in default_runs(group.records)]


def _runs(rows: pd.DataFrame) -> str:
    return f"{len(rows)} run{'s' * (len(rows) > 1)}"


def _pairs(cells: pd.DataFrame) -> str:
    return f"{len(cells)} pair{'s' * (len(cells) > 1)}"
