"""When does a claim of Xia et al. 2022 hold? Judged per task, from records alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.cofi import distillation as cofi_distillation
from analysis.cofi import units
from analysis.cofi.pairs import CELL, paired
from analysis.cofi.runs import cofi_rows, default_runs
from analysis.cofi.runs import structure as structure_of
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.trivial import trivial_score
from analysis.intervals.estimates import Estimate
from analysis.intervals.replicates import estimate, positive_mean
from analysis.intervals.row_errors import ScoreOnRows, Scores, difference

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record


@criterion
def faster(group: Group, journal: Journal) -> list[Outcome]:
    """Measured speed-up at the largest batch."""
    return [Outcome(positive_mean(rows, "speedup"), subject=one.title) for one, rows in _tasks(group)]


@criterion
def kept_score(group: Group, journal: Journal, *, share: float) -> list[Outcome]:
    """Per cent of the teacher's score. More than ``share`` of it, and more than what one answer to all rows has."""
    outcomes = []
    for one, rows in _tasks(group):
        whole = rows["value"] - rows["change"]
        rows = rows.assign(percent=100 * rows["value"] / whole)
        trivial = float((100 * 100 * trivial_score(one.records[0]) / whole).mean())
        records = _by_id(one)
        scores = [[_final(records[run], journal), _dense(records[run], journal)] for run in rows["run_id"]]
        own = estimate(rows, "percent", scores, lambda kept, all_of_it: 100 * kept / all_of_it)
        note = f"{rows['change'].mean():+z.1f} points"
        margin = share
        if trivial > share:
            margin, note = trivial, f"{note}; one answer to all has {trivial:.1f} %"
        outcomes.append(Outcome(own, note, one.title, margin=margin))
    return outcomes


@criterion
def distillation(group: Group, journal: Journal) -> list[Outcome]:
    """Points of full distillation over none, at the highest sparsity that both have."""
    full, none = cofi_distillation.FULL, cofi_distillation.NONE
    groups = default_runs(group.records, free=["matching", "learn_from"])
    return _highest(groups, cofi_distillation.distillation, full, none, journal)


@criterion
def hidden_masks(group: Group, journal: Journal) -> list[Outcome]:
    """Points of all masks over all but those of hidden dimensions, at the highest sparsity of both."""
    groups = default_runs(group.records, free=["units"])
    return _highest(groups, units.units_text, units.ALL, "no hidden", journal)


@criterion
def learned_masks(group: Group, journal: Journal, *, structure: str) -> list[Outcome]:
    """Points of learned units over another choice of them that was trained as long, the mean over sparsities."""
    outcomes = []
    for one in paired(default_runs(group.records, free=["structure"]), structure_of, "learned", structure):
        cells = pairs(one, structure_of, "learned", structure)
        note = f"at {' and '.join(f'{at:g}' for at in sorted(set(cells['requested'])))} %"
        outcomes.append(Outcome(_compared(one, cells, journal), note, one.title))
    return outcomes


@criterion
def small_dense(group: Group, journal: Journal, *, apart: float) -> list[Outcome]:
    """Points over a small dense Transformer whose sparsity is at most so many points apart, the mean over sparsities.
    """
    outcomes = []
    for one in paired(default_runs(group.records, free=["structure"]), structure_of, "learned", "dense"):
        cells = pairs(one, structure_of, "learned", "dense")
        cells = cells[(cells["counted_first"] - cells["counted_second"]).abs() <= apart]
        if len(cells):
            first, second = (cells[name].mean() for name in ("counted_first", "counted_second"))
            note = f"{first:.0f} against {second:.0f} % gone"
            outcomes.append(Outcome(_compared(one, cells, journal), note, one.title))
    return outcomes


def pairs(group: Group, name: Callable[[Record], Any], first: str, second: str) -> pd.DataFrame:
    """A row a sparsity, teacher and seed that :func:`~analysis.cofi.pairs.paired` runs have, with ``difference``."""
    rows = cofi_rows([group], name=name)
    wanted = [*CELL, "value", "counted", "run_id"]
    both = [rows.loc[rows["name"] == value, wanted].drop_duplicates(CELL) for value in (first, second)]
    cells = both[0].merge(both[1], on=CELL, suffixes=("_first", "_second"))
    return cells.assign(difference=cells["value_first"] - cells["value_second"])


def _highest(
    groups: Sequence[Group], name: Callable[[Record], Any], first: str, second: str, journal: Journal
) -> list[Outcome]:
    outcomes = []
    for one in paired(groups, name, first, second):
        cells = pairs(one, name, first, second)
        requested = cells["requested"].max()
        own = _compared(one, cells[cells["requested"] == requested], journal)
        outcomes.append(Outcome(own, f"at {requested:g} %", one.title))
    return outcomes


def _compared(group: Group, cells: pd.DataFrame, journal: Journal) -> Estimate:
    """The mean difference of pairs of runs."""
    records = _by_id(group)
    ends = zip(cells["run_id_first"], cells["run_id_second"], strict=True)
    scores = [[_final(records[run], journal) for run in both] for both in ends]
    return estimate(cells, "difference", scores, difference)


def _final(record: Record, journal: Journal) -> ScoreOnRows:
    return Scores(record, journal).of(record.metrics, stage="final")


def _dense(record: Record, journal: Journal) -> ScoreOnRows:
    return Scores(record, journal).unpruned(stage="dense")


def _by_id(group: Group) -> dict[str, Record]:
    return {record.run_id: record for record in group.records}


def _tasks(group: Group) -> list[tuple[Group, pd.DataFrame]]:
    """Each task and its rows, without those that repeat a run."""
    return [(one, cofi_rows([one]).drop_duplicates(CELL)) for one in default_runs(group.records)]
