"""Means of repeated runs and their 95 % intervals, by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.data.averages import average, mean_interval

T = 4.302652729911275
"""Student's t of 0.975 with 2 degrees of freedom."""


def test_an_interval_is_that_of_95_per_cent() -> None:
    low, high = mean_interval([1.0, 2.0, 6.0])
    assert (low, high) == (pytest.approx(3 - T * math.sqrt(7 / 3)), pytest.approx(3 + T * math.sqrt(7 / 3)))
    assert all(map(math.isnan, mean_interval([1.0, 2.0])))


def test_an_interval_is_over_teachers_where_there_are_several() -> None:
    """A teacher with more seeds counts no more than another."""
    rows = pd.DataFrame({"teacher": [0, 0, 1, 2], "value": [0.0, 2.0, 2.0, 6.0]})
    found = average(rows)
    assert (found["value"], found["teachers"], found["runs"]) == (3.0, 3, 4)
    assert found["high"] == pytest.approx(3 + T * math.sqrt(7 / 3))
    one = average(rows.assign(teacher=5))
    assert (one["value"], one["teachers"], one["runs"]) == (2.5, 1, 4)
