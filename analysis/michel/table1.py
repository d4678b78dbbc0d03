"""Table 1: the change with one head removed, layer by head, with its significance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.trivial import trivial_words
from analysis.michel import published
from analysis.michel.fig1b import single_head_effects
from analysis.render.output import Item, Table, file_name
from analysis.render.style import kinds_in_order, metric_name

if TYPE_CHECKING:
    import pandas as pd

MARKS = (
    "†: p < 0.01 (exact McNemar for accuracies, paired bootstrap otherwise); "
    "‡: also after Benjamini-Hochberg over all heads"
)

PRINTED = (
    "The paper's grid is in the CSV file: 96 enc-enc heads of a Transformer for WMT14 En-Fr with 6 layers of 16 heads, "
    "8 with p < 0.01. "
)


def draw(group: Group, journal: Journal) -> list[Item]:
    """One grid a teacher; the first is ``table1``, the others carry the teacher's seed.

    Of translation the CSV file also has the paper's grid.
    """
    effects = single_head_effects(group, journal)
    if effects is None:
        return []
    translation = group.records[0].translation
    caption = f"{MARKS}. " + (PRINTED if translation else "") + trivial_words(group.records) + group.caption
    tables: list[Item] = []
    for number, (teacher, rows) in enumerate(effects.groupby("teacher")):
        tables.append(
            Table(
                name="table1" if number == 0 else file_name("table1", str(teacher)),
                title=f"Table 1: change of {metric_name(rows['metric'].iloc[0])} with one head removed, in points; "
                f"unpruned {100 * rows['baseline'].iloc[0]:.2f} (teacher: {teacher})",
                frame=with_published(rows) if translation else rows,
                display=grid(rows),
                caption=caption,
            )
        )
    return tables


def with_published(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([rows.assign(source="measured"), published.single_heads()], ignore_index=True)


def grid(rows: pd.DataFrame) -> pd.DataFrame:
    """Text cells, a row a layer (by attention kind where there are several), a column a head."""
    cells = rows.assign(text=[_cell(row) for row in rows.itertuples()])
    wide = cells.pivot(index=["kind", "layer"], columns="head", values="text").fillna("")
    wide.columns = [str(head) for head in wide.columns]
    kinds = kinds_in_order(rows["kind"])
    wide = wide.loc[kinds].reset_index()
    if len(kinds) > 1:
        wide["layer"] = wide["kind"] + " " + wide["layer"].astype(str)
    return wide.drop(columns="kind")


def _cell(row: Any) -> str:
    """The change as the paper prints it (``-.53``), with its mark."""
    text = f"{row.delta_points:+z.2f}"
    if abs(row.delta_points) < 1:
        text = text.replace("0.", ".", 1)
    if not row.significant:
        return text
    return f"**{text}**" + ("‡" if row.significant_bh else "†")
