"""Runs of Fisher pruning: which are of the default setting, and their numbers as one frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.data.frames import run_rows
from analysis.data.groups import Group, by_condition, by_setting, describe
from analysis.data.marks.quiet import MARKS
from analysis.data.records import Record

if TYPE_CHECKING:
    import pandas as pd

DEFAULTS = {
    "budget": "mac",
    "score": "fisher",
    "variant": "paper",
    "labels": "gold",
    "target": "dense",
    "on_failure": "skip",
}
DRAWS = "calibration draws"
"""What differs between runs of one teacher: nothing is trained, a seed draws the examples (and random units)."""
TOLERANCE = 1.0
"""Points below the unpruned metric that the paper's headline allows."""


def option(record: Record, name: str) -> Any:
    """A setting of a run; the default where its record leaves it open."""
    value = record.config.get(name)
    return DEFAULTS.get(name) if value is None else value


def default_runs(records: Sequence[Record], free: Collection[str] = ()) -> list[Group]:
    """One group a task and condition: its runs in the default setting, except in the fields ``free``.

    Of the numbers of calibration examples the one with the most constraints (then the most runs) counts as the
    default. Runs that left stages out count only where none has more: not every model can be tuned.
    """
    groups = []
    for members in by_setting(records).values():
        for group in by_condition(members):
            chosen = [r for r in group.records if all(option(r, n) == v for n, v in DEFAULTS.items() if n not in free)]
            if "calibration_examples" not in free:
                chosen = usual_examples(chosen, lambda record: float(record.config["constraint"]))
            if "stages" not in free:
                most = max(map(stages_run, chosen), default=None)
                chosen = [record for record in chosen if stages_run(record) == most]
            if chosen:
                groups.append(replace(group, records=chosen))
    return groups


def usual_examples(records: Sequence[Record], most_of: Callable[[Record], Hashable]) -> list[Record]:
    """Those calibrated on the usual number of examples: that with the most different values of ``most_of``, such as
    constraints or methods; of as many that with the most runs, then the largest."""
    by_number: dict[int, list[Record]] = {}
    for record in records:
        by_number.setdefault(int(record.config["calibration_examples"]), []).append(record)

    def spread(number: int) -> tuple[int, int, int]:
        members = by_number[number]
        return len(set(map(most_of, members))), len(members), number

    return by_number[max(by_number, key=spread)] if by_number else []


def stages_run(record: Record) -> tuple[bool, bool]:
    """Was the model tuned, were its masks rearranged?"""
    return bool(record.config.get("tune", True)), bool(record.config.get("rearrange", True))


def caption(groups: Iterable[Group]) -> str:
    """The words below a figure of several tasks, with what its runs left out."""
    records = [record for group in groups for record in group.records]
    untuned = [not stages_run(record)[0] for record in records]
    words = ("Not tuned. " if all(untuned) else "Not all tuned. ") if any(untuned) else ""
    return words + describe(records)


def fisher_rows(groups: Iterable[Group], **columns: Callable[[Record], Any]) -> pd.DataFrame:
    """The rows of :func:`~analysis.data.frames.run_rows`, with the constraint."""
    return run_rows(groups, constraint=lambda record: float(record.config["constraint"]), **columns)


def mark_within(frame: pd.DataFrame, best: str, *, largest: bool) -> pd.DataFrame:
    """Add ``within_1_point`` (less than one point lost, on average) and ``marked``, the best such row; where the rows
    were timed, of those that were quiet, or of those that do not say where none is known to have been.

    Arguments:
        frame: rows of one curve with ``change`` in points.
        best: the column whose smallest, or ``largest``, value is best.
    """
    within = frame["change"] > -TOLERANCE + 1e-9
    usable, known = ((frame.reindex(columns=list(marks)).fillna(0) == 0).all(axis=1) for marks in (MARKS[:1], MARKS))
    inside = frame.loc[within & (known if known.any() else usable), best]
    place = (inside.idxmax() if largest else inside.idxmin()) if len(inside) else None
    return frame.assign(within_1_point=within, marked=frame.index == place)
