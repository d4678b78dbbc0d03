"""Older records do not say how quiet the machine was; where another logged run ran meanwhile, it was not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from typing import Any

from analysis.data.records import Record
from prunekit.runs.schema.seconds import AHEAD, LATENCIES, seconds_ahead

ENOUGH = 0.5
"""Of a stage's time, from which on it was beside other work."""
Span = tuple[float, float, int]
"""From when to when, in seconds, and whose of the records."""


def with_overlaps(records: Sequence[Record]) -> list[Record]:
    """The records; of those that say nothing of quiet, with the stages marked as disturbed for half of whose time or
    more other runs ran on hardware of the same name.

    Latencies are measured last. When within a run its other stages were is not recorded, but what is longer than all
    of its time alone was beside others. A stage that is not found to be disturbed stays unknown.
    """
    spans: dict[str, list[Span]] = {}
    for number, record in enumerate(records):
        if (span := _span(record, number)) is not None:
            spans.setdefault(record.provenance.hardware, []).append(span)
    marked = list(records)
    for own in spans.values():
        others = _Spans(sorted(own))
        for span in own:
            if not records[span[2]].quiet:
                marked[span[2]] = replace(records[span[2]], quiet=_marks(records[span[2]], span, others))
    return marked


class _Spans:
    """By their begin."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = spans
        self._ends = list(accumulate((end for _, end, _ in spans), max))

    def covered(self, begin: float, end: float, whose: int) -> float:
        """Seconds of a time in which at least one run but its own runs."""
        seconds, reached = 0.0, begin
        for number in range(bisect_right(self._ends, begin), len(self.spans)):  # those before ended before it
            first, last, other = self.spans[number]
            if first >= end or reached >= end:
                break
            if other != whose and last > reached:
                seconds += min(last, end) - max(first, reached)
                reached = min(last, end)
        return seconds


def _marks(record: Record, span: Span, others: _Spans) -> Mapping[str, Mapping[str, Any]]:
    begin, end, number = span
    alone = end - begin - others.covered(begin, end, number)
    marks = {}
    for stage, seconds in record.seconds.items():
        if stage in ("total", *AHEAD) or not seconds:
            continue
        beside = others.covered(end - seconds, end, number) if stage in LATENCIES else seconds - alone
        if beside >= ENOUGH * seconds:
            marks[stage] = {"disturbed": True}
    return marks


def _span(record: Record, number: int) -> Span | None:
    """Without what was made ahead of it, which has a record of its own; None where the record has no such dates."""
    try:
        begin, end = (datetime.fromisoformat(text).timestamp()
                      for text in (record.provenance.started, record.provenance.finished))  # fmt: skip
    except ValueError:
        return None
    return begin + sum(seconds_ahead(record.seconds).values()), end, number
