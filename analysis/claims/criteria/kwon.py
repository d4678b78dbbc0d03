"""When does a claim of Kwon et al. 2022 hold? Judged per task, from records alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analysis.claims.claim import Outcome
from analysis.claims.registry import criterion
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.marks.quiet import for_verdict
from analysis.data.timings import SPREAD, add_timings, of_timed, timings
from analysis.intervals.estimates import CONFIDENCE, Estimate, fixed
from analysis.intervals.medians import error_of_median
from analysis.intervals.positive import Positive
from analysis.intervals.replicates import estimate, positive_mean
from analysis.intervals.row_errors import difference, stage_score
from analysis.intervals.selected import LargestOfSelected
from analysis.kwon import comparisons
from analysis.kwon import seconds as kwon_seconds
from analysis.kwon.runs import default_runs, fisher_rows, option
from analysis.render.style import metric_range

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from analysis.intervals.estimates import Effect

RUN = ["budget", "constraint", "teacher", "seed"]
"""Runs that differ in none of these differ in no number."""


@criterion
def fewer_macs(group: Group, journal: Journal, *, at_least: float) -> list[Outcome]:
    """Change in points at the best budget that lowers MACs at least so much; the factor to one digit, as printed."""
    outcomes = []
    for one in default_runs(group.records):
        rows = _rows(one)
        rows["factor"] = 100 / rows["remaining_percent"]
        outcomes += _best(one, rows, at_least, 1, lambda own: fixed(round(own["factor"].mean(), 1)), journal)
    return outcomes


@criterion
def faster(group: Group, journal: Journal, *, at_least: float) -> list[Outcome]:
    """Change in points, of all draws, at the best budget, of either kind, that is measured to be at least so much
    faster; the factor to two digits, as printed, as sure as the draws that were timed are alike, of a single one as its
    rounds are."""
    outcomes = []
    for one in default_runs(group.records, free=["budget"]):
        times = timings(for_verdict(one.records)[0], journal)
        rows = of_timed(add_timings(_every_run(one), times), ["budget", "constraint"]).drop_duplicates(RUN)
        outcomes += _best(one, rows.rename(columns={"speedup": "factor"}), at_least, 2, _measured, journal)
    return outcomes


@criterion
def seconds(group: Group, journal: Journal) -> list[Outcome]:
    """Seconds of pruning, the mean over budgets and the geometric mean over draws."""
    outcomes = []
    for one in default_runs(group.records):
        total = {r.run_id: sum(kwon_seconds.of_stage(r, part) for part in kwon_seconds.PARTS) for r in one.records}
        rows = _rows(one)
        rows = rows.assign(total=rows["run_id"].map(total))
        outcomes.append(Outcome(positive_mean(rows, "total"), subject=one.title))
    return outcomes


@criterion
def predicted_labels(group: Group, journal: Journal) -> list[Outcome]:
    """Change in points when predicted labels replace gold ones in the same run, the mean over budgets."""
    outcomes = []
    for one in comparisons.compared(group, "labels"):
        rows = fisher_rows([one], labels=lambda record: option(record, "labels"), run_id=lambda record: record.run_id)
        cell = ["constraint", "teacher", "seed"]
        gold, predicted = (rows[rows["labels"] == name].drop_duplicates(cell) for name in ("gold", "predicted"))
        cells = predicted.merge(gold, on=cell, suffixes=("", "_gold"))
        if len(cells):
            cells["difference"] = cells["value"] - cells["value_gold"]
            records = {record.run_id: record for record in one.records}
            ends = zip(cells["run_id"], cells["run_id_gold"], strict=True)
            scores = [[stage_score(records[run], journal, last=True) for run in both] for both in ends]
            low, high = cells["difference"].min(), cells["difference"].max()
            note = f"{cells['constraint'].nunique()} budgets, {low:+z.1f} to {high:+z.1f}"
            outcomes.append(Outcome(estimate(cells, "difference", scores, difference), note, one.title))
    return outcomes


def _rows(group: Group) -> pd.DataFrame:
    """A row a run; runs that differ in no number count once."""
    return _every_run(group).drop_duplicates(RUN)


def _every_run(group: Group) -> pd.DataFrame:
    return fisher_rows([group], budget=lambda record: option(record, "budget"), run_id=lambda record: record.run_id)


def _best(
    group: Group, rows: pd.DataFrame, at_least: float, digits: int, factor: Callable[[pd.DataFrame], Effect],
    journal: Journal,
) -> list[Outcome]:  # fmt: skip
    """Of the budgets whose factor is large enough, that which loses least; all that were looked at are counted, and the
    factors that are measured as well.

    Nothing where no budget seems to be, nor may be by the interval of what several draws measured.
    """
    records = {record.run_id: record for record in group.records}
    candidates: list[tuple[Estimate, Effect]] = []
    for _, members in rows.groupby(["budget", "constraint"]):
        scores = [[stage_score(records[run], journal, last=True), stage_score(records[run], journal, last=False)]
                  for run in members["run_id"]]  # fmt: skip
        candidates.append((estimate(members, "change", scores, difference), factor(members)))
    seem = [one for one in candidates if round(one[1].value, digits) >= at_least]
    seem = seem or [one for one in candidates if _known(one[1]) and one[1].interval(CONFIDENCE).high >= at_least]
    if not seem:
        return []
    best = LargestOfSelected([one for one, _ in seem], candidates, at_least, digits)
    chosen = next(other for one, other in seem if one is best.largest)
    measured = sum(other.main.unsure for _, other in candidates)
    whole = float((rows["value"] - rows["change"]).mean())
    least, most = metric_range(str(rows["metric"].iloc[0]))
    return [Outcome(best, _factor_text(chosen, digits), group.title, cells=len(candidates) + measured,
                    limits=(least - whole, most - whole))]  # fmt: skip


def _measured(rows: pd.DataFrame) -> Effect:
    """The factor over draws; of a single shape its median, as far as its record has the quartiles."""
    timed = rows.dropna(subset=["factor"])
    if len(timed) > 1 or timed[list(SPREAD)].isna().to_numpy().any():
        return positive_mean(timed, "factor")
    factor, low, high, repeats = (float(timed[name].iloc[0]) for name in ("factor", *SPREAD))
    return Positive(fixed(math.log(factor), error_of_median(low, high, repeats) / factor, int(repeats)))


def _known(factor: Effect) -> bool:
    """Is it counted, or measured so that it has an error?"""
    return not factor.main.single


def _factor_text(factor: Effect, digits: int) -> str:
    """With its interval, if it is measured."""
    text = f"at {factor.value:.{digits}f} x"
    if not _known(factor):
        return f"{text}, its error not recorded"
    if not factor.main.unsure:
        return text
    low, high = factor.interval(CONFIDENCE)
    return f"{text} ({low:.{digits}f} to {high:.{digits}f})"
