"""Curves of pruned heads as claims need them: every point with its band or answers, by teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.data.columns import columns
from analysis.data.groups import teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.data.records import Record
from analysis.intervals.row_errors import OF_95, ScoreOnRows, Scores

if TYPE_CHECKING:
    import pandas as pd

POINTS = columns("prune_heads", "points", "share", "value", "low", "high")


class Curve:
    """Scores by the share of heads pruned, of one teacher; a share has one score a seed."""

    def __init__(self) -> None:
        self._points: dict[float, dict[int, ScoreOnRows]] = {}

    def add(self, share: float, seed: int, point: ScoreOnRows) -> None:
        """Every run of a sweep repeats the unpruned point, which counts once."""
        self._points.setdefault(share, {}).setdefault(seed, point)

    @property
    def shares(self) -> list[float]:
        """Rising."""
        return sorted(self._points)

    def __contains__(self, share: float) -> bool:
        return share in self._points

    def __getitem__(self, share: float) -> float:
        """The mean over seeds."""
        values = [one.value for one in self._points[share].values()]
        return sum(values) / len(values)

    def of(self, share: float) -> list[ScoreOnRows]:
        """One a seed."""
        return [point for _, point in sorted(self._points[share].items())]

    def seeds(self, share: float) -> dict[int, ScoreOnRows]:
        return self._points[share]

    def series(self) -> pd.Series:
        """The mean over seeds by share, rising."""
        import pandas as pd

        return pd.Series({share: self[share] for share in self.shares})

    @property
    def useless(self) -> bool:
        """Without any head it scores as with all of them, up to their rows: the model does not use attention."""
        if not (0.0 in self and 1.0 in self):
            return False
        whole = self.of(0.0)[0]
        return self[1.0] >= whole.value - OF_95 * whole.error


def pairs(first: Curve, share: float, second: Curve, other: float) -> list[list[ScoreOnRows]]:
    """A point of one curve and one of another for each seed that both have; of different seeds the first of each."""
    one, two = first.seeds(share), second.seeds(other)
    common = sorted(one.keys() & two.keys())
    return [[one[seed], two[seed]] for seed in common] or [[min(one.items())[1], min(two.items())[1]]]


def curves_of(records: Sequence[Record], journal: Journal, *, order: str) -> dict[str, Curve]:
    """The curve of one order for each teacher."""
    chosen = [record for record in records if record.config["order"] == order]
    curves: dict[str, Curve] = {}
    for record, table in read_tables(chosen, "points", POINTS, journal):
        scores, curve = Scores(record, journal), curves.setdefault(teacher_of(record), Curve())
        for row in table.to_dict("records"):
            curve.add(float(row["share"]), record.seed, scores.of(row, share=float(row["share"])))
    return dict(sorted(curves.items()))
