"""Numbers of runs as frames, one row a run or the mean over teachers and seeds, whatever the paper."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.data.averages import average
from analysis.data.groups import Group, teacher_of
from analysis.data.marks.trivial import ACCURACY, at_chance, trivial_score
from analysis.data.records import Record

if TYPE_CHECKING:
    import pandas as pd

BESIDE = ("accuracy", "trivial", "trivial_accuracy")
"""Beside the score of every run, in per cent: its accuracy, of classification, and the trivial answer's score, both by
the same metric and by accuracy."""


def by_device(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups once for every hardware, that of most runs first: times of two machines never share a figure."""
    devices = Counter(record.device for group in groups for record in group.records)
    return [
        [
            replace(group, records=records)
            for group in groups
            if (records := [record for record in group.records if record.device == device])
        ]
        for device, _ in sorted(devices.items(), key=lambda item: (-item[1], item[0]))
    ]


def run_rows(groups: Iterable[Group], **columns: Callable[[Record], Any]) -> pd.DataFrame:
    """One row a run: panel, seeds, the metric before and after in per cent, and what stands beside it.

    Arguments:
        columns: further columns, each a function of the record.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "panel": group.title,
                "task": record.task,
                "metric": str(record.metrics.get("metric", "metric")),
                "teacher": teacher_of(record),
                "seed": record.seed,
                "value": 100 * float(record.metrics["value"]),
                "change": 100 * (float(record.metrics["value"]) - float(record.metrics["baseline"])),
                "remaining_percent": 100 * float(record.metrics["remaining_macs"]),
                "accuracy": 100 * float(record.metrics.get("accuracy", math.nan)),
                "trivial": 100 * trivial_score(record),
                "trivial_accuracy": 100 * trivial_score(record, ACCURACY),
                "at_chance": at_chance(record),
                **{name: column(record) for name, column in columns.items()},
            }
            for group in groups
            for record in group.records
        ]
    )


def means(frame: pd.DataFrame, by: Sequence[str], also: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of every ``by`` averaged over teachers and seeds, with the interval of the mean.

    Arguments:
        also: further columns to average, as the metric is but without an interval.

    Returns:
        ``by``, the metric's name, value and interval, ``also``, :data:`BESIDE`, and whether a teacher is ``at_chance``.
    """
    import pandas as pd

    rows = []
    # Runs that differ in no number (only in threads, say) count once.
    for keys, members in frame.drop_duplicates([*by, "teacher", "seed"]).groupby(list(by), sort=True):
        row = dict(zip(by, keys, strict=True)) | {"metric": members["metric"].iloc[0]} | average(members)
        row |= {name: average(members, name)["value"] for name in (*also, *BESIDE)}
        rows.append(row | {"at_chance": bool(members["at_chance"].any())})
    return pd.DataFrame(rows)
