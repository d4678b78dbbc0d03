"""Runs of CoFi and its baselines: which are of the default setting, and their numbers as one frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analysis.data.frames import means, run_rows
from analysis.data.groups import Group, by_condition, by_setting, describe
from analysis.data.records import Record
from analysis.data.timings import count_timed, speedups, timed_first
from analysis.intervals.replicates import with_each
from analysis.render.style import structure_name
from prunekit.config.choices import SPARSITY_TOLERANCE, UNITS

if TYPE_CHECKING:
    import pandas as pd

DEFAULTS: dict[str, Any] = {
    "structure": "learned",
    "units": UNITS,
    "matching": "paper",
    "learn_from": "teacher",
    "variant": "paper",
    "prediction_weight": 0.5,
}

SEEDS = "training seeds"
"""What differs between runs of one teacher: a seed is of the student's training, data order and gates."""


def option(record: Record, name: str) -> Any:
    """A setting of a run; the default where its record leaves it open."""
    value = record.config.get(name)
    if name == "units":
        return tuple(unit for unit in UNITS if unit in (value or UNITS))
    return usual(record, name) if value in (None, "auto") else value


def usual(record: Record, name: str) -> Any:
    """The default of a setting; the released procedure has its own matching."""
    if name == "matching" and record.config.get("variant") == "released":
        return "ordered"
    return DEFAULTS[name]


def structure(record: Record) -> str:
    """How the units that go were chosen."""
    return str(option(record, "structure"))


def default_runs(records: Sequence[Record], free: Collection[str] = ()) -> list[Group]:
    """One group a task and condition: its runs in the default setting, except in the fields ``free``."""
    groups = []
    for members in by_setting(records).values():
        groups += by_condition([record for record in members if compared(record) <= set(free)])
    return groups


def compared(record: Record) -> set[str]:
    """The fields in which a run is not CoFi itself: what it is there to compare."""
    return {name for name in DEFAULTS if option(record, name) != usual(record, name)}


def method(record: Record) -> str:
    """What chose the units, and whatever else is not the default, in words."""
    chosen_by = structure(record)
    words = [structure_name(chosen_by)]
    if option(record, "variant") == "released":
        words.append("as released")
    words += [
        f"{name} {_text(option(record, name))}"
        for name in DEFAULTS
        if name not in ("structure", "variant") and option(record, name) != usual(record, name)
    ]
    return ", ".join(words)


def by_method(group: Group) -> list[Group]:
    """Its runs by method, which the labels of all but CoFi itself tell."""
    by_name: dict[str, list[Record]] = {}
    for record in group.records:
        by_name.setdefault(method(record), []).append(record)
    plain = structure_name("learned")
    return [
        Group(members, ", ".join(words for words in (group.label, "" if name == plain else name) if words))
        for name, members in sorted(by_name.items())
    ]


def missed(record: Record) -> bool:
    """Is less or more gone than the sparsity asked for, or were weights chosen without reaching it?

    The first is computed: records of before say that a fixed structure reaches whatever it is asked for.
    """
    away = abs(float(record.sparsity["counted"]) - float(record.config["sparsity"]))
    return away > SPARSITY_TOLERANCE or record.metrics.get("reached_target") is False


def caption(groups: Iterable[Group]) -> str:
    """The words below a figure of several tasks, with where the best weights were chosen if that was the test."""
    groups = list(groups)
    records = [record for group in groups for record in group.records]
    tested = [record.config.get("student", {}).get("select_on") == "validation" for record in records]
    words = "Best weights chosen on the evaluation data, as in the paper. " if any(tested) else ""
    words = words if all(tested) else words.replace("chosen", "chosen by some runs")
    return words + describe(records, groups[0].label if len(groups) == 1 else "")


def cofi_rows(groups: Iterable[Group], **columns: Callable[[Record], Any]) -> pd.DataFrame:
    """:func:`~analysis.data.frames.run_rows` with sparsities in per cent, whether the target was missed, and
    :func:`~analysis.data.timings.speedups`."""
    groups = list(groups)
    rows = run_rows(
        groups,
        run_id=lambda record: record.run_id,
        requested=lambda record: round(100 * float(record.config["sparsity"]), 6),
        counted=lambda record: 100 * float(record.sparsity["counted"]),
        missed=missed,
        speedup=speedups([record for group in groups for record in group.records]),
        **columns,
    )
    return timed_first(rows) if len(rows) else rows


def at_sparsity(groups: Sequence[Group], sparsity: float) -> list[Group]:
    """The runs that asked for a sparsity and reached it."""
    records = [
        [record for record in group.records if float(record.config["sparsity"]) == sparsity and not missed(record)]
        for group in groups
    ]
    return [replace(group, records=members) for group, members in zip(groups, records, strict=True) if members]


def cofi_means(rows: pd.DataFrame, by: Sequence[str], also: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of every ``by`` averaged as in :func:`~analysis.data.frames.means`.

    ``each`` has what the mean is of, one value a teacher or, of one teacher, a seed; ``missed`` is the number of runs
    that missed their target, ``timed`` of those that were timed.
    """
    counts = {name: (name, "sum") for name in ("missed", "paired") if name in rows}
    distinct = rows.drop_duplicates([*by, "teacher", "seed"])
    averaged = count_timed(with_each(means(distinct, by, ["change", "counted", *also]), distinct, by), distinct, by)
    if counts:
        averaged = averaged.merge(distinct.groupby(list(by), as_index=False).agg(**counts), on=list(by))
    return averaged


def missed_text(frame: pd.DataFrame, sign: str, label: Callable[[Any], str]) -> str:
    """A sentence on what missed its target; nothing where all reached theirs."""
    if "missed" not in frame:
        return ""
    rows = frame[frame["missed"].fillna(0) > 0].itertuples()
    texts = [f"{row.panel}, {label(row)}, {row.requested:g} %: {row.missed:.0f} of {row.runs:.0f} runs" for row in rows]
    return f"{sign}: target missed ({'; '.join(texts)}). " if texts else ""


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
