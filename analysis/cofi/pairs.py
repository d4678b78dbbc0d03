"""Runs of CoFi that are compared one to one, with the same sparsity, teacher and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.cofi.runs import missed
from analysis.data.groups import Group, teacher_of
from analysis.data.records import Record

if TYPE_CHECKING:
    import pandas as pd

CELL = ["panel", "requested", "teacher", "seed"]
"""What two runs share that are compared one to one."""


def paired(groups: Iterable[Group], name: Callable[[Record], Any], first: str, second: str) -> list[Group]:
    """The runs of two names that have one of the other at the same sparsity, teacher and seed.

    Runs that missed their target are not compared.
    """
    chosen = []
    for group in groups:
        cells: dict[tuple[float, str, int], set[str]] = {}
        members = [record for record in group.records if not missed(record) and name(record) in (first, second)]
        for record in members:
            cells.setdefault(_cell(record), set()).add(name(record))
        members = [record for record in members if len(cells[_cell(record)]) == 2]
        if members:
            chosen.append(replace(group, records=members))
    return chosen


def against(rows: pd.DataFrame, field: str, reference: Any) -> pd.DataFrame:
    """Add ``difference``: points against the run with ``reference`` in ``field`` of the same task, sparsity and seeds.

    NaN where there is none; ``paired`` tells.
    """
    whole = rows[rows[field] == reference].drop_duplicates(CELL)
    both = rows.merge(whole[[*CELL, "value"]].rename(columns={"value": "reference"}), on=CELL, how="left")
    both = both.assign(difference=both["value"] - both["reference"])
    return both.drop(columns="reference").assign(paired=both["difference"].notna())


def compared(rows: pd.DataFrame, field: str, reference: Any) -> pd.DataFrame:
    """The rows without those of ``reference`` at sparsities of a task where there is nothing else."""
    cells = rows.groupby(["panel", "requested"])[field].transform("nunique")
    return rows[(rows[field] != reference) | (cells > 1)]


def _cell(record: Record) -> tuple[float, str, int]:
    return float(record.config["sparsity"]), teacher_of(record), record.seed
