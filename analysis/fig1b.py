"""Fig. 1b: how much the metric changes when one head is removed, as a histogram over all heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.groups import Group, teacher_of
from analysis.loading import Journal, read_tables
from analysis.output import Drawing, Item
from analysis.style import BLUE, ORANGE, SKY, add_caption, figure_style, new_figure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

HEADS = {
    "kind": "str",
    "layer": "int",
    "head": "int",
    "ablation": "str",
    "metric": "str",
    "examples": "int",
    "baseline": "float",
    "value": "float",
    "delta": "float",
    "p_value": "float",
    "significant": "bool",
    "significant_bh": "bool",
}
KINDS_OF_HEAD = {
    "not significant": SKY,
    "p < 0.01": ORANGE,
    "also after Benjamini-Hochberg": BLUE,
}


def draw(group: Group, journal: Journal) -> list[Item]:
    """The histogram, one entry a head and teacher."""
    frame = single_head_effects(group, journal)
    if frame is None:
        return []
    return [Drawing("fig1b", plot(frame, group.caption), frame)]


def single_head_effects(group: Group, journal: Journal) -> pd.DataFrame | None:
    """One row a head and teacher; layers and heads 1-based, ``delta_points`` is 100 times the change."""
    import pandas as pd

    parts = []
    for record, heads in read_tables(group.records, "heads", HEADS, journal):
        one_off = heads[heads["ablation"] == "one_off"]
        parts.append(
            pd.DataFrame(
                {
                    "teacher": teacher_of(record),
                    "kind": one_off["kind"],
                    "layer": one_off["layer"] + 1,
                    "head": one_off["head"] + 1,
                    "metric": one_off["metric"],
                    "examples": one_off["examples"],
                    "baseline": one_off["baseline"],
                    "delta_points": 100 * one_off["delta"],
                    "p_value": one_off["p_value"],
                    "significant": one_off["significant"],
                    "significant_bh": one_off["significant_bh"],
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else None


def kind_of_head(effects: pd.DataFrame) -> pd.Series:
    """The key of ``KINDS_OF_HEAD`` a row belongs to."""
    import numpy as np
    import pandas as pd

    not_significant, plain, after_bh = KINDS_OF_HEAD
    kinds = np.where(effects["significant"], np.where(effects["significant_bh"], after_bh, plain), not_significant)
    return pd.Series(kinds, index=effects.index)


def plot(frame: pd.DataFrame, caption: str) -> Figure:
    from matplotlib.ticker import MaxNLocator

    kinds = kind_of_head(frame)
    deltas = frame["delta_points"].to_numpy()
    edges = bin_edges(deltas, 100 / frame["examples"].max())
    teachers = frame["teacher"].nunique()
    with figure_style():
        figure = new_figure(4.6, 2.9)
        axes = figure.subplots()
        groups = [deltas[kinds == kind] for kind in KINDS_OF_HEAD]
        labels = [f"{kind} ({len(values)})" for kind, values in zip(KINDS_OF_HEAD, groups, strict=True)]
        axes.hist(
            groups, bins=list(edges), stacked=True, color=list(KINDS_OF_HEAD.values()), label=labels,
            hatch=["", "//////", ""], edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        axes.axvline(0, color="#444444", linewidth=0.8, linestyle=(0, (3, 2)))
        axes.set_xlabel(f"change of {frame['metric'].iloc[0]} with one head removed (points)")
        axes.set_ylabel("number of heads" + (f" ({teachers} teachers)" if teachers > 1 else ""))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside upper center", ncols=3, columnspacing=1.0, handlelength=1.2, handletextpad=0.5)
        add_caption(figure, f"Bars are {edges[1] - edges[0]:.3g} points wide. {caption}")
    return figure


def bin_edges(deltas: np.ndarray, step: float) -> np.ndarray:
    """Edges of about 30 bins, the middle one centred on no change.

    Changes of an accuracy are multiples of ``step`` (one example, in points). A bin is an odd number of steps
    wide, so that its edges lie half-way between possible values and rounding cannot move a head to its neighbour.
    """
    import numpy as np

    half = max(float(np.abs(deltas).max()), 3 * step)
    steps = 1 + 2 * int(np.ceil(max(half / 15 / step - 1, 0) / 2))
    width = steps * step
    low, high = np.round(deltas.min() / width), np.round(deltas.max() / width)
    return (np.arange(min(low, -3), max(high, 3) + 2) - 0.5) * width
