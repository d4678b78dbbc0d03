"""How many runs or rows would decide what an interval leaves undecided."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from analysis.intervals.estimates import Effect, Estimate

POWER = 0.8
"""Probability with which as many runs or rows as are named would decide, if effect and spread are as they seem."""
MOST_RUNS = 1_000
MOST_ROWS = 1_000_000
ENDLESS = 10**12
MORE = -1
FAR = 30.0
"""Standard errors from which on the chance of an effect is nothing beside that of its spread."""


class Needed(NamedTuple):
    """How many would decide; 0 for as many as there are."""

    runs: int
    rows: int
    """:data:`MORE` where they have to settle single units first."""


def needed(effect: Effect, margin: float, confidence: float) -> Needed | None:
    """The runs with which the interval clears the margin; if no number of them would do the rows; if neither, both.

    At a power of :data:`POWER` if the effect and its spread are as they seem. None where no number would do, or one
    run says nothing of the spread.
    """
    one, edge = effect.toward(margin)
    distance = abs(one.value - edge)
    if one.single or effect.value == margin:
        return None
    if (one.value - edge) * (effect.value - margin) <= 0:
        return Needed(0, MORE)
    varies = not one.fixed and one.spread > 0
    if varies and (runs := _least(lambda n: power(one, distance, confidence, runs=n), one.runs + 1, MOST_RUNS)):
        return Needed(runs, 0)
    if not one.rows_error:
        return None
    if rows := _least(lambda n: power(one, distance, confidence, rows=n), one.rows + 1, MOST_ROWS):
        return Needed(0, rows)
    certain = (1 + POWER) / 2  # of endless rows, so that not endlessly many are needed
    if not varies or not (runs := _least(
        lambda n: power(one, distance, confidence, runs=n, rows=ENDLESS), one.runs + 1, MOST_RUNS, certain
    )):  # fmt: skip
        return None
    rows = _least(lambda n: power(one, distance, confidence, runs=runs, rows=n), one.rows + 1, MOST_ROWS)
    return Needed(runs, rows) if rows else None


def power(one: Estimate, distance: float, confidence: float, *, runs: int = 0, rows: int = 0) -> float:
    """The probability that the interval clears a margin at ``distance`` from the true effect.

    Each of its :meth:`~analysis.intervals.estimates.Estimate.errors` has to clear it: the smaller of their
    probabilities, which where they are about the same is up to 0.05 more than that of both.
    """
    total, _ = one.error(runs, rows)
    return min(
        (_cleared(distance / total, error / total, freedom, confidence) for error, freedom in one.errors(runs, rows)),
        default=1.0,
    )


def _cleared(distance: float, share: float, freedom: float, confidence: float) -> float:
    """The probability that a normal variable with the mean ``distance`` is beyond its interval.

    Arguments:
        share: what the interval takes for the variable's standard deviation, in parts of it.
    """
    from scipy import stats

    bound = share * float(stats.t.ppf((1 + confidence) / 2, freedom))
    if distance > FAR:  # beyond the range of the noncentral distribution
        return float(stats.chi2.cdf(freedom * (distance / bound) ** 2, freedom))
    return float(stats.nct.sf(bound, freedom, distance))


def _least(power_of: Callable[[int], float], low: int, high: int, wanted: float = POWER) -> int:
    """The smallest number with enough power between two, by bisection; 0 if even the largest has too little."""
    if power_of(high) < wanted:
        return 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= wanted else (middle + 1, high)
    return high
