"""Whether the rows of a table are all there, once each: what no single value shows."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prunekit.runs.schema.fields import TableSchema


def rows_problem(
    table: TableSchema, names: Sequence[str], keys: Sequence[tuple[Hashable, ...]], expected: int | None
) -> str | None:
    """What is wrong with the rows of a table together, None if nothing is.

    Args:
        names: those of the table's ``keys`` that it has.
        keys: their values, a tuple a row.
        expected: how many rows there should be; None where nothing tells.
    """
    if expected is not None and len(keys) != expected:
        return f"{len(keys)} rows, its run recorded {expected}"
    if names:
        first: dict[tuple[Hashable, ...], int] = {}
        for line, key in enumerate(keys, 2):
            if key in first:
                return f"line {line} repeats line {first[key]}"
            first[key] = line
    if table.even in names:
        counts = Counter(key[names.index(table.even)] for key in keys)
        (most, many), (least, few) = counts.most_common(1)[0], counts.most_common()[-1]
        if few < many:
            return f"{few} rows of {table.even} {least}, {many} of {most}"
    return None


def rows_expected(record: Mapping[str, Any], table: TableSchema, log: Path) -> int | None:
    """How many rows a table of a record has: as it says, or as its log has lines, which older records do not say.

    Args:
        log: the record's ``metrics.jsonl``.
    """
    rows = record.get("tables")
    if isinstance(rows, Mapping) and table.name in rows:
        return int(rows[table.name])
    if not table.logged:
        return None
    try:
        return log.read_bytes().count(b"\n")
    except OSError:
        return None


def rows_in(path: Path) -> int:
    """How many rows a CSV file has below its header."""
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1
