"""When does a claim of Xia et al. 2022 hold? One function a claim, judged per task, from records alone.

A function returns one :class:`~analysis.claims.Outcome` a task, or an empty list when the records cannot tell.
Claims on a sparsity are judged by runs that asked for it and reached it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from analysis import cofi_distillation, cofi_units
from analysis.claims import Outcome
from analysis.cofi_runs import CELL, cofi_rows, default_runs, option
from analysis.groups import Group
from analysis.loading import Journal

if TYPE_CHECKING:
    import pandas as pd

    from analysis.records import Record

HIGH = 95.0
"""Per cent: the sparsity of the paper's headlines."""
SPEEDUP, KEPT = 10.0, 90.0
"""The headlines (abstract)."""
SAME_SIZE = 3.0
"""Points of sparsity by which two models of about the same size may differ."""


def faster(group: Group, journal: Journal) -> list[Outcome]:
    """Mean measured speed-up at 95 % sparsity and the largest batch; holds above 10."""
    return [
        Outcome(rows["speedup"].mean(), rows["speedup"].mean() > SPEEDUP, _runs(rows), title)
        for title, rows in _at_high(group)
    ]


def kept_score(group: Group, journal: Journal) -> list[Outcome]:
    """Mean per cent of the teacher's score at 95 % sparsity; holds above 90."""
    outcomes = []
    for title, rows in _at_high(group):
        kept = (100 * rows["value"] / (rows["value"] - rows["change"])).mean()
        outcomes.append(Outcome(kept, kept > KEPT, f"{rows['change'].mean():+.1f} points, {_runs(rows)}", title))
    return outcomes


def distillation(group: Group, journal: Journal) -> list[Outcome]:
    """Points of full distillation over none, at the highest sparsity that both have; holds above 0."""
    full, none = cofi_distillation.FULL, cofi_distillation.NONE
    groups = default_runs(group.records, free=["matching", "learn_from"])
    return _highest(groups, cofi_distillation.distillation, full, none)


def hidden_masks(group: Group, journal: Journal) -> list[Outcome]:
    """Points of all masks over all but those of hidden dimensions, at the highest sparsity of both; holds above 0."""
    groups = default_runs(group.records, free=["units"])
    return _highest(groups, cofi_units.units_text, cofi_units.ALL, "no hidden")


def learned_masks(group: Group, journal: Journal) -> list[Outcome]:
    """Mean points of learned over random units in the same shape, at every sparsity; holds above 0."""
    outcomes = []
    for one in default_runs(group.records, free=["structure"]):
        cells = pairs(one, _structure, "learned", "random")
        if len(cells):
            found = cells["difference"]
            note = f"{_pairs(cells)}, {found.min():+.1f} to {found.max():+.1f}"
            outcomes.append(Outcome(found.mean(), found.mean() > 0, note, one.title))
    return outcomes


def small_dense(group: Group, journal: Journal) -> list[Outcome]:
    """Mean points over a small dense Transformer of about the same size; holds above 0."""
    outcomes = []
    for one in default_runs(group.records, free=["structure"]):
        cells = pairs(one, _structure, "learned", "dense")
        cells = cells[(cells["counted_first"] - cells["counted_second"]).abs() <= SAME_SIZE]
        if len(cells):
            gain, first, second = (cells[name].mean() for name in ("difference", "counted_first", "counted_second"))
            note = f"{_pairs(cells)}, {first:.0f} against {second:.0f} % gone"
            outcomes.append(Outcome(gain, gain > 0, note, one.title))
    return outcomes


def pairs(group: Group, name: Callable[[Record], Any], first: str, second: str) -> pd.DataFrame:
    """A row a sparsity, teacher and seed that runs of both names have: ``difference`` in points, and their sizes."""
    rows = cofi_rows([group], name=name)
    rows = rows[~rows["missed"]]
    both = [
        rows.loc[rows["name"] == value, [*CELL, "value", "counted"]].drop_duplicates(CELL) for value in (first, second)
    ]
    cells = both[0].merge(both[1], on=CELL, suffixes=("_first", "_second"))
    return cells.assign(difference=cells["value_first"] - cells["value_second"])


def _highest(groups: list[Group], name: Callable[[Record], Any], first: str, second: str) -> list[Outcome]:
    outcomes = []
    for one in groups:
        cells = pairs(one, name, first, second)
        if len(cells):
            requested = cells["requested"].max()
            top = cells[cells["requested"] == requested]
            gain = top["difference"].mean()
            outcomes.append(Outcome(gain, gain > 0, f"at {requested:g} %, {_pairs(top)}", one.title))
    return outcomes


def _at_high(group: Group) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each task that asked for 95 % and reached it, without those that repeat a run."""
    found = []
    for one in default_runs(group.records):
        rows = cofi_rows([one])
        rows = rows[(rows["requested"] == HIGH) & ~rows["missed"]].drop_duplicates(CELL)
        if len(rows):
            found.append((one.title, rows))
    return found


def _structure(record: Record) -> str:
    return str(option(record, "structure"))


def _runs(rows: pd.DataFrame) -> str:
    return f"{len(rows)} run{'s' * (len(rows) > 1)}"


def _pairs(cells: pd.DataFrame) -> str:
    return f"{len(cells)} pair{'s' * (len(cells) > 1)}"
