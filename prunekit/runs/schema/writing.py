"""Holds a run to the schema of its verb while it writes; verbs without one, of other projects, write what they like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prunekit.runs.schema.answer_file import answer_problems
from prunekit.runs.schema.fields import said
from prunekit.runs.schema.records import missing_tables, record_problems, version_of
from prunekit.runs.schema.verbs import VERBS

if TYPE_CHECKING:
    from prunekit.evaluation.row_answers import AnswerSheet


class SchemaError(RuntimeError):
    """A verb writes something else than its schema says: one of the two is wrong."""


def check_rows(verb: str, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Check the rows of ``tables/NAME.csv``; the columns must come in the order of the schema.

    Raises:
        SchemaError: the verb has no such table, or a column is missing, unknown, elsewhere or of the wrong kind.
    """
    if verb not in VERBS:
        return
    try:
        columns = VERBS[verb].table(name).columns
    except KeyError as error:
        raise SchemaError(f"{verb}: {error.args[0]}") from None
    where = f"{verb}, table {name}"
    present = list(dict.fromkeys(column for row in rows for column in row))
    if not present:
        raise SchemaError(f"{where}: no rows")
    if missing := columns.missing(present):
        raise SchemaError(f"{where}: column {missing[0]} is missing")
    if unknown := columns.unknown(present):
        raise SchemaError(f"{where}: column {unknown[0]} is unknown, right would be {columns.names()}")
    fields = [columns.of(column) for column in present]
    places = [list(columns).index(field) for field in fields]
    for column, place, before in zip(present[1:], places[1:], places, strict=False):
        if place < before:
            raise SchemaError(f"{where}: column {column} is out of order, right would be {columns.names()}")
    for column, field in zip(present, fields, strict=True):
        assert field is not None
        for number, row in enumerate(rows):
            if wrong := field.wrong(row.get(column)):
                right = f"{field.meaning} ({said(field)})"
                raise SchemaError(f"{where}, row {number}, column {column}: {wrong}, right would be {right}")


def check_line(verb: str, values: Mapping[str, Any]) -> None:
    """Check a line of ``metrics.jsonl`` without its step.

    Raises:
        SchemaError: the verb logs nothing, or a key is missing, unknown or of the wrong kind.
    """
    if verb not in VERBS:
        return
    if (log := VERBS[verb].log) is None:
        raise SchemaError(f"{verb}: logs {', '.join(values)}, its schema has no lines of metrics.jsonl")
    if problems := log.problems(values):
        raise SchemaError(f"{verb}, metrics.jsonl: {problems[0]}")


def check_record(record: Mapping[str, Any], tables: Iterable[str]) -> None:
    """Check ``result.json``, before it is written, and that the tables in the run's folder are all there.

    Raises:
        SchemaError: a key or a table is missing, unknown or of the wrong kind.
    """
    verb = str(record["verb"])
    if verb not in VERBS:
        return
    if problems := record_problems(record):
        raise SchemaError(f"{verb}, result.json: {problems[0]}")
    if missing := missing_tables(verb, version_of(record), tables):
        raise SchemaError(f"{verb}: table {missing[0]} was not written")


def check_answers(record: Mapping[str, Any], sheets: Mapping[str, AnswerSheet]) -> None:
    """Check ``answers.npz`` beside the record that it belongs to.

    Raises:
        SchemaError: answers are missing, unknown, or not to the rows that the record names.
    """
    if record["verb"] in VERBS and (problems := list(answer_problems(record, sheets))):
        raise SchemaError(f"{record['verb']}, answers: {problems[0]}")
