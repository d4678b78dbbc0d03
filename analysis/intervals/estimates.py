"""The intervals that verdicts and ranks rest on: of means over teachers, seeds and draws, and what rows add; of counts.

Two things vary. Runs do: another teacher, seed or draw gives another number. And the rows that all of them were
evaluated on are a sample, too, the same one for all. The variance of a mean of n runs is s² / n + r², where s is the
standard deviation over runs and r the standard error over rows, with the degrees of freedom of Welch and Satterthwaite:

    (s² / n + r²)² / ((s² / n)² / (n - 1) + r⁴ / (rows - 1))

That is the variance of a bootstrap over runs and rows. Its quantiles are Student's, because percentiles of a bootstrap
over three runs cover far less than they promise. One run has no spread: whatever its rows say, its interval is endless.

**The interval is never narrower than Student's over the runs alone**, t(n - 1) s / sqrt(n). The s of two or three runs
is uncertain, which their few degrees of freedom allow for; an error over rows lifts these (of three runs from 2 to 8
where both terms are equal), and takes more from the quantile than it adds to the variance: more noise would make the
interval narrower, and it would cover too little. Of 200,000 simulated means with an error over 872 rows of 1 and runs
with s / sqrt(n) of 1, 2, 4 and 8, so many per cent lie in their interval of 95 % (of 99 %):

    runs    Welch and Satterthwaite alone     never narrower than Student's
    2       87.2 to 92.9  (91.9 to 97.6)      95.2 to 97.3  (99.0 to 99.7)
    3       92.3 to 94.2  (96.5 to 98.4)      94.9 to 95.4  (99.0 to 99.4)
    5       94.1 to 94.7  (98.3 to 98.8)      94.2 to 94.8  (98.8 to 99.0)

Intervals, p-values and the power of more runs or rows (:mod:`analysis.intervals.power`) all go by
:meth:`Estimate.errors`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

CONFIDENCE = 0.95
"""Of verdicts, tables and figures, unless several are corrected for."""
ANSWERS, TESTS, BANDS = "answers", "p-values", "bands"
"""Of models to the same rows, pair by pair; recorded of a paired test; of two scores as if independent: too wide."""
TEACHERS = "teachers"
"""What the runs of a mean are, where each is of another fine-tuned model."""


class Interval(NamedTuple):
    low: float
    high: float


class Effect(Protocol):
    """A number and how sure it is."""

    @property
    def value(self) -> float: ...

    @property
    def main(self) -> Estimate:
        """The estimate whose runs and rows stand for all of it."""
        ...

    def interval(self, confidence: float) -> Interval: ...

    def alone(self, confidence: float) -> Interval | None:
        """Of a single run, what its rows say; None where they say nothing."""
        ...

    @property
    def alone_of(self) -> str:
        """What says so: rows, heads, repeats."""
        ...

    def toward(self, margin: float) -> tuple[Estimate, float]:
        """What has to clear the margin, and the margin, both as the interval is taken: of a ratio their logarithms."""
        ...


@dataclass(frozen=True)
class Estimate:
    """The mean of a number over runs."""

    value: float
    runs: int = 1
    """Teachers, seeds or draws that it is the mean of."""
    spread: float = math.nan
    """Standard deviation over them; NaN of one."""
    rows_error: float = 0.0
    """Standard error over what all runs have in common: evaluation rows, of a fixed model the repeats of a timing."""
    rows: int = 0
    """How many; none where they are not resampled."""
    by: str = ""
    """What the rows' error was taken from: :data:`ANSWERS`, :data:`TESTS` or :data:`BANDS`."""
    fixed: bool = False
    """Of these very models: nothing is said of another training, so that one run decides."""
    of: str = ""
    """What the runs are, where they are not what the claim resamples: ``teachers``."""
    rows_of: str = "rows"
    """What the rows are, if no evaluation rows: heads, repeats."""

    @property
    def main(self) -> Estimate:
        return self

    @property
    def single(self) -> bool:
        """One run that says nothing of others."""
        return self.runs < 2 and not self.fixed

    @property
    def unsure(self) -> bool:
        """It has an error, over runs or rows, that is known: it is neither a count nor a single run."""
        return not self.single and (not self.fixed or self.rows_error > 0)

    def error(self, runs: float = 0, rows: float = 0) -> tuple[float, float]:
        """Standard error and degrees of freedom after Welch and Satterthwaite, of so many runs or rows as there are if
        none are named."""
        between = 0.0 if self.fixed or self.runs < 2 else self.spread**2 / (runs or self.runs)
        within = self.rows_error**2 * (self.rows / rows if rows else 1)
        total = between + within
        if not total:
            return 0.0, math.inf
        lost = between**2 / ((runs or self.runs) - 1) if between else 0.0
        lost += within**2 / max((rows or self.rows) - 1, 1) if within else 0.0
        return math.sqrt(total), total**2 / lost

    def errors(self, runs: float = 0, rows: float = 0) -> list[tuple[float, float]]:
        """All standard errors, with their degrees of freedom, that an interval has to be as wide as and a test has to
        pass: of runs and rows together, and of the runs alone. Nothing of what is certain."""
        errors = [self.error(runs, rows)]
        if self.rows_error:
            errors.append(replace(self, rows_error=0.0).error(runs))
        return [(error, freedom) for error, freedom in errors if error]

    def interval(self, confidence: float) -> Interval:
        return Interval(-math.inf, math.inf) if self.single else self._around(confidence)

    def alone(self, confidence: float) -> Interval | None:
        return self._around(confidence) if self.rows_error else None

    @property
    def alone_of(self) -> str:
        return self.rows_of

    def toward(self, margin: float) -> tuple[Estimate, float]:
        return self, margin

    @property
    def p_value(self) -> float:
        """Of Student's test that the mean is 0, two-sided: below 0.05 where the 95 % interval leaves 0 out. Of a single
        run by its rows alone."""
        from scipy import stats

        p_values = [float(2 * stats.t.sf(abs(self.value) / error, freedom)) for error, freedom in self.errors()]
        return max(p_values, default=1.0 if self.value == 0 else 0.0)

    def _around(self, confidence: float) -> Interval:
        from scipy import stats

        halves = [float(stats.t.ppf((1 + confidence) / 2, freedom)) * error for error, freedom in self.errors()]
        half = max(halves, default=0.0)
        return Interval(self.value - half, self.value + half)


@dataclass(frozen=True)
class Share:
    """A share of units that each run knows only within bounds: those that its rows leave undecided may be either."""

    low: Estimate
    seen: Estimate
    high: Estimate
    alone_of: str
    """What would settle more of them: rows, or more units."""

    @property
    def value(self) -> float:
        return self.seen.value

    @property
    def main(self) -> Estimate:
        return self.seen

    def interval(self, confidence: float) -> Interval:
        return Interval(self.low.interval(confidence).low, self.high.interval(confidence).high)

    def alone(self, confidence: float) -> Interval | None:
        return Interval(self.low.value, self.high.value)

    def toward(self, margin: float) -> tuple[Estimate, float]:
        return self.low if self.value > margin else self.high, margin


@dataclass(frozen=True)
class Largest:
    """The largest of several effects: its interval is simultaneous if each has been corrected for all of them."""

    of: Sequence[Effect]

    @property
    def largest(self) -> Effect:
        return max(self.of, key=lambda one: one.value)

    @property
    def value(self) -> float:
        return self.largest.value

    @property
    def main(self) -> Estimate:
        return self.largest.main

    def interval(self, confidence: float) -> Interval:
        each = [one.interval(confidence) for one in self.of]
        return Interval(max(one.low for one in each), max(one.high for one in each))

    def alone(self, confidence: float) -> Interval | None:
        return self.largest.alone(confidence)

    @property
    def alone_of(self) -> str:
        return self.largest.alone_of

    def toward(self, margin: float) -> tuple[Estimate, float]:
        return self.largest.toward(margin)


def over_runs(
    values: Sequence[float], rows_error: float = 0.0, rows: int = 0, by: str = "", *, of: str = "",
    rows_of: str = "rows",
) -> Estimate:  # fmt: skip
    """The mean of one value a run; a rows' error that is not known (NaN) is left out, and so are its rows."""
    import numpy as np

    spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    error = (0.0, 0, "") if math.isnan(rows_error) else (rows_error, rows, by)
    return Estimate(float(np.mean(values)), len(values), spread, *error, of=of, rows_of=rows_of)


def fixed(value: float, error: float = 0.0, repeats: int = 0) -> Estimate:
    """Of one model, timed so often; of a count there is neither an error nor a repeat."""
    return Estimate(value, rows_error=error, rows=repeats, fixed=True, rows_of="repeats")


def share_of(
    values: Sequence[tuple[float, float, float]], units: str, number: int, alone_of: str = "rows", by: str = ""
) -> Share:
    """A share of so many units, in each run: the least that it can be, as it seems, the most."""
    low, seen, high = (
        over_runs(column, 0.0, number, by, rows_of=units) for column in zip(*values, strict=True)
    )  # fmt: skip
    return Share(low, seen, high, alone_of)
