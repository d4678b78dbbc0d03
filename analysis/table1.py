"""Table 1 for an encoder: the change with one head removed, layer by head, with its significance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.fig1b import single_head_effects
from analysis.groups import Group
from analysis.loading import Journal
from analysis.output import Item, Table, file_name

if TYPE_CHECKING:
    import pandas as pd

MARKS = (
    "†: p < 0.01 (exact McNemar for accuracies, paired bootstrap otherwise); "
    "‡: also after Benjamini-Hochberg over all heads"
)


def draw(group: Group, journal: Journal) -> list[Item]:
    """One grid a teacher; the first is ``table1``, the others carry the teacher's seed."""
    effects = single_head_effects(group, journal)
    if effects is None:
        return []
    tables: list[Item] = []
    for number, (teacher, rows) in enumerate(effects.groupby("teacher")):
        tables.append(
            Table(
                name="table1" if number == 0 else file_name("table1", str(teacher)),
                title=f"Table 1: change of {rows['metric'].iloc[0]} with one head removed, in points; "
                f"unpruned {100 * rows['baseline'].iloc[0]:.2f} (teacher: {teacher})",
                frame=rows,
                display=grid(rows),
                caption=f"{MARKS}. {group.caption}",
            )
        )
    return tables


def grid(rows: pd.DataFrame) -> pd.DataFrame:
    """Text cells, a row a layer (by attention kind where there are several), a column a head."""
    cells = rows.assign(text=[_cell(row) for row in rows.itertuples()])
    wide = cells.pivot(index=["kind", "layer"], columns="head", values="text").fillna("")
    wide.columns = [str(head) for head in wide.columns]
    wide = wide.reset_index()
    if wide["kind"].nunique() > 1:
        wide["layer"] = wide["kind"] + " " + wide["layer"].astype(str)
    return wide.drop(columns="kind")


def _cell(row: Any) -> str:
    """The change as the paper prints it (``-.53``), with its mark."""
    text = f"{round(row.delta_points, 2) + 0.0:+.2f}"  # no -0.00
    if abs(row.delta_points) < 1:
        text = text.replace("0.", ".", 1)
    if not row.significant:
        return text
    return f"**{text}**" + ("‡" if row.significant_bh else "†")
