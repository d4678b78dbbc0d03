"""Methods of `compress` that pruned the same models to the same budgets, by their scores and pair by pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from analysis.compare.pairs import Answered, Paired, compare_pair, same_draws
from analysis.compare.runs import chosen_by, comparisons
from analysis.compare.seconds import seconds_of
from analysis.data.groups import by_setting, teacher_of
from analysis.data.loading import Journal
from analysis.data.marks.same_teacher import started_from
from analysis.data.marks.trivial import at_chance, trivial_score, trivial_text
from analysis.data.recorded_answers import usable_answers
from analysis.data.records import Record
from analysis.intervals.row_errors import ScoreOnRows, stage_score


@dataclass(frozen=True)
class Entrant:
    """A method at one budget of one task."""

    method: str
    records: tuple[Record, ...]
    scores: tuple[ScoreOnRows, ...]
    """Of the model that each run ended with, with what it answers."""
    models: Mapping[str, str]
    """That which each run started from, by the run's id."""

    @property
    def value(self) -> float:
        """Score: the mean over fine-tuned models, of each over its runs, as differences are taken."""
        by_model: dict[str, list[float]] = {}
        for record in self.records:
            by_model.setdefault(teacher_of(record), []).append(float(record.metrics["value"]))
        return fmean(fmean(values) for values in by_model.values())

    @cached_property
    def answered(self) -> list[Answered]:
        """What its models answer, each a draw of the fine-tuned model and the seed of the calibration."""
        return [
            Answered(record.run_id, teacher_of(record), score.answers, score.model,
                     (self.models[record.run_id], record.seed))
            for record, score in zip(self.records, self.scores, strict=True)
            if score.answers is not None
        ]  # fmt: skip

    @property
    def seconds(self) -> float:
        """Of pruning, the mean of its runs."""
        return fmean(seconds_of(record) for record in self.records)

    @property
    def memory(self) -> int:
        """Bytes: the least of its runs, as a process that made several has the peak of all so far."""
        return min(record.peak_memory_bytes for record in self.records)


@dataclass(frozen=True)
class Contest:
    """All methods at one budget of one task."""

    task: str
    metric: str
    constraint: float
    entrants: tuple[Entrant, ...]
    """By falling score: the first one is rank 1."""

    @property
    def at_chance(self) -> bool:
        """Is a fine-tuned model no better than the trivial answer?"""
        return any(at_chance(record) for one in self.entrants for record in one.records)

    @property
    def trivial(self) -> str:
        """What the trivial answer scores, in per cent, and whether a fine-tuned model is no better."""
        return trivial_text(100 * trivial_score(self.entrants[0].records[0]), self.at_chance)

    def paired(self, method: Entrant, rival: Entrant) -> bool:
        """Are both of the same models and calibration draws?"""
        return same_draws(method.answered, rival.answered)

    def less(self, method: Entrant, rival: Entrant) -> Paired:
        """The method less its rival, on the same rows; of the same models and draws what the claims say of them."""
        return compare_pair(self.metric, method.answered, rival.answered)


def contests(records: Sequence[Record], journal: Journal, method: str | None = None) -> Iterator[Contest]:
    """By task and constraint, where two methods or more have recorded what their models answer; what is left out is
    said.

    Arguments:
        method: that is to be among them.
    """
    for members in by_setting([record for record in records if record.verb == "compress"]).values():
        found = comparisons(members, fewest=1)
        if not found:
            continue
        runs, *others = found
        if left_out := sum(len(one.records) for one in others):
            journal.warn(
                f"{runs.task}: {left_out} run{'s' * (left_out > 1)} of compress on other models or rows, not ranked"
            )
        models = started_from(members)
        scores: dict[str, ScoreOnRows] = {}
        budgets: dict[float, list[Record]] = {}
        for record in runs.records:
            if usable_answers(record, journal, "not ranked") is None:
                continue
            score = stage_score(record, journal, last=True)
            if score.answers is None:
                journal.warn(f"not ranked: {record.folder}: no answers of the model that it ended with")
            else:
                scores[record.run_id] = score
                budgets.setdefault(float(record.config["constraint"]), []).append(record)
        for constraint, own in sorted(budgets.items()):
            by_method: dict[str, list[Record]] = {}
            shared = _of_shared_models(own, models, method)
            if left_out := len(own) - len(shared):
                journal.warn(
                    f"{runs.task} at {constraint:g}: {left_out} run{'s' * (left_out > 1)} of compress on models that "
                    "other methods did not prune, not ranked"
                )
            for record in shared:
                by_method.setdefault(chosen_by(record), []).append(record)
            entrants = [
                Entrant(name, tuple(some), tuple(scores[record.run_id] for record in some), models)
                for name, some in by_method.items()
            ]
            entrants.sort(key=lambda one: (-one.value, one.method))
            if len(entrants) > 1:
                yield Contest(runs.task, str(own[0].metrics["metric"]), constraint, tuple(entrants))


def _of_shared_models(
    records: Sequence[Record], models: Mapping[str, str], method: str | None
) -> list[Record]:
    """Those of the fine-tuned models that the same methods have pruned, as many methods as possible; of as many, those
    with the most runs."""
    methods: dict[str, set[str]] = {}
    for record in records:
        methods.setdefault(models[record.run_id], set()).add(chosen_by(record))
    runs = Counter(frozenset(methods[models[record.run_id]]) for record in records)
    some = [own for own in runs if method is None or method in own]
    most = max(some, key=lambda own: (len(own), runs[own], sorted(own)), default=None)
    return [record for record in records if methods[models[record.run_id]] == most]
