"""What another sample of evaluation rows would change: standard errors of effects that are made of scores.

From recorded answers it is the paired bootstrap: all models of an effect have the same resampled rows. Of records
without answers each score has a band only; scores of different models are then taken to be independent, which for
models that agree on most rows is too wide, and those of several runs to move together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from analysis.data.columns import DamagedRecordError, columns
from analysis.data.loading import Journal
from analysis.data.recorded_answers import usable_answers
from analysis.data.records import Record
from analysis.intervals.estimates import ANSWERS, BANDS

if TYPE_CHECKING:
    import numpy as np

    from prunekit.evaluation.row_answers import RowAnswers

DENSE = "dense"
"""Stage of the model before any pruning."""
RESAMPLES = 1000
OF_95 = 1.959963984540054
"""A band of 95 % is so many standard errors to either side."""


@dataclass(frozen=True)
class ScoreOnRows:
    """A score of one model on the evaluation rows, a share."""

    value: float
    error: float
    """By its band; NaN where there is none."""
    rows: int
    metric: str = ""
    answers: RowAnswers | None = None
    model: int = 0
    """Its place among the answers."""


@dataclass(frozen=True)
class ErrorOverRows:
    error: float
    """Of the mean over runs; NaN where a score has neither answers nor a band."""
    rows: int
    by: str
    """What it was taken from: answers to the same rows, or bands."""


class Scores:
    """Scores of the models of one run, with their answers where it has recorded them."""

    def __init__(self, record: Record, journal: Journal) -> None:
        """Answers that cannot be used are named in ``journal``; bands stand in for them."""
        self.record = record
        self.sheet = usable_answers(record, journal)

    def of(self, row: Mapping[Any, Any], **model: Any) -> ScoreOnRows:
        """One model.

        Arguments:
            row: ``value`` with its band, ``low`` and ``high``, shares; without a band only answers tell the error.
            model: the words that tell it from the others of the run.
        """
        low, high = (float(row.get(end, math.nan)) for end in ("low", "high"))
        rows = max((item.rows for item in self.record.data if item.role == "evaluation"), default=0)
        value, error = float(row["value"]), (high - low) / 2 / OF_95
        if self.sheet is None or model not in self.sheet.models:
            return ScoreOnRows(value, error, rows)
        metric = str(self.record.metrics["metric"])
        return ScoreOnRows(value, error, rows, metric, self.sheet.answers, self.sheet.of(**model))

    def unpruned(self, **model: Any) -> ScoreOnRows:
        """The model before any pruning."""
        row = {end: self.record.metrics.get(f"baseline{name}", math.nan)
               for end, name in (("value", ""), ("low", "_low"), ("high", "_high"))}  # fmt: skip
        return self.of(row, **model)


def stage_score(record: Record, journal: Journal, *, last: bool) -> ScoreOnRows:
    """Of a run under a budget: the model in the end, or as it was before; without a band where the table of stages
    cannot be used."""
    found = stage_scores(record, journal)
    if not found:
        return Scores(record, journal).of({"value": record.metrics["value" if last else "baseline"]})
    return found[next(stage for stage in reversed(found) if stage != DENSE) if last else DENSE]


def stage_scores(record: Record, journal: Journal) -> dict[str, ScoreOnRows]:
    """Of a run under a budget: the model after each of its stages, by their names and in their order, with that before
    any; nothing where the table of stages cannot be used."""
    scores = Scores(record, journal)
    try:
        stages = record.table("stages", columns(record.verb, "stages", "stage", "value", "low", "high"))
    except DamagedRecordError as error:
        journal.warn(f"no band over rows: {error}")
        return {}
    return {str(row["stage"]): scores.of(row, stage=row["stage"]) for row in stages.to_dict("records")}


def row_error(runs: Sequence[Sequence[ScoreOnRows]], effect: Callable[..., Any]) -> ErrorOverRows:
    """The standard error over rows of the mean over runs of ``effect(score, score, ...)``.

    Arguments:
        runs: the scores of each run that its effect is made of, in the order of its arguments.
    """
    import numpy as np

    everything = [one for run in runs for one in run]
    rows = min(one.rows for one in everything)
    sheets = {(one.answers.kind, one.answers.rows, len(one.answers)) if one.answers else None for one in everything}
    paired = len(sheets) == 1 and None not in sheets
    if paired:
        drawn = [effect(*map(_resampled, run)) for run in runs]
    elif any(math.isnan(one.error) for one in everything):
        return ErrorOverRows(math.nan, rows, "")
    else:
        normal = _normal(max(map(len, runs)))
        drawn = [effect(*(one.value + one.error * normal[place] for place, one in enumerate(run))) for run in runs]
    return ErrorOverRows(float(np.std(np.mean(drawn, axis=0), ddof=1)), rows, ANSWERS if paired else BANDS)


def difference(first: Any, second: Any) -> Any:
    """In points."""
    return 100 * (first - second)


def errors_by_test(deltas: Sequence[float], p_values: Sequence[float]) -> list[float]:
    """Standard errors of paired changes of which their two-sided p-values are recorded: the change over its quantile.

    A p-value near 1 says nothing of the error: above a half it is the largest of those below (NaN if there are none).
    """
    from scipy import stats

    known = [
        abs(delta) / float(stats.norm.isf(max(p, 1e-12) / 2)) if p <= 0.5 and delta else math.nan
        for delta, p in zip(deltas, p_values, strict=True)
    ]
    largest = max((error for error in known if not math.isnan(error)), default=math.nan)
    return [largest if math.isnan(error) else error for error in known]


def _resampled(one: ScoreOnRows) -> np.ndarray:
    from prunekit.evaluation.rescoring import resampled

    assert one.answers is not None
    return resampled(one.answers, one.metric, one.model, _counts(len(one.answers)))


@cache
def _counts(rows: int) -> np.ndarray:
    from prunekit.support.statistics import bootstrap_counts

    return bootstrap_counts(rows, resamples=RESAMPLES)


@cache
def _normal(models: int) -> np.ndarray:
    """Independent standard normal variables without correlation or bias of their own, (model, resample)."""
    import numpy as np

    drawn = np.random.default_rng(0).normal(size=(models, 20 * RESAMPLES))
    centred = drawn - drawn.mean(1, keepdims=True)
    root = np.linalg.cholesky(np.cov(centred))
    white: np.ndarray = np.linalg.solve(root, centred)
    return white
