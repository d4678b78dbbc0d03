"""Runs of Fisher pruning: which are of the default setting, and their numbers as one frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.curves import average
from analysis.groups import Group, by_condition, by_setting, describe, teacher_of
from analysis.records import Record

if TYPE_CHECKING:
    import pandas as pd

DEFAULTS = {
    "budget": "mac",
    "score": "fisher",
    "variant": "paper",
    "labels": "gold",
    "target": "dense",
    "on_failure": "skip",
}
TOLERANCE = 1.0
"""Points below the unpruned metric that the paper's headline allows."""


def option(record: Record, name: str) -> Any:
    """A setting of a run; the default where its record leaves it open."""
    value = record.config.get(name)
    return DEFAULTS.get(name) if value is None else value


def default_runs(records: Sequence[Record], free: Collection[str] = ()) -> list[Group]:
    """One group a task and condition: its runs in the default setting, except in the fields ``free``.

    Of the numbers of calibration examples the one with the most constraints (then the most runs) counts as the
    default. Runs that left stages out count only where none has more: not every model can be tuned.
    """
    groups = []
    for members in by_setting(records).values():
        for group in by_condition(members):
            chosen = [r for r in group.records if all(option(r, n) == v for n, v in DEFAULTS.items() if n not in free)]
            if "calibration_examples" not in free:
                chosen = _usual_examples(chosen)
            if "stages" not in free:
                most = max(map(stages_run, chosen), default=None)
                chosen = [record for record in chosen if stages_run(record) == most]
            if chosen:
                groups.append(replace(group, records=chosen))
    return groups


def by_device(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups once for every hardware, that of most runs first: times of two machines never share a figure."""
    devices = Counter(record.device for group in groups for record in group.records)
    return [
        [
            replace(group, records=found)
            for group in groups
            if (found := [record for record in group.records if record.device == device])
        ]
        for device, _ in sorted(devices.items(), key=lambda item: (-item[1], item[0]))
    ]


def stages_run(record: Record) -> tuple[bool, bool]:
    """Was the model tuned, were its masks rearranged?"""
    return bool(record.config.get("tune", True)), bool(record.config.get("rearrange", True))


def caption(groups: Iterable[Group]) -> str:
    """The words below a figure of several tasks, with what its runs left out."""
    records = [record for group in groups for record in group.records]
    untuned = [not stages_run(record)[0] for record in records]
    words = ("Not tuned. " if all(untuned) else "Not all tuned. ") if any(untuned) else ""
    return words + describe(records)


def run_rows(groups: Iterable[Group], **columns: Callable[[Record], Any]) -> pd.DataFrame:
    """One row a run: panel, constraint, seeds, and the metric before and after in per cent.

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
                "constraint": float(record.config["constraint"]),
                "teacher": teacher_of(record),
                "seed": record.seed,
                "value": 100 * float(record.metrics["value"]),
                "change": 100 * (float(record.metrics["value"]) - float(record.metrics["baseline"])),
                "remaining_percent": 100 * float(record.metrics["remaining_macs"]),
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
    """
    import pandas as pd

    rows = []
    # Runs that differ in no number (only in threads, say) count once.
    for keys, found in frame.drop_duplicates([*by, "teacher", "seed"]).groupby(list(by), sort=True):
        row = dict(zip(by, keys, strict=True)) | {"metric": found["metric"].iloc[0]} | average(found)
        rows.append(row | {name: average(found, name)["value"] for name in also})
    return pd.DataFrame(rows)


def mark_within(frame: pd.DataFrame, best: str, *, largest: bool) -> pd.DataFrame:
    """Add ``within_1_point`` (less than one point lost, on average) and ``marked``, the best such row.

    Arguments:
        frame: rows of one curve with ``change`` in points.
        best: the column whose smallest, or ``largest``, value is best.
    """
    within = frame["change"] > -TOLERANCE + 1e-9
    inside = frame.loc[within, best]
    place = (inside.idxmax() if largest else inside.idxmin()) if len(inside) else None
    return frame.assign(within_1_point=within, marked=frame.index == place)


def _usual_examples(records: list[Record]) -> list[Record]:
    by_number: dict[int, list[Record]] = {}
    for record in records:
        by_number.setdefault(int(record.config["calibration_examples"]), []).append(record)

    def spread(number: int) -> tuple[int, int, int]:
        members = by_number[number]
        return len({record.config["constraint"] for record in members}), len(members), number

    return by_number[max(by_number, key=spread)] if by_number else []
