"""Means over repeated runs with their intervals, and the unpruned model beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analysis.data.groups import by_teacher
from analysis.data.marks.trivial import at_chance, trivial_score
from analysis.data.records import Record

if TYPE_CHECKING:
    import pandas as pd

SCORES = "Scores: mean over runs, in brackets its 95 % interval (Student), of two runs both values"
"""What :func:`mean_text` shows in tables of scores."""


def average(rows: pd.DataFrame, column: str = "value") -> dict[str, Any]:
    """Mean of repeated runs with its 95 % interval, and how many teachers and runs it is of.

    The interval is over teachers where there are several (a teacher's seeds are averaged first, because runs
    of one teacher are not independent), else over the seeds of one teacher; NaN below three values.
    """
    values = rows.groupby("teacher")[column].mean() if rows["teacher"].nunique() > 1 else rows[column]
    low, high = mean_interval(values.tolist())
    return {
        "value": float(values.mean()),
        "low": low,
        "high": high,
        "teachers": rows["teacher"].nunique(),
        "runs": len(rows),
    }


def resampled_text(rows: pd.DataFrame, drawn_anew: str) -> str:
    """What the intervals of ``rows`` (of :func:`average`) are over, for captions; empty where no row has one.

    Arguments:
        drawn_anew: what differs between the runs of one teacher: ``calibration draws``.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"teachers": [1, 3, 5], "low": [0.5, 0.5, float("nan")]})
    >>> resampled_text(rows, "calibration draws"), resampled_text(rows[:1], "calibration draws")
    ('teachers or calibration draws', 'calibration draws')
    """
    teachers = rows.loc[rows["low"].notna(), "teachers"]
    words = ["teachers"] if (teachers > 1).any() else []
    return " or ".join([*words, drawn_anew] if (teachers == 1).any() else words)


def mean_interval(values: list[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean; NaN below three values, where it would say nothing."""
    import numpy as np

    from prunekit.support.statistics import mean_band

    if len(values) < 3:
        return float("nan"), float("nan")
    band = mean_band(np.array(values))
    return float(band.low), float(band.high)


def mean_text(values: Sequence[float], form: str = ".1f") -> str:
    """A mean with what says how sure it is: its interval; of two values, which have none, both; of one nothing.

    >>> mean_text([1.0, 2.0, 3.0]), mean_text([1.0, 3.0], "+z.2f"), mean_text([0.5])
    ('2.0 (-0.5 to 4.5)', '+2.00 (+1.00; +3.00)', '0.5')
    """
    mean = f"{sum(values) / len(values):{form}}"
    if len(values) > 2:
        return f"{mean} ({' to '.join(f'{end:{form}}' for end in mean_interval(list(values)))})"
    return mean if len(values) == 1 else f"{mean} ({'; '.join(f'{value:{form}}' for value in values)})"


def unpruned(records: Sequence[Record]) -> dict[str, Any]:
    """The unpruned metric in per cent and its 95 % sampling interval, averaged over teachers.

    ``trivial`` is the trivial answer's score in per cent, ``at_chance`` whether a teacher is no better.
    """
    bands = [
        [float(members[0].metrics[f"baseline{end}"]) for end in ("", "_low", "_high")]
        for members in by_teacher(records).values()
    ]
    value, low, high = (100 * sum(column) / len(bands) for column in zip(*bands, strict=True))
    beside = {"trivial": 100 * trivial_score(records[0]), "at_chance": any(map(at_chance, records))}
    return {"value": value, "low": low, "high": high, "teachers": len(bands), "runs": len(records), **beside}
