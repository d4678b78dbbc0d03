"""What is wrong with records on disk: a line a problem, with file, table, column or key, and what would be right."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prunekit.runs.schema.answer_file import FILE, answer_problems, read_answers
from prunekit.runs.schema.fields import Field, Fields, TableSchema
from prunekit.runs.schema.records import missing_tables, record_problems, version_of
from prunekit.runs.schema.table_rows import rows_expected, rows_problem
from prunekit.runs.schema.verbs import VERBS


def folder_problems(folder: Path) -> Iterator[str]:
    """Every problem of the record in a run's folder; of an unfinished run, that it has no ``result.json``."""
    path = folder / "result.json"
    record = _read(path)
    if not isinstance(record, Mapping):
        yield f"{path}: {record}"
        return
    yield from (f"{path}: {line}" for line in record_problems(record))
    verb, version = VERBS.get(str(record.get("verb"))), version_of(record)
    if verb is None:
        return
    files = {table.stem: table for table in sorted((folder / "tables").glob("*.csv"))}
    for name in missing_tables(verb.name, version, files):
        yield f"{folder / 'tables' / name}.csv: missing"
    known = {table.name: table for table in verb.tables}
    for name, file in files.items():
        if name in known:
            expected = rows_expected(record, known[name], folder / "metrics.jsonl")
            yield from (f"{file}{line}" for line in table_problems(file, known[name], version, expected))
        else:
            yield f"{file}: table {name} is unknown, right would be {verb.table_names()}"
    yield from (f"{folder / FILE}: {line}" for line in _answers_wrong(folder / FILE, record))
    log = folder / "metrics.jsonl"
    if log.exists():
        if verb.log is None:
            yield f"{log}: unknown, {verb.name} logs nothing"
        else:
            yield from (f"{log}{line}" for line in log_problems(log, verb.log, version))


def table_problems(path: Path, table: TableSchema, version: int, expected: int | None = None) -> Iterator[str]:
    """Of a CSV file; one line a column, for its first wrong value.

    Args:
        expected: how many rows there should be; None where nothing tells.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        yield f": {error}"
        return
    if len(rows) < 2:
        yield ": no rows"
        return
    header, columns = rows[0], table.columns
    yield from (f": column {name} is missing" for name in columns.missing(header, version))
    yield from (f": column {name} is unknown, right would be {columns.names()}" for name in columns.unknown(header))
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            yield f", line {number}: {len(row)} values, right would be {len(header)}"
            return
        if "\0" in "".join(row):
            yield f", line {number}: a NUL in it"
    for place, name in enumerate(header):
        if (field := columns.of(name)) is not None:
            wrong = ((number, _wrong_text(field, row[place])) for number, row in enumerate(rows[1:], 2))
            for number, text in wrong:
                if text:
                    yield f", line {number}: column {name}: {text}, right would be {field.meaning}"
                    break
    names = [key for key in table.keys if key in header]
    keys = [tuple(row[header.index(key)] for key in names) for row in rows[1:]]
    if problem := rows_problem(table, names, keys, expected):
        yield f": {problem}"


def log_problems(path: Path, fields: Fields, version: int) -> Iterator[str]:
    """Of ``metrics.jsonl``: steps that rise, and the keys of each line."""
    last = -1
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            step = line.pop("step")
            if type(step) is not int:  # neither true nor 1.5
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError):
            yield f", line {number}: no whole number as its step"
            return
        if step <= last:
            yield f", line {number}: step {step} comes after {last}, right would be a higher one"
        last = step
        yield from (f", line {number}: {problem}" for problem in fields.problems(line, version))


def _answers_wrong(path: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Records of before version 3 have none."""
    try:
        sheets = read_answers(path) if path.exists() else {}
    except (OSError, ValueError) as error:
        yield str(error)
        return
    try:
        yield from answer_problems(record, sheets)
    except (LookupError, TypeError, AttributeError):
        yield "its record does not name its rows"


def _read(path: Path) -> Mapping[str, Any] | str:
    """An object, or what is wrong."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "missing, the run did not finish"
    except (OSError, ValueError) as error:
        return " ".join(str(error).split())[:160]
    return record if isinstance(record, Mapping) else "no object"


def _wrong_text(field: Field, text: str) -> str | None:
    """What is wrong with a value as CSV has it."""
    return field.wrong(_value(field.kind, text))


def _value(kind: str, text: str) -> Any:
    if text == "":
        return None
    if kind == "bool":
        return {"True": True, "False": False}.get(text, text)
    if kind in ("int", "float"):
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
    return text
