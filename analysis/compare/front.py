"""Pareto fronts: what no other point beats in both score and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.render.style import BLACK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def on_front(frame: pd.DataFrame, cost: str, *, more_is_better: bool = False) -> pd.Series:
    """Is no other row at least as good in ``value`` and ``cost`` and better in one of them? NaN costs never are.

    Arguments:
        more_is_better: a larger ``cost`` is better, as for speed-ups.
    """
    import pandas as pd

    values, costs = frame["value"].to_numpy(), frame[cost].to_numpy() * (-1 if more_is_better else 1)
    on_front = []
    for value, own in zip(values, costs, strict=True):
        as_good = (values >= value) & (costs <= own)
        better = (values > value) | (costs < own)
        on_front.append(bool(own == own and not (as_good & better).any()))  # NaN differs from itself
    return pd.Series(on_front, index=frame.index, dtype=bool)


def draw_front(axes: Axes, frame: pd.DataFrame, cost: str, *, more_is_better: bool = False) -> None:
    """Steps through the rows whose ``front_COST`` is set: the best score at that cost or a better one."""
    front = frame[frame[f"front_{cost}"]].sort_values([cost, "value"])
    if len(front):
        # A model of better cost serves as well: to the right of its share, to the left of its speed-up.
        style: dict[str, Any] = {"color": BLACK, "linewidth": 1.0, "linestyle": (0, (1, 1)), "zorder": 1.9}
        axes.step(front[cost], front["value"], where="pre" if more_is_better else "post", label="Pareto front", **style)
