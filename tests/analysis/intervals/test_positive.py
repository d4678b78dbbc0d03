"""Times and ratios: intervals of their logarithms, and what would decide, on the same scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from analysis.intervals.departures import Departure
from analysis.intervals.estimates import Estimate, Largest
from analysis.intervals.positive import Positive, positive, timed
from analysis.intervals.power import Needed, needed, power


def test_the_interval_is_that_of_the_logarithms() -> None:
    values = [44.0, 150.0, 260.0]
    one = positive(values, of="teachers")
    assert one.value == pytest.approx(stats.gmean(values)) and one.main.of == "teachers"
    for confidence in (0.95, 0.99):
        low, high = one.interval(confidence)
        logs = np.log(values)
        expected = np.exp(stats.t.interval(confidence, 2, loc=logs.mean(), scale=stats.sem(logs)))
        assert (low, high) == pytest.approx(expected) and low > 0
    inverse = positive([1 / value for value in values]).interval(0.95)
    assert inverse == pytest.approx((1 / one.interval(0.95).high, 1 / one.interval(0.95).low))
    assert positive([40.0]).interval(0.95) == (0, math.inf) and positive([40.0]).alone(0.95) is None
    assert positive([1e-9, 1e9]).interval(0.9999).high == math.inf


def test_a_gain_is_a_ratio_less_the_whole() -> None:
    ratio, gain = timed(1.25, 0.02, 10), timed(1.25, 0.02, 10, gain=True)
    half = stats.t.ppf(0.975, 9) * 0.02
    assert (ratio.value, gain.value) == (pytest.approx(125), pytest.approx(25))
    low, high = 125 * math.exp(-half), 125 * math.exp(half)
    assert ratio.interval(0.95) == pytest.approx((low, high))
    assert gain.interval(0.95) == pytest.approx((low - 100, high - 100)) and gain.alone(0.95) == gain.interval(0.95)
    assert gain.alone_of == "repeats" and gain.toward(10.0)[1] == pytest.approx(math.log(1.1))
    assert gain.toward(-100.0)[1] == -math.inf


def test_what_would_decide_is_counted_on_the_scale_of_the_interval() -> None:
    seconds = Positive(Estimate(math.log(120.0), 3, 0.4))
    found = needed(seconds, 180.0, 0.95)
    assert found is not None and found == Needed(found.runs, 0)
    distance = math.log(180 / 120)
    assert power(seconds.logs, distance, 0.95, runs=found.runs) >= 0.8
    assert power(seconds.logs, distance, 0.95, runs=found.runs - 1) < 0.8
    assert found.runs == 10
    assert needed(Largest([seconds]), 180.0, 0.95) == found


@pytest.mark.parametrize(("at", "edge"), [(106.0, 110.0), (94.0, 90.0)])
def test_a_departure_of_a_ratio_is_decided_where_it_is_farther_than_the_margin(at: float, edge: float) -> None:
    one = Positive(Estimate(math.log(at / 100), 3, 0.02), 100.0)
    apart = Departure(one, 100.0)
    low, high = one.interval(0.95)
    assert apart.value == pytest.approx(6)
    assert apart.interval(0.95) == pytest.approx((max(low - 100, 100 - high), max(high - 100, 100 - low)))
    assert needed(apart, 10.0, 0.95) == needed(one, edge, 0.95) is not None
    assert needed(apart, 2.0, 0.95) == needed(one, 100 + math.copysign(2, at - 100), 0.95) is not None
