"""A cost that scores are drawn against, and its Pareto front: what no other point beats in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from analysis.compare.within import best_within
from analysis.compare.words import ORACLE, by_verb, unlike
from analysis.render.style import BLACK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Panel:
    """One cost that the score is drawn against."""

    cost: str
    """Its column; ``front_COST`` says which rows are on the front."""
    title: str
    label: str
    batch: float | None = None
    """Only rows timed at this batch size."""
    level: float | None = None
    """Only each method's best row with at most so many per cent of the MACs."""
    lengths: Mapping[str, list[int]] = field(default_factory=dict)
    """Of the sequences that the cost is of, by verb; none where it is of no length."""
    fronted: bool = True
    """Whether costs may be held against one another: seconds beside other work may not."""

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows that are drawn, with ``front_COST`` as it is among means of several runs, where all are of the same
        length and may be held against one another."""
        rows = frame.dropna(subset=[self.cost])
        if self.batch is not None:
            rows = rows[rows["batch_size"] == self.batch]
        if self.level is not None:
            rows = best_within(rows, self.level)
        may_be = self.fronted and not unlike(self.lengths)
        several = rows[(rows["method"] != ORACLE) & (rows["runs"] > 1) & may_be]
        front = on_front(several, self.cost, more_is_better=self.more_is_better)
        return rows.assign(**{f"front_{self.cost}": front.reindex(rows.index, fill_value=False)})

    @property
    def axis(self) -> str:
        """The label, with the lengths where methods differ in them."""
        if not unlike(self.lengths):
            return self.label
        lengths = by_verb(self.lengths).replace("; ", ";\n")
        return f"{self.label}\nat length {lengths}"

    @property
    def more_is_better(self) -> bool:
        return self.cost == "speedup"


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
