"""How sure a median of rounds is, and the mean of such medians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.intervals.estimates import Estimate, over_runs

QUARTILES = 1.349
"""The quartiles of a normal variable are so many standard deviations apart."""
OF_MEDIAN = 1.2533
"""The standard error of the median of normal variables over that of their mean."""


def error_of_median(low: Any, high: Any, repeats: Any) -> Any:
    """Its standard error, from the quartiles of the rounds and their number; of columns a column.

    >>> round(error_of_median(1.0, 1.1, 100), 4)
    0.0093
    """
    return OF_MEDIAN * (high - low) / QUARTILES / repeats**0.5


def over_sessions(timed: Sequence[Estimate]) -> Estimate:
    """The mean of a number of fixed models over sessions of timing them: what another would give varies as they do, the
    noise of their rounds included."""
    error = timed[0].rows_error if len(timed) == 1 else 0.0
    return over_runs([one.value for one in timed], error, min(one.rows for one in timed), rows_of="repeats")
