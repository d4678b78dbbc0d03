"""Verdicts by the rule: the whole interval on one side of the margin, all tasks at once, the best of several."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.claims.claim import Claim, Outcome
from analysis.claims.verdicts import confidence_of, decides_at, number_text, position, rounded, rule, verdict
from analysis.intervals.estimates import ANSWERS, BANDS, TESTS, Estimate, Interval, Largest, fixed, over_runs

CLAIM = Claim(
    text="", where="", published="", evidence="", find=lambda runs: None, test=lambda group, journal: [], effect="gain",
    margin=0.0, side="above", resample="seeds", unit="points", digits=1, command="",
)  # fmt: skip
THREE = stats.t.ppf(0.975, 2)


def judged(claim: Claim, *outcomes: Outcome, quiet: str = "") -> str:
    return verdict(claim, rule(claim, outcomes), quiet=quiet)


def at(mean: float, half: float, **given: Any) -> Outcome:
    """Three seeds whose 95 % interval is ``mean`` ± ``half``."""
    return Outcome(Estimate(mean, 3, half / THREE * math.sqrt(3)), **given)


@pytest.mark.parametrize(
    ("side", "margin", "interval", "state"),
    [
        ("above", 1, (1.01, 2), "holds"), ("above", 1, (1, 2), "undecided"), ("above", 1, (0, 1), "does not hold"),
        ("at least", 1, (1, 1), "holds"), ("at least", 1, (0, 1), "undecided"),
        ("at least", 1, (0, 0.9), "does not hold"),
        ("below", 1, (0, 0.99), "holds"), ("below", 1, (0, 1), "undecided"), ("below", 1, (1, 3), "does not hold"),
        ("within", (1, 2), (1, 2), "holds"), ("within", (1, 2), (0.9, 2), "undecided"),
        ("within", (1, 2), (2.1, 9), "does not hold"), ("within", (1, 2), (0, 0.5), "does not hold"),
    ],
)  # fmt: skip
def test_the_whole_interval_decides(side: str, margin: Any, interval: tuple[float, float], state: str) -> None:
    assert position(Interval(*interval), side, margin) == state


def test_the_interval_is_one_of_95_per_cent_with_two_sides() -> None:
    """One of 90 %, or of one side, would decide these."""
    assert judged(CLAIM, at(1.0, 0.999)) == "holds"
    assert judged(CLAIM, at(1.0, 1.001)).startswith("undecided: needs ")
    assert judged(CLAIM, at(-1.0, 0.999)) == "does not hold"


def test_one_run_and_unknown_machines_decide_nothing() -> None:
    one = Outcome(over_runs([40.0], 0.1, 1000))
    assert judged(CLAIM, one) == "undecided: only 1 seed"
    unknown = judged(CLAIM, at(9, 1), quiet="not known to be quiet; 1 run left out")
    assert unknown == "undecided: machine not known to be quiet"
    assert judged(CLAIM, at(9, 1), quiet="1 run beside other work left out") == "holds"
    assert verdict(CLAIM, []) == "not tested"
    assert verdict(CLAIM, [], ["rte"]) == "not judged: teacher at chance"


def test_every_task_is_judged_at_once() -> None:
    tasks = replace(CLAIM, over="tasks")
    half = 1.0 * stats.t.ppf(1 - 0.05 / 2 / 2, 2) / THREE
    alone, both = at(1.4, 1.0, subject="a"), at(1.4, 1.0, subject="b")
    assert half > 1.4 and judged(tasks, alone) == "holds"
    assert judged(tasks, alone, both).startswith("undecided: needs "), "two intervals of 97.5 %"
    low, high = rule(tasks, [alone, both])[0].interval
    assert (low, high) == pytest.approx((1.4 - half, 1.4 + half))
    sure, worse = at(9, 1, subject="c"), at(-9, 1, subject="d")
    assert judged(tasks, sure, worse) == "does not hold (holds for 1 of 2 tasks)"
    assert judged(tasks, sure, Outcome(over_runs([3.0]), subject="e")) == "undecided: e: only 1 seed"


def test_the_best_is_corrected_for_all_that_were_looked_at() -> None:
    best = replace(CLAIM, over="tasks", once=True, margin=-1.0)
    cell = Estimate(0.0, 3, 0.25)
    few, many = (Outcome(Largest([cell]), subject="a", cells=cells) for cells in (1, 49))
    assert confidence_of([many]) == pytest.approx(1 - 0.05 / 49)
    assert judged(best, few) == "holds"
    assert judged(best, many).startswith("undecided: needs ")
    near, nearer = (Outcome(Largest([Estimate(at, 3, 2.0)]), subject="near", cells=1) for at in (-1.5, -0.5))
    far = Outcome(Largest([Estimate(1.0, 3, 9.0)]), subject="far")
    assert judged(best, near, nearer, far).startswith("undecided: near: needs "), "one that seems to hold is enough"
    both = [near, Outcome(Largest([Estimate(-1.2, 3, 2.0)]), subject="nearest")]
    assert judged(best, *both).startswith("undecided: nearest: needs "), "all that seem not to hold are needed"
    lost = Outcome(Largest([Estimate(-9.0, 3, 0.3)]), subject="b")
    assert judged(best, few, lost) == "holds (for 1 of 2 tasks)"
    assert judged(best, lost, replace(lost, subject="c")) == "does not hold"
    single = Outcome(Largest([over_runs([0.5])]), subject="d")
    assert judged(best, lost, single) == "undecided: d: only 1 seed"


def test_an_outcome_may_have_a_margin_of_its_own() -> None:
    assert judged(CLAIM, at(1, 0.5, margin=2.0)) == "does not hold"
    assert rule(CLAIM, [at(1, 0.5, margin=2.0)])[0].margin == 2.0


def test_what_would_decide_and_what_was_judged_in_words() -> None:
    [ruling] = rule(CLAIM, [Outcome(Estimate(1.0, 3, 1.0))])
    assert decides_at(CLAIM, ruling) == "needs 10 seeds"
    assert number_text(CLAIM, ruling) == "3 seeds"
    [rows] = rule(replace(CLAIM, resample="repeats"), [Outcome(fixed(0.7, 1.0, 900))])
    assert decides_at(CLAIM, rows) == "needs 15,000 repeats"
    assert number_text(CLAIM, rows) == "900 repeats"
    one = rule(CLAIM, [Outcome(fixed(0.0, 1.0, 1))])[0]
    assert number_text(CLAIM, one) == "1 repeat"
    [certain] = rule(replace(CLAIM, resample="nothing"), [Outcome(fixed(5.0))])
    assert (certain.state, decides_at(CLAIM, certain)) == ("holds", "")
    assert number_text(replace(CLAIM, resample="nothing"), certain) == "counted"
    [at_margin] = rule(CLAIM, [Outcome(Estimate(0.0, 3, 1.0))])
    assert decides_at(CLAIM, at_margin) == "no number within reach (1,000 seeds)"
    assert [rounded(n) for n in (7, 99, 101, 14_400)] == [7, 99, 110, 15_000]


def test_rows_that_are_not_paired_have_to_be_paired_before_they_are_counted() -> None:
    values = [0.44, 0.47, 0.49]
    texts = {}
    for by in (ANSWERS, TESTS, BANDS):
        [ruling] = rule(CLAIM, [Outcome(over_runs(values, 2.0, 1000, by))])
        quantiles = stats.norm.isf(0.025) + stats.norm.isf(0.2)
        rows = 1000 * 2.0**2 / ((np.mean(values) / quantiles) ** 2 - np.var(values, ddof=1) / 3)
        assert ruling.needed is not None and ruling.needed.runs == 0
        assert ruling.needed.rows == pytest.approx(rows, rel=1e-3)
        texts[by] = decides_at(CLAIM, ruling)
    assert texts == {
        ANSWERS: "needs 150,000 rows", TESTS: "needs 150,000 rows",
        BANDS: "needs each row's answer in the records first",
    }  # fmt: skip
    [both] = rule(CLAIM, [Outcome(over_runs([-0.6, 0.7, 1.9], 1.5, 900, BANDS))])
    assert both.needed is not None and both.needed.rows and decides_at(CLAIM, both) == texts[BANDS]
    [runs] = rule(CLAIM, [Outcome(over_runs([0.5, 1.5, 2.5], 0.1, 900, BANDS))])
    assert decides_at(CLAIM, runs) == "needs 6 seeds", "more runs would do whether rows are paired or not"
