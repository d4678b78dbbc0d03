"""Table 3: the best change with only one head kept in a layer, the head chosen on two kinds of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.data.averages import mean_text
from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.trivial import trivial_score, trivial_words
from analysis.michel import published
from analysis.render.output import Item, Table
from analysis.render.style import kinds_in_order

if TYPE_CHECKING:
    import pandas as pd

LAYERS = columns(
    "ablate_heads", "layers", "kind", "layer", "protocol", "head", "selection_examples", "metric", "baseline", "delta",
    "p_value", "significant",
)  # fmt: skip
ENCODER = "self"
"""The one kind of attention of an encoder."""
PROTOCOLS = {"dev": "dev", "train": "train"}
"""Where the head that stays was chosen, in records and in the table."""


def draw(group: Group, journal: Journal) -> list[Item]:
    effects = kept_one_head(group, journal)
    if effects is None:
        return []
    printed = published.best_single_heads().melt("layer", var_name="protocol", value_name="delta_points")
    return [
        Table(
            name="table3",
            title=f"Table 3: change of {effects['metric'].iloc[0]} with one head kept in a layer, in points",
            frame=with_published(effects, printed.assign(metric="accuracy")),
            display=display(effects, printed.assign(kind=ENCODER, significant=False)),
            caption="The head that stays is chosen on validation data (dev, as in Table 3) or on training "
            f"data{examples_chosen_on(effects)} (train, as in its appendix). sig.: p < 0.01. Published: BERT-base "
            f"(12 layers), MNLI-m, none significant{only_published(effects, printed)}. {of_teachers(effects)}"
            f"{trivial_words(group.records)}{group.caption}",
        )
    ]


def only_published(effects: pd.DataFrame, printed: pd.DataFrame) -> str:
    """Which rows are of layers that only the paper's model has; empty where ours has as many."""
    ours, theirs = int(effects["layer"].max()), int(printed["layer"].max())
    rows = f"rows {ours + 1} to {theirs} are" if ours + 1 < theirs else f"row {theirs} is"
    return f"; {rows} of layers that only it has" if ours < theirs else ""


def of_teachers(effects: pd.DataFrame) -> str:
    """What stands beside a change that is a mean over teachers; empty of one."""
    number = effects["teacher"].nunique()
    beside = "both values" if number == 2 else "the 95 % interval over them (Student)"
    return f"Change: mean of {number} teachers, in brackets {beside}. " if number > 1 else ""


def examples_chosen_on(effects: pd.DataFrame) -> str:
    """How many examples the head was chosen on in the second protocol; empty if it was left out."""
    rows = effects[effects["protocol"] == "train"]
    return f", {int(rows['selection_examples'].max()):,} examples" if len(rows) else ""


def kept_one_head(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a layer, protocol and teacher; layers and heads 1-based."""
    import pandas as pd

    parts = []
    for record, table in read_tables(group.records, "layers", LAYERS, journal):
        parts.append(
            table[list(LAYERS)].assign(
                teacher=teacher_of(record),
                trivial=trivial_score(record),
                layer=table["layer"] + 1,
                head=table["head"] + 1,
                delta_points=100 * table["delta"],
                source="measured",
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else None


def with_published(effects: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([effects, printed.assign(source="published")], ignore_index=True)


def display(effects: pd.DataFrame, printed: pd.DataFrame, protocols: Mapping[str, str] = PROTOCOLS) -> pd.DataFrame:
    """A row a kind of attention and layer, ours and the published one side by side.

    Several teachers are told as mean with its interval, two with both values, and as counts.

    Arguments:
        printed: the paper's ``kind``, ``layer``, ``protocol``, ``delta_points`` and ``significant``.
        protocols: what they are called in the heads of columns.
    """
    import pandas as pd

    kinds = kinds_in_order(effects["kind"])
    rows = []
    for kind in kinds:
        ours, theirs = effects[effects["kind"] == kind], printed[printed["kind"] == kind]
        for layer in sorted({*ours["layer"], *theirs["layer"]}):
            cells = {"layer": f"{kind} {layer}" if len(kinds) > 1 else str(layer)}
            for protocol, name in protocols.items():
                cells |= _cells(_at(ours, layer, protocol), name)
            for protocol, name in protocols.items():
                cells[f"published ({name})"] = _printed_cell(_at(theirs, layer, protocol))
            rows.append(cells)
    return pd.DataFrame(rows)


def _at(rows: pd.DataFrame, layer: int, protocol: str) -> pd.DataFrame:
    return rows[(rows["layer"] == layer) & (rows["protocol"] == protocol)]


def _printed_cell(rows: pd.DataFrame) -> str:
    """The published change, with a star where it is significant; empty where the paper has none."""
    cells = zip(rows["delta_points"], rows["significant"], strict=True)
    return "".join(f"{delta:+z.2f}" + ("*" if significant else "") for delta, significant in cells)


def _cells(rows: pd.DataFrame, chosen_on: str) -> dict[str, str]:
    names = [f"{name} ({chosen_on})" for name in ("head", "change", "sig.")]
    if rows.empty:
        return dict.fromkeys(names, "")
    deltas, significant = rows["delta_points"].tolist(), int(rows["significant"].sum())
    texts = (
        ", ".join(map(str, rows["head"])),
        mean_text(deltas, "+z.2f"),
        ("yes" if significant else "no") if len(rows) == 1 else f"{significant} of {len(rows)}",
    )
    return dict(zip(names, texts, strict=True))
