"""One method of `compress` beside all others that pruned the same models to the same budgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.compare.pairs import Answered, Paired, compare_pair
from analysis.compare.runs import comparable
from analysis.compare.seconds import seconds_of
from analysis.data.groups import by_setting, teacher_of
from analysis.data.loading import Journal
from analysis.data.recorded_answers import usable_answers
from analysis.data.records import Record


@dataclass(frozen=True)
class Standing:
    """A method among its rivals at one budget of one task."""

    task: str
    metric: str
    constraint: float
    rank: int
    """From 1, by the mean score."""
    of: int
    """Methods."""
    value: float
    """Mean score of its runs."""
    seconds: float
    """Of pruning, the mean of its runs."""
    rivals: tuple[tuple[str, float, float, Paired], ...]
    """The others by falling score: name, mean score, seconds, and the method less this rival on the same rows."""


def standings(method: str, records: Sequence[Record], journal: Journal) -> Iterator[Standing]:
    """Of a method, by task and constraint; where it has no rival, or no answers are recorded, there is none."""
    for members in by_setting([record for record in records if record.verb == "compress"]).values():
        runs = comparable(members, fewest=1)
        if runs is None:
            continue
        cells: dict[float, dict[str, list[tuple[Record, Answered]]]] = {}
        for record in runs.records:
            if (sheet := usable_answers(record, journal, "not ranked")) is not None:
                own = Answered(record.run_id, teacher_of(record), sheet.answers, len(sheet.models) - 1)
                cell = cells.setdefault(float(record.config["constraint"]), {})
                cell.setdefault(str(record.config["method"]["name"]), []).append((record, own))
        for constraint in sorted(cells):
            if method in cells[constraint] and len(cells[constraint]) > 1:
                yield _standing(method, runs.task, constraint, cells[constraint])


def _standing(
    method: str, task: str, constraint: float, cell: dict[str, list[tuple[Record, Answered]]]
) -> Standing:
    def mean(name: str, what: str) -> float:
        values = [
            seconds_of(record) if what == "seconds" else float(record.metrics["value"]) for record, _ in cell[name]
        ]
        return sum(values) / len(values)

    scores = {name: mean(name, "value") for name in cell}
    ordered = sorted(scores, key=lambda name: (-scores[name], name))
    metric = str(cell[method][0][0].metrics["metric"])
    own = [answered for _, answered in cell[method]]
    rivals = tuple(
        (name, scores[name], mean(name, "seconds"), compare_pair(metric, own, [one for _, one in cell[name]]))
        for name in ordered
        if name != method
    )
    place, took = ordered.index(method) + 1, mean(method, "seconds")
    return Standing(task, metric, constraint, place, len(ordered), scores[method], took, rivals)
