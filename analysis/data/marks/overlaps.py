"""Older records do not say how quiet the machine was; where another logged run ran meanwhile, it was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from analysis.data.marks.quiet import LATENCIES
from analysis.data.records import Record

ENOUGH = 0.5
"""Of a stage's time, from which on it was beside other work."""
Span = tuple[float, float]
"""From when to when, in seconds."""


def with_overlaps(records: Sequence[Record]) -> list[Record]:
    """The records; of those that say nothing of quiet, with the stages marked as disturbed for half of whose time or
    more other runs ran on the same hardware.

    Latencies are measured last. When within a run its other stages were is not recorded, but what is longer than all
    of its time alone was beside others. A stage that is not found to be disturbed stays unknown.
    """
    timed = [(record, span) for record in records if (span := _span(record)) is not None]
    marked = {}
    for record, span in timed:
        if not record.quiet:
            others = [its for other, its in timed
                      if other is not record and other.provenance.hardware == record.provenance.hardware]  # fmt: skip
            marked[id(record)] = replace(record, quiet=_marks(record, span, others))
    return [marked.get(id(record), record) for record in records]


def _marks(record: Record, span: Span, others: Sequence[Span]) -> Mapping[str, Mapping[str, Any]]:
    begin, end = span
    alone = end - begin - _covered((begin, end), others)
    marks = {}
    for stage, seconds in record.seconds.items():
        if stage == "total" or not seconds:
            continue
        beside = _covered((end - seconds, end), others) if stage in LATENCIES else seconds - alone
        if beside >= ENOUGH * seconds:
            marks[stage] = {"disturbed": True}
    return marks


def _covered(span: Span, others: Sequence[Span]) -> float:
    """Seconds of a span in which at least one of others runs."""
    seconds, reached = 0.0, span[0]
    for begin, end in sorted(others):
        begin, end = max(begin, reached), min(end, span[1])
        if end > begin:
            seconds, reached = seconds + end - begin, end
    return seconds


def _span(record: Record) -> Span | None:
    """None where the record has no such dates."""
    try:
        begin, end = (datetime.fromisoformat(text).timestamp()
                      for text in (record.provenance.started, record.provenance.finished))  # fmt: skip
    except ValueError:
        return None
    return begin, end
