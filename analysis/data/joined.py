"""Tables of many records as one frame, read together: thousands of small files one by one take a hundred times longer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.data.columns import least_of, typed_column, wrong_values
from analysis.data.loading import Journal, read_tables
from analysis.data.records import Record
from prunekit.runs.schema.table_rows import rows_problem

if TYPE_CHECKING:
    import pandas as pd


def join_tables(
    records: Iterable[Record],
    name: str,
    columns: Mapping[str, str],
    journal: Journal,
    **added: Callable[[Record], Any],
) -> pd.DataFrame | None:
    """The rows of the records' tables ``name``, one record after the other; None if no table can be used.

    A record whose table is damaged is left out with a warning.

    Arguments:
        columns: the needed columns and their kind, as in :meth:`Record.table`; others are left out.
        added: further columns, each a function of the record that the row came from.
    """
    import pandas as pd

    records = list(records)
    together, frame = _read_together(records, name, columns)
    apart = read_tables((r for number, r in enumerate(records) if number not in together), name, columns, journal)
    position = {id(record): number for number, record in enumerate(records)}
    parts = [frame] + [table[list(columns)].assign(record=position[id(record)]) for record, table in apart]
    parts = [part for part in parts if len(part)]
    if not parts:
        return None
    joined = pd.concat(parts, ignore_index=True).sort_values("record", kind="stable", ignore_index=True)
    numbers = joined.pop("record").to_numpy()
    for column, value in added.items():
        values = pd.Series([value(record) for record in records])
        joined[column] = values.to_numpy()[numbers]
    return joined


def _read_together(
    records: Sequence[Record], name: str, columns: Mapping[str, str]
) -> tuple[set[int], pd.DataFrame]:
    """Rows of all plain tables with the first one's header, and the places of their records; others read them alone.

    A table is plain if it is whole, has no quotes and no wrong values.
    """
    import numpy as np
    import pandas as pd

    header, bodies = b"", dict[int, bytes]()
    for number, record in enumerate(records):
        try:
            content = record.table_path(name).read_bytes()
        except OSError:
            continue
        first, _, body = content.partition(b"\n")
        header = header or first
        if first == header and body.endswith(b"\n") and b'"' not in content and b"\0" not in content:
            bodies[number] = body
    nothing = set[int](), pd.DataFrame(columns=[*columns, "record"])
    if not bodies:
        return nothing
    schema = records[0].schema_of(name)
    present = header.decode(errors="replace").strip().split(",")
    names = [key for key in schema.keys if key in present] if schema is not None else []
    text = header + b"\n" + b"".join(bodies.values())
    try:
        rows = pd.read_csv(io.BytesIO(text), usecols=[*dict.fromkeys([*columns, *names])], low_memory=False)
    except ValueError:  # a column is missing, or a line has too many values
        return nothing
    owners = np.repeat(list(bodies), [body.count(b"\n") for body in bodies.values()])
    if len(rows) != len(owners):  # an empty line
        return nothing
    wrong = np.logical_or.reduce(
        [wrong_values(rows[column], kind, least_of(schema, column)) for column, kind in columns.items()]
    )
    bad = set(owners[wrong].tolist())
    if schema is not None:
        keys, start = list(rows[names].itertuples(index=False, name=None)), 0
        for number, body in bodies.items():
            end = start + body.count(b"\n")
            if rows_problem(schema, names, keys[start:end], records[number].rows_expected(schema)):
                bad.add(number)
            start = end
    rows = rows[~np.isin(owners, list(bad))]
    owners = owners[~np.isin(owners, list(bad))]
    typed = {column: typed_column(rows[column], kind) for column, kind in columns.items()}
    return set(bodies) - bad, pd.DataFrame(typed).assign(record=owners)
