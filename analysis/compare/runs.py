"""Runs of all methods that may be compared: one teacher, one set of evaluation rows, each method's default setting; and
beside them models in 8 bits, pruned or whole, of the same teachers, on the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.cofi import runs as cofi_runs
from analysis.compare.seconds import seconds_of
from analysis.data.columns import columns
from analysis.data.frames import run_rows
from analysis.data.groups import Group, by_condition, teacher_of
from analysis.data.loading import Journal, read_tables
from analysis.data.marks.same_teacher import evaluated_on, started_from
from analysis.data.marks.trivial import ACCURACY, at_chance, trivial_score
from analysis.data.records import Record
from analysis.kwon import runs as kwon_runs
from analysis.quantization.runs import quantization

if TYPE_CHECKING:
    import pandas as pd

VARIANTS = ("importance_released", "importance_stepwise")
"""Orders of heads that are left out of the comparison: variants of the first."""
OWN_STAGES = {"budget": "mac", "refine": "auto", "refit": "auto", "uniform": False, "labels": "gold"}
"""Of the runs of `compress` that are compared: each method as it is."""
POINTS = columns("prune_heads", "points", "share", "metric", "value", "achieved_macs", "achieved_parameters")
ASKED = {"prune_cofi": "sparsity", "quantize": "remaining"}
"""By verb the setting that says how small a model is to be, if not ``constraint``."""
NUMBERS = ("parameters_percent", "macs_percent", "seconds")
"""What a run has beside its score; its speed-up depends on machine and batch."""


@dataclass(frozen=True)
class Comparable:
    """The runs of one task that started from the same fine-tuned models and were evaluated on the same rows."""

    task: str
    members: dict[str, list[Record]]
    """By verb, in its default setting."""
    apart: int = 0
    """Runs of models in 8 bits that are in no comparison of the task: of other teachers, rows or settings."""
    unsaid: int = 0
    """Runs among them that do not record which weights they started from, beside others that do."""
    number: int = 1
    """Of the comparisons of the task."""
    left: int = 0
    """Runs on fine-tuned models or rows with which nothing is compared, told by the first comparison."""

    @property
    def name(self) -> str:
        """The task, from its second comparison on with the number."""
        return self.task if self.number == 1 else f"{self.task} ({self.number})"

    @property
    def records(self) -> list[Record]:
        return [record for runs in self.members.values() for record in runs]


def comparisons(records: Sequence[Record], fewest: int = 2) -> list[Comparable]:
    """The runs of one task that can be compared with one another: those of the most verbs first, then of the most runs.

    Teachers that the same verbs started from are in one comparison; a run is in one at most. Models in 8 bits choose no
    teachers: they stand in a comparison of whose teachers each has some.

    Args:
        fewest: ways in which one of its teachers was pruned: verbs, each with its baselines, and methods of `compress`.
    """
    starts = _starts(records)
    by_teacher: dict[Start, dict[str, list[Record]]] = {}
    for record in records:
        if record.verb in USUAL and (start := starts.get(record.run_id)) is not None:
            by_teacher.setdefault(start, {}).setdefault(record.verb, []).append(record)
    alike: dict[tuple[str, frozenset[str]], list[Record]] = {}
    for (rows, _), by_verb in by_teacher.items():
        usual = {verb: chosen_runs for verb, runs in by_verb.items() if (chosen_runs := USUAL[verb](runs))}
        alike.setdefault((rows, frozenset(usual)), []).extend(record for runs in usual.values() for record in runs)
    by_size = sorted(alike.items(), key=lambda one: (-len(one[0][1]), -len(one[1]), one[0][0]))
    several = [runs for _, runs in by_size if _most_ways(runs, starts) >= fewest]
    in_8_bits = [record for record in records if record.verb == EIGHT_BITS]
    placed = [_in_8_bits(in_8_bits, {starts[record.run_id] for record in runs}, starts) for runs in several]
    apart = len(in_8_bits) - sum(map(len, placed))
    left = sum(map(len, alike.values())) - sum(map(len, several))
    found = []
    for number, (chosen, own) in enumerate(zip(several, placed, strict=True), start=1):
        members = {verb: [record for record in chosen if record.verb == verb] for verb in USUAL} | {EIGHT_BITS: own}
        named = [bool(record.model.fingerprint) for runs in members.values() for record in runs]
        found.append(Comparable(
            records[0].task, {verb: runs for verb, runs in members.items() if runs}, apart,
            named.count(False) if any(named) else 0, number, left if number == 1 else 0,
        ))  # fmt: skip
    return found


def run_points(runs: Comparable, journal: Journal) -> pd.DataFrame:
    """A row a run, of a curve of heads a row a share: the score in per cent, what is left, and what pruning took.

    Columns: ``method`` (verb and what chose the units), ``asked`` (the share, constraint, sparsity or
    share of the MACs asked for),
    ``run_id``, those of :func:`~analysis.data.frames.run_rows` and :data:`NUMBERS`, NaN where they are not recorded.
    """
    import pandas as pd

    parts = [_points_of_heads(runs.members.get("prune_heads", []), journal)]
    for verb in ("prune_fisher", "compress", "prune_cofi", EIGHT_BITS):
        members = runs.members.get(verb, [])
        parts.append(run_rows(
            [Group(members)],
            method=lambda record: f"{record.verb} {chosen_by(record)}",
            asked=_asked,
            run_id=lambda record: record.run_id,
            parameters_percent=lambda record: 100 * float(record.metrics.get("remaining_parameters", float("nan"))),
            macs_percent=lambda record: 100 * float(record.metrics["remaining_macs"]),
            seconds=seconds_of,
        ))  # fmt: skip
    points = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return points.assign(panel=runs.name)


def lengths(runs: Comparable, journal: Journal) -> dict[str, list[int]]:
    """The lengths of the sequences that each verb's shares of MACs are counted for."""
    of_verb: dict[str, set[int]] = {}
    for verb, members in runs.members.items():
        table = {"prune_heads": "points", "prune_cofi": "latency"}.get(verb, "stages")
        for _, rows in read_tables(members, table, {}, journal):
            if "length" in rows:
                of_verb.setdefault(verb, set()).update(map(int, rows["length"]))
    return {verb: sorted(values) for verb, values in of_verb.items()}


def _points_of_heads(records: list[Record], journal: Journal) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for record, table in read_tables(records, "points", POINTS, journal):
        for point in table[table["share"] > 0].to_dict("records"):
            rows.append({
                "panel": record.task, "task": record.task, "metric": point["metric"], "teacher": teacher_of(record),
                "seed": record.seed, "value": 100 * point["value"],
                "change": 100 * (point["value"] - float(record.metrics["baseline"])),
                "method": f"{record.verb} {record.config['order']}", "asked": point["share"],
                "run_id": record.run_id, "accuracy": 100 * point.get("accuracy", _accuracy(point)),
                "trivial": 100 * trivial_score(record), "trivial_accuracy": 100 * trivial_score(record, ACCURACY),
                "at_chance": at_chance(record), "parameters_percent": 100 * (1 - point["achieved_parameters"]),
                "macs_percent": 100 * (1 - point["achieved_macs"]), "seconds": seconds_of(record),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _accuracy(point: Mapping[Any, Any]) -> float:
    """Of a point of a curve that has the task's first metric alone."""
    return float(point["value"]) if point["metric"] == "accuracy" else math.nan


def _usual_heads(records: Sequence[Record]) -> list[Record]:
    """One curve an order, without training between its steps."""
    chosen = [r for r in records if r.config["order"] not in VARIANTS and not r.config.get("retrain_steps")]
    return by_condition(chosen)[0].records if chosen else []


def _usual_fisher(records: Sequence[Record]) -> list[Record]:
    """All scores with a budget of MACs; of each the runs with the most stages, as only Fisher's are rearranged."""
    groups = kwon_runs.default_runs(records, free=["score", "stages"])
    most: dict[str, tuple[bool, bool]] = {}
    for record in groups[0].records if groups else []:
        score, stages = str(kwon_runs.option(record, "score")), kwon_runs.stages_run(record)
        most[score] = max(most.get(score, stages), stages)
    return [
        record
        for record in (groups[0].records if groups else [])
        if kwon_runs.stages_run(record) == most[str(kwon_runs.option(record, "score"))]
    ]


def _usual_cofi(records: Sequence[Record]) -> list[Record]:
    groups = cofi_runs.default_runs(records, free=["structure"])
    return groups[0].records if groups else []


def own_stages(records: Sequence[Record], free: Collection[str] = ()) -> list[Record]:
    """Runs of `compress` to a budget of MACs with the stages of each method, except in the settings ``free``."""
    own = {name: value for name, value in OWN_STAGES.items() if name not in free}
    return [record for record in records if all(record.config.get(name) == value for name, value in own.items())]


def usual_compress(records: Sequence[Record]) -> list[Record]:
    """All methods with stages of their own, calibrated on as many examples, that number which the most methods have;
    of each the condition with the most runs."""
    by_method: dict[str, list[Record]] = {}
    for record in kwon_runs.usual_examples(own_stages(records), chosen_by):
        by_method.setdefault(chosen_by(record), []).append(record)
    return [record for members in by_method.values() for record in by_condition(members)[0].records]


def _in_8_bits(records: Sequence[Record], wanted: set[Start], starts: Mapping[str, Start]) -> list[Record]:
    """Of what `remaining` asked for: of each way to 8 bits and share the runs, where all of these teachers have one."""
    cells: dict[tuple[str, float], list[Record]] = {}
    same = [record for record in records if starts.get(record.run_id) in wanted and not record.config.get("source")]
    for record in by_condition(same)[0].records if same else []:
        cells.setdefault((chosen_by(record), _asked(record)), []).append(record)
    return [record for runs in cells.values() if {starts[one.run_id] for one in runs} == wanted for record in runs]


USUAL: dict[str, Callable[[Sequence[Record]], list[Record]]] = {
    "prune_heads": _usual_heads,
    "prune_fisher": _usual_fisher,
    "compress": usual_compress,
    "prune_cofi": _usual_cofi,
}
"""The verbs that are compared, and which of their runs."""
EIGHT_BITS = "quantize"
"""The verb whose models stand beside them, in 8 bits."""
Start = tuple[str, str]
"""Evaluation rows, and the whole model."""


def chosen_by(record: Record) -> str:
    """What chose the units of a run, by which its verb's methods are told apart."""
    if record.verb == "prune_cofi":
        return cofi_runs.structure(record)
    if record.verb == "compress":
        return str(record.config["method"]["name"])
    if record.verb == EIGHT_BITS:
        return quantization(record)
    return str(kwon_runs.option(record, "score"))


def way_of(record: Record) -> str:
    """What a comparison needs two of: a verb with its baselines, or a method of `compress`."""
    return f"{record.verb} {chosen_by(record)}" if record.verb == "compress" else record.verb


def _most_ways(runs: Sequence[Record], starts: Mapping[str, Start]) -> int:
    """In how many ways that teacher was pruned which was pruned in the most."""
    ways: dict[Start, set[str]] = {}
    for record in runs:
        ways.setdefault(starts[record.run_id], set()).add(way_of(record))
    return max(map(len, ways.values()))


def _asked(record: Record) -> float:
    return float(record.config[ASKED.get(record.verb, "constraint")])


def _starts(records: Sequence[Record]) -> dict[str, Start]:
    """What each run started from, by its id; without those that do not say."""
    models = started_from(records)
    rows = {record.run_id: evaluated_on(record) for record in records}
    return {run: (rows[run], model) for run, model in models.items() if rows[run]}
