"""How quiet the machine was while a run took its times, and which runs a verdict on speed may use."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from analysis.data.records import Record
from prunekit.runs.schema.seconds import LATENCIES

CROSS = "\u00d7"
"""Beside points of them in figures."""
BESIDE = "beside other work"
"""Of runs that were timed while other processes took part of the CPUs."""
UNKNOWN = "not known to be quiet"
"""Of runs whose records do not say, as those of before do not."""
MARKS = ("disturbed", "unknown")
"""Columns of runs that were timed beside other work, and of those that do not say: of averages their share."""


def disturbed(record: Record, stages: Collection[str] = LATENCIES) -> bool | None:
    """Whether other processes took part of the CPUs in any of these stages; None where the record does not say."""
    return disturbed_in(record.quiet, stages)


def disturbed_in(quiet: Mapping[str, Mapping[str, Any]], stages: Collection[str]) -> bool | None:
    """The same of how quiet it was by stage, as ``result.json`` has it."""
    marks = [mark.get("disturbed") for stage, mark in quiet.items() if stage in stages]
    known = [mark for mark in marks if mark is not None]
    return any(known) if known else None


def timed_by(record: Record) -> Record:
    """The record that has the latencies of a run: of its shape timed again if there is one, else its own."""
    return record if record.timed_again is None else record.timed_again


def comparable_latencies(records: Sequence[Record]) -> list[Record]:
    """Runs whose latencies may stand beside one another: of a task those whose shapes were timed again, all at the same
    lengths and batch sizes, or all where none was."""
    again = {record.task for record in records if record.timed_again is not None}
    return [record for record in records if record.timed_again is not None or record.task not in again]


def for_verdict(records: Sequence[Record], stages: Collection[str] = ()) -> tuple[list[Record], str]:
    """The runs that a verdict on speed uses, and what is to be said of them: those that were quiet; where none is known
    to be, those that do not say. Disturbed ones are never used.

    Arguments:
        stages: whose seconds the verdict is of; latencies if there are none.
    """
    if not stages:
        records = comparable_latencies(records)
    own = states(records, stages)
    chosen = [record for record, state in zip(records, own, strict=True) if state is False]
    words = []
    if not chosen:
        chosen = [record for record, state in zip(records, own, strict=True) if state is None]
        words += [UNKNOWN] if chosen else []
    if left_out := own.count(True):
        words.append(f"{left_out} run{'s' * (left_out > 1)} {BESIDE} left out")
    return chosen, "; ".join(words)


def states(records: Sequence[Record], stages: Collection[str] = ()) -> list[bool | None]:
    """Of each run whether it was :func:`disturbed` in these stages; in its latencies, timed again or not, if there are
    none."""
    return [disturbed(record, stages) if stages else disturbed(timed_by(record)) for record in records]


def quiet_words(records: Sequence[Record], stages: Collection[str] = ()) -> str:
    """How many runs were timed beside other work or on a machine not known to be quiet; nothing where all were quiet.
    """
    own = states(records, stages)
    words = ((own.count(True), BESIDE), (own.count(None), UNKNOWN))
    return ", ".join(
        text if number == len(own) else f"{number} of {len(own)} {text}" for number, text in words if number
    )


def marks_of(record: Record) -> dict[str, float]:
    """Whether its latencies have each of :data:`MARKS`, 1 or 0."""
    state = disturbed(timed_by(record))
    return dict(zip(MARKS, (float(state is True), float(state is None)), strict=True))


def disturbed_text(records: Sequence[Record], sign: str, stages: Collection[str] = ()) -> str:
    """A sentence for the caption of a figure or table; nothing where all runs are known to have been quiet.

    Arguments:
        sign: how those beside other work are marked.
    """
    own = states(records, stages)
    found, unknown = own.count(True), own.count(None)
    of = f"of {len(own)} run{'s' * (len(own) > 1)}"
    if not found:
        return f"{UNKNOWN.capitalize()}: {unknown} {of}. " if unknown else ""
    return f"{sign}: timed {BESIDE}, {found} {of}{f'; not known of {unknown}' if unknown else ''}. "
