"""How many runs and rows would decide: against simulated experiments and the noncentral distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.intervals.estimates import Estimate, fixed, over_runs
from analysis.intervals.power import needed, power


@pytest.mark.parametrize("distance", [1.0, 0.6])
def test_as_many_runs_as_are_named_decide_four_times_in_five(distance: float) -> None:
    one = Estimate(distance, runs=3, spread=1.0)
    found = needed(one, 0.0, 0.95)
    assert found is not None and found.rows == 0
    random, decided = np.random.default_rng(0), {}
    for runs in (found.runs - 1, found.runs):
        drawn = random.normal(distance, 1.0, (40_000, runs))
        error = drawn.std(1, ddof=1) / math.sqrt(runs)
        decided[runs] = float((drawn.mean(1) - stats.t.ppf(0.975, runs - 1) * error > 0).mean())
    assert decided[found.runs] >= 0.8 - 0.006
    assert decided[found.runs - 1] < 0.8 + 0.006


def test_rows_are_named_where_no_number_of_runs_would_do() -> None:
    one = fixed(0.7, 1.0, 900)
    found = needed(one, 0.0, 0.95)
    assert found is not None and found.runs == 0
    assert found.rows == pytest.approx(900 * ((stats.norm.isf(0.025) + stats.norm.isf(0.2)) / 0.7) ** 2, rel=0.01)
    common = over_runs([0.69, 0.7, 0.71], rows_error=1.0, rows=900)
    both = needed(common, 0.0, 0.95)
    assert both is not None and both.runs == 0 and both.rows >= found.rows
    stricter = needed(one, 0.0, 1 - 0.05 / 49)
    assert stricter is not None and stricter.rows > 1.9 * found.rows


def test_runs_and_rows_are_named_together_where_neither_would_do_alone() -> None:
    one = over_runs([-0.6, 0.7, 1.9], rows_error=1.5, rows=900)
    confidence = 1 - 0.05 / 40
    found = needed(one, 0.0, confidence)
    assert found is not None and found.runs > 3 and found.rows > 900
    assert power(one, one.value, confidence, runs=found.runs, rows=found.rows) >= 0.8
    assert power(one, one.value, confidence, runs=found.runs, rows=found.rows - 1) < 0.8
    assert power(one, one.value, confidence, runs=10_000) < 0.8
    assert power(one, one.value, confidence, rows=10_000_000) < 0.8


def test_no_number_decides_an_effect_at_the_margin() -> None:
    assert needed(Estimate(2.0, runs=3, spread=1.0), 2.0, 0.95) is None
    assert needed(Estimate(2.0 + 1e-5, runs=3, spread=1.0), 2.0, 0.95) is None


def test_power_is_that_of_the_noncentral_distribution() -> None:
    one = Estimate(0.5, runs=4, spread=1.0)
    expected = stats.nct.sf(stats.t.ppf(0.975, 15), 15, 0.5 * math.sqrt(16))
    assert power(one, 0.5, 0.95, runs=16) == pytest.approx(expected)
    assert power(fixed(1.0), 1.0, 0.95, rows=5) == 1.0
    assert power(fixed(1.0, 0.01, 100), 1.0, 0.95, rows=100) == 1.0


def test_both_errors_have_to_be_cleared() -> None:
    """Four times in five, of simulated runs on common rows; where the runs alone are the wider of both, or about so."""
    random, trials = np.random.default_rng(1), 100_000
    for runs, spread, distance in ((3, 6.0, 19.0), (4, 2.0, 4.9), (2, 0.4, 3.9)):
        one = Estimate(distance, runs, spread, 1.0, 872)
        drawn = random.normal(distance, spread, (trials, runs))
        mean, own = drawn.mean(1) + random.normal(size=trials), drawn.std(1, ddof=1)
        grid = np.geomspace(1e-4, 10 * spread, 200)
        half = [Estimate(0.0, runs, float(at), 1.0, 872).interval(0.95).high for at in grid]
        cleared = float((mean > np.interp(own, grid, half)).mean())
        assert 0.65 < cleared < 0.97
        assert cleared - 0.005 < power(one, distance, 0.95) < cleared + 0.05


def test_rows_cannot_decide_what_two_runs_leave_open() -> None:
    """Their own interval, of one degree of freedom, stays 12.7 standard errors wide to either side."""
    one = over_runs([2.0, 2.6], rows_error=1.0, rows=900)
    assert power(one, one.value, 0.95, rows=10**9) == pytest.approx(stats.nct.sf(12.7062, 1, 2.3 / 0.3), rel=1e-4)
    found = needed(one, 0.0, 0.95)
    assert found is not None and found.runs == 3 and found.rows > 900


def test_far_effects_have_the_power_of_their_spread() -> None:
    random = np.random.default_rng(2).normal(40.0, 2**0.5, (200_000, 2))
    simulated = (random.mean(1) > stats.t.ppf(0.975, 1) * random.std(1, ddof=1) / 2**0.5).mean()
    assert power(Estimate(40.0, 2, 2**0.5), 40.0, 0.95) == pytest.approx(simulated, abs=0.001)
    assert power(Estimate(40.0, 2, 2**0.5), 40.0, 0.9999) < 0.01
