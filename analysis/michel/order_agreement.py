"""How far the pruning orders agree: Kendall's tau between every two of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import Group, by_teacher, of_all_kinds
from analysis.data.loading import Journal, read_tables
from analysis.michel.fig3b import order_of
from analysis.render.heatmap import draw_map
from analysis.render.output import Drawing, Item, count_range
from analysis.render.style import ORDERS, add_caption, figure_style, looks_of, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SCORES = columns("prune_heads", "scores", "kind", "layer", "head", "rank")
UNIT = ["kind", "layer", "head"]


def draw(group: Group, journal: Journal) -> list[Item]:
    group = of_all_kinds(group)
    frame = agreement(group, journal)
    if frame is None:
        return []
    return [Drawing("order_agreement", plot(frame), frame, group.caption)]


def agreement(group: Group, journal: Journal) -> pd.DataFrame | None:
    """Kendall's tau of the ranks of one teacher's heads, a row a pair of orders: mean over teachers and seeds."""
    import pandas as pd
    from scipy.stats import kendalltau

    rows = []
    for teacher, members in by_teacher(group.records).items():
        ranks: dict[str, list[pd.Series]] = {}
        for record, table in read_tables(members, "scores", SCORES, journal):
            ranks.setdefault(order_of(record), []).append(table.set_index(UNIT)["rank"])
        for first, second in itertools.combinations(looks_of(ORDERS, ranks), 2):
            for pair in itertools.product(ranks[first], ranks[second]):
                both = pd.concat(pair, axis=1, join="inner").to_numpy()
                tau = float(kendalltau(both[:, 0], both[:, 1]).statistic)
                rows.append({"first": first, "second": second, "teacher": teacher, "tau": tau})
    if not rows:
        return None
    frame = pd.DataFrame(rows).groupby(["first", "second"], sort=False, as_index=False)
    return frame.agg(
        tau=("tau", "mean"),
        low=("tau", "min"),
        high=("tau", "max"),
        teachers=("teacher", "nunique"),
        pairs=("tau", "size"),
    )


def plot(frame: pd.DataFrame) -> Figure:
    import numpy as np

    looks = looks_of(ORDERS, [*frame["first"], *frame["second"]])
    place = {order: number for number, order in enumerate(looks)}
    grid = np.full((len(looks), len(looks)), np.nan)
    for row in frame.itertuples():
        grid[place[str(row.second)], place[str(row.first)]] = row.tau
    labels = [look.label for look in looks.values()]
    # A triangle without its empty first row and last column.
    grid, down, across = grid[1:, :-1], labels[1:], labels[:-1]
    with figure_style():
        figure = new_figure(max(3.9, 2.6 + 0.45 * len(across)), 1.45 + 0.32 * len(down))
        axes = figure.subplots()
        draw_map(
            axes,
            grid,
            columns=across,
            rows=down,
            limits=(-1, 1),
            text="{:.2f}".format,
            palette="PuOr",
            dark=lambda tau: abs(tau) > 0.65,
            fontsize=7,
            bar="Kendall's tau",
        )
        axes.set_xticks(range(len(across)), across, rotation=30, ha="right", rotation_mode="anchor")
        single = frame["pairs"].max() == 1
        pairs = "a single pair of runs" if single else f"mean of {count_range(frame['pairs'])} pairs of runs"
        add_caption(figure, f"1: the same order, 0: unrelated. A cell: {pairs}.")
    return figure
