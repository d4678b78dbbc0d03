"""Tables that a method hands with its stages: held to the schema of records, and as records have them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from prunekit.runs.schema.verbs.compress import OF_METHODS, VERB
from prunekit.runs.schema.writing import SchemaError, check_rows
from prunekit.support.errors import UserError

DIGITS = 6
"""Of numbers in these tables: what a sublayer loses is known no better."""


def check_tables(where: str, tables: Mapping[str, list[dict[str, Any]]], before: Collection[str]) -> None:
    """Refuse what no record could have, before the next stage is computed.

    Args:
        where: the file of the method.
        before: names of tables that stages before handed.

    Raises:
        UserError: a table that is not in ``OF_METHODS``, that a stage before handed, or whose rows are not as it says.
    """
    known = [table.name for table in OF_METHODS]
    for name, rows in tables.items():
        if name not in known:
            raise UserError(
                f"{where}: compress hands a table {name!r}, a method can hand {', '.join(known)}; another one goes "
                f"into OF_METHODS of prunekit/runs/schema/verbs/{VERB.name}.py"
            )
        if name in before:
            raise UserError(f"{where}: compress hands the table {name} twice, hand it with one stage")
        try:
            check_rows(VERB.name, name, rows)
        except SchemaError as error:
            raise UserError(f"{where}: {error}") from error


def recorded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a table with :data:`DIGITS` digits a number."""
    return [
        {name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]
