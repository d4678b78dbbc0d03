"""Columns that a figure reads from a table of records: it names them, their kinds come from the schema of records."""

from __future__ import annotations

from prunekit.runs.schema.verbs import VERBS


def columns(verb: str, table: str, *names: str) -> dict[str, str]:
    """Columns and their kinds, as :meth:`Record.table` asks for them; all that every record has where none is named.

    Raises:
        KeyError: the verb has no such table, or the table no such column.

    >>> columns("prune_heads", "points", "share", "metric")
    {'share': 'float', 'metric': 'str'}
    """
    return VERBS[verb].table(table).kinds(*names)
