"""Units that pruning kept: the table ``kept`` of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.data.records import Record
from prunekit.runs.schema import shared

if TYPE_CHECKING:
    import pandas as pd

KEPT = shared.KEPT.kinds()
SUBLAYERS = {"heads": "self layers", "neurons": "ffn layers"}
"""The rows that say whether the sublayer that holds a unit is there."""


def kept_rows(group: Group, field: str | None, journal: Journal) -> pd.DataFrame | None:
    """One row a run, unit and layer (1-based), with the number ``field`` of the run's configuration if it is given.

    Units of a sublayer that is gone as a whole count as gone.
    """
    import pandas as pd

    parts = [
        _without_gone(table).assign(**({field: float(record.config[field])} if field else {}), **_run(record))
        for record, table in read_tables(group.records, "kept", KEPT, journal)
    ]
    if not parts:
        return None
    frame = pd.concat(parts, ignore_index=True)
    frame["layer"] += 1
    return frame


def kept_units(group: Group, field: str, journal: Journal) -> pd.DataFrame | None:
    """One row a ``field``, unit and layer (1-based): units kept, the mean over runs, and the share of the layer's."""
    rows = kept_rows(group, field, journal)
    if rows is None:
        return None
    rows["run"] = rows["teacher"] + ", " + rows["seed"].astype(str)
    grouped = rows.groupby([field, "unit", "layer"], as_index=False)
    result = grouped.agg(kept=("kept", "mean"), total=("total", "mean"), runs=("run", "nunique"))
    return result.assign(share=result["kept"] / result["total"].where(result["total"] > 0))


def _without_gone(table: pd.DataFrame) -> pd.DataFrame:
    there = {(row["unit"], row["layer"]): row["kept"] for row in table.to_dict("records")}
    gates = [there.get((SUBLAYERS.get(unit, ""), layer), 1.0) for unit, layer in
             zip(table["unit"], table["layer"], strict=True)]  # fmt: skip
    return table.assign(kept=table["kept"] * gates)


def _run(record: Record) -> dict[str, Any]:
    return {"teacher": teacher_of(record), "seed": record.seed}
