"""Columns that a figure reads from a table of records: it names them, what they may hold the schema of records says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prunekit.runs.schema.fields import LARGEST, TableSchema
from prunekit.runs.schema.verbs import VERBS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def columns(verb: str, table: str, *names: str) -> dict[str, str]:
    """Columns and their kinds, as :meth:`Record.table` asks for them; all that every record has where none is named.

    Raises:
        KeyError: the verb has no such table, or the table no such column.

    >>> columns("prune_heads", "points", "share", "metric")
    {'share': 'float', 'metric': 'str'}
    """
    return VERBS[verb].table(table).kinds(*names)


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
