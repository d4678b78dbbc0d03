"""Two ways of pruning by `compress`, run by run: the same model, rows, calibration draw and budget under both."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import Any

from analysis.compare.runs import own_stages
from analysis.data.groups import by_setting, condition_of
from analysis.data.marks.same_teacher import evaluated_on, started_from
from analysis.data.records import Record

Pair = tuple[Record, Record]
Condition = tuple[tuple[str, str], ...]


def method_pairs(
    records: Sequence[Record], first: Mapping[str, Any], second: Mapping[str, Any]
) -> dict[str, list[Pair]]:
    """The runs of two ways that differ in nothing else, by task; without tasks that have none.

    Of options of the methods, and of what is configured beside them, those count that the most pairs have; two ways of
    one method have the same options.

    Arguments:
        first, second: ``method`` and, where it is not the method's own, ``refine`` or ``refit``, as records resolve
            them, or ``uniform``. Stages that neither names are those of each method. Where neither names a method, all
            are paired, each with itself.
    """
    free = {*first, *second} - {"method"}
    chosen = {}
    for setting, members in by_setting([record for record in records if record.verb == "compress"]).items():
        own = own_stages(members, free)
        named = [{}] if "method" in first else [{"method": name} for name in sorted({_said(r, "method") for r in own})]
        pairs = [pair for method in named for pair in _most_pairs(own, {**first, **method}, {**second, **method})]
        if pairs:
            chosen[setting.task] = pairs
    return chosen


def _most_pairs(records: Sequence[Record], first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Pair]:
    """Of two methods, with the options that the most pairs have."""
    pairs: dict[tuple[Condition, ...], list[Pair]] = {}
    for (options, ours), (others, theirs) in product(_by_options(records, first), _by_options(records, second)):
        if first["method"] == second["method"] and options != others:
            continue
        for cell in sorted(ours.keys() & theirs.keys(), key=repr):
            alike = options, others, _beside(ours[cell])
            pairs.setdefault(alike, []).append((ours[cell], theirs[cell]))
    return max(pairs.values(), key=len, default=[])


def _said(record: Record, name: str) -> Any:
    """A stage or the method as the record resolves it, else a setting."""
    return record.metrics[name] if name in record.metrics else record.config.get(name)


def _by_options(records: Sequence[Record], way: Mapping[str, Any]) -> list[tuple[Condition, dict[Hashable, Record]]]:
    """The runs of a way by the options of its method, and there by all that two runs of a pair have in common."""
    runs: dict[Condition, dict[Hashable, Record]] = {}
    models = started_from(records)
    for record in records:
        if all(_said(record, name) == value for name, value in way.items()):
            runs.setdefault(_options(record), {})[_cell(record, models.get(record.run_id))] = record
    return sorted(runs.items())


def _options(record: Record) -> Condition:
    return tuple(sorted(item for item in condition_of(record).items() if item[0].startswith("method.")))


def _beside(record: Record) -> Condition:
    """Whatever is configured beside method, stages, budget and seeds."""
    return tuple(sorted(item for item in condition_of(record).items() if not item[0].startswith("method.")))


def _cell(record: Record, model: str | None) -> Hashable:
    """All that may not differ: the model that it started from, the evaluation rows, how many examples are drawn to
    calibrate on and by which seed, the budget, and what is configured beside."""
    return (
        model, evaluated_on(record), int(record.config["calibration_examples"]), record.seed,
        float(record.config["constraint"]), _beside(record),
    )  # fmt: skip
