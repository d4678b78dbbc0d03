"""Fig. 1: how much the metric changes when one head is removed, as a histogram over all heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.trivial import trivial_score
from analysis.michel import published
from analysis.render.output import Drawing, Item
from analysis.render.style import (
    ATTENTION,
    BLUE,
    GREY,
    METRICS,
    ORANGE,
    SKY,
    add_caption,
    figure_style,
    kinds_in_order,
    metric_name,
    new_figure,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

HEADS = columns(
    "ablate_heads", "heads", "kind", "layer", "head", "ablation", "metric", "examples", "baseline", "delta", "p_value",
    "significant", "significant_bh",
)  # fmt: skip
KINDS_OF_HEAD = {
    "not significant": SKY,
    "p < 0.01": ORANGE,
    "also after Benjamini-Hochberg": BLUE,
}


PRINTED = 0.01
"""Points to which BLEU is printed; its changes are no multiples of anything."""


def draw(group: Group, journal: Journal, name: str = "fig1b") -> list[Item]:
    """The histogram, one entry a head and teacher; a panel a kind of attention, translation with the published one."""
    import pandas as pd

    ours = single_head_effects(group, journal)
    if ours is None:
        return []
    frame = ours.assign(source="measured")
    if group.records[0].translation:
        frame = pd.concat([frame, published.single_heads()], ignore_index=True)
    return [Drawing(name, plot(frame), frame, group.caption)]


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
                    "trivial": trivial_score(record),
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


def plot(frame: pd.DataFrame) -> Figure:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    everything = frame["delta_points"].to_numpy()
    printed, frame = frame[frame["source"] == "published"], frame[frame["source"] == "measured"]
    significance = kind_of_head(frame)
    metric, teachers = str(frame["metric"].iloc[0]), frame["teacher"].nunique()
    step = PRINTED if metric in METRICS else 100 / frame["examples"].max()
    edges = bin_edges(everything, step)
    counts = significance.value_counts()
    labels = [f"{kind} ({counts.get(kind, 0)})" for kind in KINDS_OF_HEAD]
    kinds = kinds_in_order(frame["kind"])
    with figure_style():
        figure = new_figure(4.6, 2.9 + 1.1 * (len(kinds) - 1))
        panels = figure.subplots(len(kinds), sharex=True, squeeze=False)[:, 0]
        for axes, kind in zip(panels, kinds, strict=True):
            rows = frame[frame["kind"] == kind]
            axes.hist(
                [rows["delta_points"][significance[rows.index] == one].to_numpy() for one in KINDS_OF_HEAD],
                bins=list(edges), stacked=True, color=list(KINDS_OF_HEAD.values()), label=labels,
                hatch=["", "//////", ""], edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            theirs = printed.loc[printed["kind"] == kind, "delta_points"]
            if len(theirs):
                axes.hist(
                    theirs, bins=list(edges), weights=np.full(len(theirs), len(rows) / len(theirs)), histtype="step",
                    color=GREY, linewidth=1.1, label=f"published: WMT14 En-Fr, {len(theirs)} heads, same area",
                )  # fmt: skip
            axes.axvline(0, color="#444444", linewidth=0.8, linestyle=(0, (3, 2)))
            axes.yaxis.set_major_locator(MaxNLocator(10 if len(kinds) == 1 else 4, integer=True))
            if len(kinds) > 1:
                axes.set_title(f"{ATTENTION[kind].label} ({len(rows)} heads)")
        panels[-1].set_xlabel(f"change of {metric_name(metric)} with one head removed (points)")
        panels[len(kinds) // 2].set_ylabel("number of heads" + (f" ({teachers} teachers)" if teachers > 1 else ""))
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2 if len(printed) else 3,
            columnspacing=1.0, handlelength=1.2, handletextpad=0.5,
        )  # fmt: skip
        models = f"{teachers} models" if teachers > 1 else "One model"
        add_caption(figure, f"Bars are {edges[1] - edges[0]:.3g} points wide. {models}.")
    return figure


def bin_edges(deltas: np.ndarray, step: float) -> np.ndarray:
    """Edges of about 30 bins, the middle one centred on no change.

    Changes of an accuracy are multiples of ``step`` (one example, in points); BLEU's are printed to it. A bin is an
    odd number of steps wide, so that its edges lie half-way between possible values and rounding cannot move a head to
    its neighbour.
    """
    import numpy as np

    half = max(float(np.abs(deltas).max()), 3 * step)
    steps = 1 + 2 * int(np.ceil(max(half / 15 / step - 1, 0) / 2))
    width = steps * step
    low, high = np.round(deltas.min() / width), np.round(deltas.max() / width)
    return (np.arange(min(low, -3), max(high, 3) + 2) - 0.5) * width
