"""Fig. 1b: how much the metric changes when one head is removed, as a histogram over all heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.groups import Group, teacher_of
from analysis.loading import Journal, read_tables
from analysis.output import Drawing, Item
from analysis.style import BLUE, ORANGE, SKY, add_caption, figure_style, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

HEADS = {
    "kind": "str",
    "layer": "int",
    "head": "int",
    "ablation": "str",
    "metric": "str",
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

    plain, after_bh, both = KINDS_OF_HEAD
    kinds = np.where(effects["significant"], np.where(effects["significant_bh"], both, after_bh), plain)
    return pd.Series(kinds, index=effects.index)


def plot(frame: pd.DataFrame, caption: str) -> Figure:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    kinds = kind_of_head(frame)
    deltas = frame["delta_points"].to_numpy()
    edges = _edges(deltas)
    teachers = frame["teacher"].nunique()
    with figure_style():
        figure = new_figure(4.6, 2.9)
        axes = figure.subplots()
        groups = [deltas[kinds == kind] for kind in KINDS_OF_HEAD]
        labels = [f"{kind} ({len(values)})" for kind, values in zip(KINDS_OF_HEAD, groups, strict=True)]
        axes.hist(
            groups, bins=edges, stacked=True, color=list(KINDS_OF_HEAD.values()), label=labels,
            hatch=["", "//////", ""], edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        axes.axvline(0, color="#444444", linewidth=0.8, linestyle=(0, (3, 2)))
        axes.set_xlabel(f"change of {frame['metric'].iloc[0]} with one head removed (points)")
        axes.set_ylabel("number of heads" + (f" ({teachers} teachers)" if teachers > 1 else ""))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(*_with_margin(np.array([edges[0], edges[-1], 0.0])))
        figure.legend(loc="outside upper center", ncols=3, columnspacing=1.0, handlelength=1.2, handletextpad=0.5)
        add_caption(figure, caption)
    return figure


def _edges(deltas: np.ndarray) -> np.ndarray:  # type: ignore[name-defined]  # noqa: F821
    """Bin edges on round numbers with an edge at 0, so that a bar never holds both losses and gains."""
    import numpy as np

    span = max(float(np.ptp(np.append(deltas, 0.0))), 0.1)
    width = next(w for w in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if span / w <= 32)
    low, high = np.floor(deltas.min() / width), np.ceil(deltas.max() / width)
    return np.arange(min(low, 0), max(high, 1) + 1) * width


def _with_margin(values: np.ndarray) -> tuple[float, float]:  # type: ignore[name-defined]  # noqa: F821
    margin = 0.03 * (values.max() - values.min())
    return float(values.min() - margin), float(values.max() + margin)
