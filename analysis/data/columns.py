"""Columns that a figure reads from a table of records: it names them, what they may hold the schema of records says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prunekit.runs.schema.fields import LARGEST, TableSchema
from prunekit.runs.schema.verbs import VERBS
from prunekit.support.errors import first_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class DamagedRecordError(Exception):
    """A file of a run record that cannot be used; the message names the file and what is wrong."""


def columns(verb: str, table: str, *names: str) -> dict[str, str]:
    """Columns and their kinds, as :meth:`Record.table` asks for them; all that every record has where none is named.

    Raises:
        KeyError: the verb has no such table, or the table no such column.

    >>> columns("prune_heads", "points", "share", "metric")
    {'share': 'float', 'metric': 'str'}
    """
    return VERBS[verb].table(table).kinds(*names)


def read_columns(path: Path, columns: Mapping[str, str], schema: TableSchema | None) -> pd.DataFrame:
    """A table's file, with these columns as their kinds.

    Raises:
        DamagedRecordError: the file is missing, cut off, lacks a column, or holds a wrong value.
    """
    import pandas as pd

    try:
        text = path.read_bytes()
        if not text.endswith(b"\n"):
            raise DamagedRecordError(f"{path}: cut off (the last line has no end)")
        if b"\0" in text:
            raise DamagedRecordError(f"{path}: a NUL in it")
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise DamagedRecordError(f"{path}: missing") from None
    except (OSError, ValueError) as error:
        raise DamagedRecordError(f"{path}: {first_line(error)}") from None
    absent = [column for column in columns if column not in frame]
    if absent:
        raise DamagedRecordError(f"{path}: no column {', '.join(absent)}")
    if frame.empty:
        raise DamagedRecordError(f"{path}: no rows")
    for column, kind in columns.items():
        least = least_of(schema, column)
        if (wrong := wrong_values(frame[column], kind, least)).any():
            needed = {"bool": "True or False", "int": "a whole number"}.get(kind, "a number")
            needed += "" if least is None else f" of at least {least:g}"
            raise DamagedRecordError(f"{path}, line {int(wrong.argmax()) + 2}: column {column} must be {needed}")
        frame[column] = typed_column(frame[column], kind)
    return frame


def least_of(table: TableSchema | None, column: str) -> float | None:
    """The lowest number that makes sense in a column, where that is known."""
    field = table.columns.of(column) if table is not None else None
    return field.least if field is not None else None


def wrong_values(column: pd.Series, kind: str, least: float | None = None) -> np.ndarray:
    """True for every row whose value is not of the kind (``int``, ``float``, ``bool`` or ``str``) or below ``least``.

    Infinite numbers and those beyond all measure are none.
    """
    import numpy as np
    import pandas as pd

    if kind == "str":
        return np.zeros(len(column), bool)
    if kind == "bool":
        return ~column.astype(str).isin(["True", "False"]).to_numpy()
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(float)
    with np.errstate(invalid="ignore"):
        right = np.abs(numbers) <= LARGEST
        if kind == "int":
            right &= (numbers == np.round(numbers)) & (np.abs(numbers) < 2**63)
        if least is not None:
            right &= numbers >= least
    return ~right


def typed_column(column: pd.Series, kind: str) -> pd.Series:
    """A column without wrong values as its kind."""
    import pandas as pd

    if kind == "str":
        return column.astype(str)
    if kind == "bool":
        return column.astype(str) == "True"
    return pd.to_numeric(column).astype(int if kind == "int" else float)
