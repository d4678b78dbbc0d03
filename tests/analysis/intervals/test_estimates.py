"""Intervals of verdicts: against SciPy, plain loops, and how often they hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.intervals.departures import Departure
from analysis.intervals.estimates import Estimate, Largest, fixed, over_runs, share_of
from analysis.intervals.power import MORE, Needed, needed


def test_over_runs_is_students_interval() -> None:
    values = [2.0, 3.5, 1.0, 4.0]
    for confidence in (0.95, 0.99):
        low, high = over_runs(values).interval(confidence)
        mean, error = np.mean(values), stats.sem(values)
        assert (low, high) == pytest.approx(stats.t.interval(confidence, 3, loc=mean, scale=error), abs=1e-12)


def test_a_p_value_is_students_and_below_a_twentieth_where_the_interval_leaves_nothing_out() -> None:
    values = [2.0, 3.5, 1.0, 4.0]
    assert over_runs(values).p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-12)
    for shift in np.linspace(-6, 1, 29):
        one = over_runs([value + shift for value in values], rows_error=0.4, rows=872)
        low, high = one.interval(0.95)
        assert (one.p_value < 0.05) == (not low <= 0 <= high)
    assert (over_runs([0.0, 0.0]).p_value, over_runs([1.0, 1.0]).p_value) == (1, 0)


def test_one_run_decides_nothing_but_shows_what_its_rows_say() -> None:
    one = over_runs([-6.5], rows_error=1.5, rows=872)
    assert one.single and one.interval(0.95) == (-math.inf, math.inf)
    assert one.alone(0.95) == pytest.approx(stats.t.interval(0.95, 871, loc=-6.5, scale=1.5))
    assert over_runs([-6.5]).alone(0.95) is None
    assert needed(one, 0.0, 0.95) is None


def test_a_fixed_model_is_decided_by_its_repeats_and_a_count_is_certain() -> None:
    assert fixed(24.0, 2.0, 10).interval(0.95) == pytest.approx(stats.t.interval(0.95, 9, loc=24, scale=2))
    assert fixed(15.6).interval(0.95) == (15.6, 15.6)


def test_runs_and_rows_add_their_variances_as_welch_and_satterthwaite_have_it() -> None:
    """Two samples whose means are subtracted are the textbook's case: SciPy's test gives the degrees of freedom."""
    runs, rows = np.array([1.0, 3.0, 2.5]), np.random.default_rng(0).normal(0, 9.0, 40)
    one = over_runs(runs.tolist(), rows_error=float(stats.sem(rows)), rows=40)
    test = stats.ttest_ind(runs, rows, equal_var=False)
    error, freedom = one.error()
    assert freedom == pytest.approx(test.df, rel=1e-9)
    assert error == pytest.approx(abs((runs.mean() - rows.mean()) / test.statistic), rel=1e-9)
    low, high = one.interval(0.95)
    assert high - low == pytest.approx(np.diff(test.confidence_interval(0.95))[0], rel=1e-9)


def test_the_error_is_that_of_a_bootstrap_over_teachers_and_rows() -> None:
    """Of k teachers it has (k - 1) / k of the variance between them: that much is added."""
    random, values = np.random.default_rng(5), np.array([1.0, 3.0, 2.2, 0.4, 2.9])
    of_rows = random.normal(0.0, 0.8, 40_000)
    drawn = values[random.integers(5, size=(40_000, 5))].mean(1) + of_rows
    one = over_runs(values.tolist(), rows_error=float(of_rows.std()), rows=1000)
    assert one.error()[0] ** 2 == pytest.approx(drawn.var() + values.var(ddof=1) / 5**2, rel=0.02)


@pytest.mark.parametrize("confidence", [0.95, 0.99, 1 - 0.05 / 39])
def test_rows_never_make_the_interval_of_runs_narrower(confidence: float) -> None:
    """Three teachers whose advantages are far apart: an error over rows widens what their runs say, or leaves it."""
    values = [20.09, 1.04, 9.98]
    low, high = alone = over_runs(values).interval(confidence)
    wider = low
    for rows_error in (0.5, 2.0, 3.29, 6.0, 12.0, 400.0):
        one = over_runs(values, rows_error, 1000)
        error, freedom = one.error()
        together = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
        assert one.interval(confidence).high - one.value == pytest.approx(max(together, high - one.value), rel=1e-12)
        assert one.interval(confidence).low <= wider
        wider = one.interval(confidence).low
        student = stats.ttest_1samp(values, 0).pvalue
        assert one.p_value == pytest.approx(max(student, 2 * stats.t.sf(one.value / error, freedom)), rel=1e-12)
    assert wider < low
    if confidence == 0.95:
        # 10.37 -+ 4.3027 * 9.5310 / sqrt(3); without the rule -10.0 to 30.7
        assert over_runs(values, 3.29, 1000).interval(0.95) == alone
        assert alone == pytest.approx((-13.306, 34.046), abs=0.001)


def halves(runs: int, spreads: np.ndarray, *, together: bool) -> np.ndarray:
    """Half widths of 95 % with an error of 1 over 872 rows, by the spread of runs; ``together``: of the total alone."""
    found = []
    for spread in spreads:
        one = Estimate(0.0, runs, float(spread), 1.0, 872)
        error, freedom = one.error()
        found.append(float(stats.t.ppf(0.975, freedom)) * error if together else one.interval(0.95).high)
    return np.array(found)


@pytest.mark.parametrize(("runs", "before", "after"), [(2, (0.869, 0.931), 0.951), (3, (0.921, 0.944), 0.947)])
def test_coverage_where_runs_differ_by_more_than_rows(runs: int, before: tuple[float, float], after: float) -> None:
    """The least and the most of 95 % that the degrees of freedom of the total alone give, and the least of the rule."""
    random, trials, found = np.random.default_rng(0), 100_000, {True: [], False: []}  # type: ignore[var-annotated]
    grid = np.geomspace(1e-3, 100, 80)
    for ratio in (1.0, 2.0, 4.0, 8.0):
        drawn = random.normal(0.0, ratio * runs**0.5, (trials, runs))
        mean, spread = drawn.mean(1) + random.normal(size=trials), drawn.std(1, ddof=1)
        for together in (True, False):
            half = np.interp(spread, grid, halves(runs, grid, together=together))
            found[together].append(float((abs(mean) <= half).mean()))
    assert before[0] <= min(found[True]) <= before[0] + 0.005
    assert before[1] - 0.005 <= max(found[True]) <= before[1]
    assert after <= min(found[False]) and max(found[False]) < 0.975


@pytest.mark.parametrize("runs", [3, 5])
def test_coverage_over_runs_and_common_rows(runs: int) -> None:
    """Of three runs on the same 200 rows, where percentiles of a bootstrap over runs and rows cover far less."""
    random, trials, covered, percentile = np.random.default_rng(7), 800, 0, 0
    for _ in range(trials):
        of_rows = random.normal(size=200)
        values = random.normal(0.0, 0.15, runs) + of_rows.mean()
        one = over_runs(values.tolist(), rows_error=float(stats.sem(of_rows)), rows=200)
        low, high = one.interval(0.95)
        covered += low <= 0 <= high
        drawn = values[random.integers(runs, size=(400, runs))].mean(1) + random.normal(0, one.rows_error, 400)
        low, high = np.quantile(drawn, [0.025, 0.975])
        percentile += low <= 0 <= high
    assert 0.93 <= covered / trials <= 0.985
    assert percentile / trials < covered / trials - 0.015


def test_a_share_is_as_wide_as_what_its_units_leave_open() -> None:
    triples = [(50.0, 60.0, 80.0), (60.0, 70.0, 90.0), (55.0, 75.0, 85.0)]
    share = share_of(triples, "heads", 40)
    low, seen, high = np.array(triples).T
    assert share.value == pytest.approx(seen.mean())
    assert share.interval(0.95).low == pytest.approx(stats.t.interval(0.95, 2, loc=low.mean(), scale=stats.sem(low))[0])
    upper = stats.t.interval(0.95, 2, loc=high.mean(), scale=stats.sem(high))[1]
    assert share.interval(0.95).high == pytest.approx(upper)
    assert needed(share, 58.0, 0.95) == Needed(0, MORE), "its units have to be settled first"
    assert needed(share, 40.0, 0.95) is not None
    alone = share_of(triples[:1], "heads", 40)
    assert alone.main.single and alone.alone(0.95) == (50, 80)


def test_the_largest_of_several_is_covered_when_each_is_corrected() -> None:
    """Ten effects of which all are 0: the best of them looks better, its interval does not."""
    random, trials, covered, naive = np.random.default_rng(3), 400, 0, 0
    for _ in range(trials):
        each = [over_runs(random.normal(size=4).tolist()) for _ in range(10)]
        largest = Largest(each)
        low, _ = largest.interval(1 - 0.05 / 10)
        covered += low <= 0
        naive += largest.main.interval(0.95).low <= 0
    assert covered / trials >= 0.945
    assert naive / trials < 0.9
    assert Largest(each).interval(0.9).high == max(one.interval(0.9).high for one in each)


def test_a_departure_is_the_distance_of_all_that_an_interval_covers() -> None:
    one = Estimate(97.0, 3, 2.0)
    low, high = one.interval(0.95)
    assert low < 97 < 100 < high
    assert Departure(one, 100.0).value == pytest.approx(3)
    assert Departure(one, 100.0).interval(0.95) == (0, pytest.approx(100 - low))
    assert Departure(one, 110.0).interval(0.95) == (pytest.approx(110 - high), pytest.approx(110 - low))
    assert Departure(one, 90.0).interval(0.95) == (pytest.approx(low - 90), pytest.approx(high - 90))
    assert Departure(over_runs([3.0])).interval(0.95) == (0, math.inf)
    farthest = Largest([Departure(one, 100.0), Departure(Estimate(106.0, 3, 0.1), 100.0)])
    assert farthest.value == pytest.approx(6) and farthest.main.spread == 0.1
    assert farthest.interval(0.95).low == pytest.approx(6 - (106 - Estimate(106.0, 3, 0.1).interval(0.95).low))
