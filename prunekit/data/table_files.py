"""Tables from files of the user's own, read as they are: every field of a CSV is text, every row has its line.

A file is UTF-8, with or without a byte order mark. Lines end at line feeds (with or without a carriage return before
them) and nowhere else, so that no character inside a text moves what stands after it.
"""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prunekit.support.errors import UserError

Table = dict[str, list[Any]]
"""Columns by name, all of one length."""


def text_lines(path: Path, setting: str) -> list[str]:
    """Of a text file, without their ends.

    Args:
        setting: that names the file, for messages.

    Raises:
        UserError: the file is no UTF-8, naming the line.
    """
    parts = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    if parts[-1] == b"":
        parts.pop()
    lines = []
    for number, part in enumerate(parts, 1):
        try:
            lines.append(part.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UserError(f"{setting}: {path} is no UTF-8 text (line {number}: {error})") from error
    return lines


def read_csv(path: Path, setting: str, wanted: Sequence[str]) -> Table:
    """Fields between commas, in quotation marks where they have commas or line breaks themselves."""
    reading = _Lines(_of_table(path, setting))
    limit = csv.field_size_limit(sys.maxsize)
    try:
        return _table(path, setting, wanted, _csv_rows(path, setting, reading))
    finally:
        csv.field_size_limit(limit)


def read_tsv(path: Path, setting: str, wanted: Sequence[str]) -> Table:
    """Fields between tabs; quotation marks are text, as GLUE's files have them."""
    rows = ((number, line.split("\t")) for number, line in enumerate(_of_table(path, setting), 1) if line)
    return _table(path, setting, wanted, rows)


def read_json(path: Path, setting: str, wanted: Sequence[str]) -> Table:
    """An object a line, or one list of objects, or one object of columns.

    Raises:
        UserError: it is no JSON, or a wanted column has half of a character, as texts that were cut off have.
    """
    lines = text_lines(path, setting)
    table = _json_of_lines(path, setting, lines)
    if any("\\ud" in line.lower() for line in lines):
        for name in wanted:
            for row, value in enumerate(table.get(name, ())):
                try:
                    json.dumps(value, ensure_ascii=False).encode()
                except UnicodeEncodeError as error:
                    half = json.dumps(error.object[error.start])
                    raise UserError(
                        f"{setting}: {path}, row {row}: {name!r} has {half}, half of a character; write both of its "
                        "halves, or leave it out"
                    ) from None
    return table


def _json_of_lines(path: Path, setting: str, lines: list[str]) -> Table:
    whole = len(lines) > 1 and not _is_object(lines[0])
    if whole or (lines and lines[0].lstrip().startswith("[")):
        return _json_table(path, setting, "\n".join(lines))
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise UserError(f"{setting}: {path} cannot be read, line {number} is no JSON ({error})") from error
            if not isinstance(rows[-1], dict):
                raise UserError(f"{setting}: {path}, line {number} should be an object, {{COLUMN: VALUE, ...}}")
    if len(rows) == 1 and _is_columns(rows[0]):
        return dict(rows[0])
    return _of_objects(rows)


class _Lines:
    """Lines with their number, which know when there are no more."""

    def __init__(self, lines: list[str]) -> None:
        self.lines, self.number, self.ended = lines, 0, False

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            self.number += 1
            yield line + "\n"
        self.ended = True


def _csv_rows(path: Path, setting: str, reading: _Lines) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV that are not empty, with the line on which each starts (from 1)."""
    rows, start = csv.reader(iter(reading)), 1
    try:
        for row in rows:
            if reading.ended:  # it asked for more lines than there are
                raise UserError(f"{setting}: {path} cannot be read, a quotation mark on line {start} never closes")
            if row:
                yield start, row
            start = reading.number + 1
    except csv.Error as error:
        why = str(error).split(" - ")[0]
        raise UserError(f"{setting}: {path} cannot be read, line {reading.number}: {why}") from error


def _of_table(path: Path, setting: str) -> list[str]:
    """Lines of a table; carriage returns alone end them where a file has no line feed at all."""
    lines = text_lines(path, setting)
    return lines[0].split("\r") if len(lines) == 1 else lines


def _table(path: Path, setting: str, wanted: Sequence[str], rows: Iterator[tuple[int, list[str]]]) -> Table:
    """Columns of rows that start with their names. A row that stops early has no value (None) in what it lacks.

    Raises:
        UserError: a wanted column stands there twice, or a row has more fields than there are names, naming its line.
    """
    _, names = next(rows, (1, []))
    for name in wanted:
        if names.count(name) > 1:
            raise UserError(f"{setting}: {path} has {names.count(name)} columns {name!r}, each needs a name of its own")
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    columns: Table = {name: [] for name in names}
    for row, (line, fields) in enumerate(rows):
        if len(fields) > len(names):
            raise UserError(
                f"{setting}: {path}, row {row} (line {line}) has {len(fields)} fields where the first line names "
                f"{len(names)} columns ({', '.join(names)}); put a text with separators into quotation marks, name "
                "every column"
            )
        for name, column in columns.items():
            column.append(fields[places[name]] if places[name] < len(fields) else None)
    return columns


READERS: dict[str, Callable[[Path, str, Sequence[str]], Table]] = {
    ".csv": read_csv, ".tsv": read_tsv, ".jsonl": read_json, ".json": read_json,
}  # fmt: skip
"""By the end of a file's name: from its path, the setting that names it and the columns that are wanted."""


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _json_table(path: Path, setting: str, text: str) -> Table:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UserError(f"{setting}: {path} cannot be read, it is no JSON ({error})") from error
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return _of_objects(value)
    if _is_columns(value):
        return dict(value)
    raise UserError(f"{setting}: {path} should have an object a line, {{COLUMN: VALUE, ...}}, or a list of objects")


def _is_columns(value: Any) -> bool:
    """Whether JSON has the columns of a table by name, as lists of one length."""
    if not isinstance(value, dict) or not value or not all(isinstance(column, list) for column in value.values()):
        return False
    return len({len(column) for column in value.values()}) == 1


def _of_objects(rows: list[dict[str, Any]]) -> Table:
    """What an object lacks that others have is None."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in names}
