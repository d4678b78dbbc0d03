"""Table 3: the best change with only one head kept in a layer, the head chosen on two kinds of data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis import published
from analysis.groups import Group, teacher_of
from analysis.loading import Journal, read_tables
from analysis.output import Item, Table, mean_std

if TYPE_CHECKING:
    import pandas as pd

LAYERS = {
    "kind": "str",
    "layer": "int",
    "protocol": "str",
    "head": "int",
    "selection_examples": "int",
    "metric": "str",
    "baseline": "float",
    "delta": "float",
    "p_value": "float",
    "significant": "bool",
}
PROTOCOLS = ("dev", "train")
"""Where the head that stays was chosen."""


def draw(group: Group, journal: Journal) -> list[Item]:
    effects = kept_one_head(group, journal)
    if effects is None:
        return []
    rows = effects[effects["protocol"] == "train"]
    chosen = f", {int(rows['selection_examples'].max()):,} examples" if len(rows) else ""
    return [
        Table(
            name="table3",
            title=f"Table 3: change of {effects['metric'].iloc[0]} with one head kept in a layer, in points",
            frame=with_published(effects),
            display=display(effects),
            caption="The head that stays is chosen on validation data (dev, as in Table 3) or on training "
            f"data{chosen} (train, as in its appendix). sig.: p < 0.01. Published: BERT-base (12 layers), "
            f"MNLI-m, none significant. {group.caption}",
        )
    ]


def kept_one_head(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a layer, protocol and teacher; layers and heads 1-based."""
    import pandas as pd

    parts = []
    for record, table in read_tables(group.records, "layers", LAYERS, journal):
        parts.append(
            table[list(LAYERS)].assign(
                teacher=teacher_of(record),
                layer=table["layer"] + 1,
                head=table["head"] + 1,
                delta_points=100 * table["delta"],
                source="measured",
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else None


def with_published(effects: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = published.best_single_heads().melt("layer", var_name="protocol", value_name="delta_points")
    return pd.concat([effects, rows.assign(source="published", metric="accuracy")], ignore_index=True)


def display(effects: pd.DataFrame) -> pd.DataFrame:
    """A row a layer, ours and the published one side by side; several teachers as mean ± std and counts."""
    import pandas as pd

    printed = published.best_single_heads().set_index("layer")
    several_kinds = effects["kind"].nunique() > 1
    rows = []
    for kind, members in effects.groupby("kind", sort=False):
        for layer in sorted(set(members["layer"]) | (set(printed.index) if not several_kinds else set())):
            cells = {"layer": f"{kind} {layer}" if several_kinds else str(layer)}
            for protocol in PROTOCOLS:
                found = members[(members["layer"] == layer) & (members["protocol"] == protocol)]
                cells |= _cells(found, protocol)
            if not several_kinds:
                for protocol in PROTOCOLS:
                    text = f"{printed.loc[layer, protocol]:+.2f}" if layer in printed.index else ""
                    cells[f"published ({protocol})"] = text
            rows.append(cells)
    return pd.DataFrame(rows)


def _cells(found: pd.DataFrame, protocol: str) -> dict[str, str]:
    names = [f"{name} ({protocol})" for name in ("head", "change", "sig.")]
    if found.empty:
        return dict.fromkeys(names, "")
    deltas, significant = found["delta_points"].tolist(), int(found["significant"].sum())
    texts = (
        ", ".join(map(str, found["head"])),
        f"{deltas[0]:+.2f}" if len(deltas) == 1 else mean_std(deltas, 2),
        ("yes" if significant else "no") if len(found) == 1 else f"{significant} of {len(found)}",
    )
    return dict(zip(names, texts, strict=True))
