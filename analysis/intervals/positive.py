"""Numbers that are above 0 by their nature, times and ratios of times: their interval is that of their logarithm.

So it has no part below 0, and a ratio says the same as its inverse. The mean over runs is then the geometric one. A
share of a score is not among them: it may be 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from analysis.intervals.estimates import Estimate, Interval, fixed, over_runs


@dataclass(frozen=True)
class Positive:
    """``scale * exp(logs) - less``."""

    logs: Estimate
    scale: float = 1.0
    """100 of a ratio in per cent."""
    less: float = 0.0
    """100 of a gain: of a ratio in per cent what is above the whole."""

    @property
    def value(self) -> float:
        return self._at(self.logs.value)

    @property
    def main(self) -> Estimate:
        return self.logs

    def interval(self, confidence: float) -> Interval:
        return Interval(*map(self._at, self.logs.interval(confidence)))

    def alone(self, confidence: float) -> Interval | None:
        own = self.logs.alone(confidence)
        return None if own is None else Interval(*map(self._at, own))

    @property
    def alone_of(self) -> str:
        return self.logs.alone_of

    def toward(self, margin: float) -> tuple[Estimate, float]:
        ratio = (margin + self.less) / self.scale
        return self.logs, math.log(ratio) if ratio > 0 else -math.inf

    def _at(self, logarithm: float) -> float:
        try:
            return self.scale * math.exp(logarithm) - self.less
        except OverflowError:  # of an interval that two runs leave as good as endless
            return math.inf


def positive(values: Sequence[float], *, of: str = "") -> Positive:
    """The geometric mean of one value a run."""
    return Positive(over_runs([math.log(value) for value in values], of=of))


def timed(ratio: float, error: float, repeats: int, *, gain: bool = False) -> Positive:
    """Of one model a ratio of times, in per cent: of it, or what it gains.

    Arguments:
        error: standard error of the ratio, as a share of it.
    """
    return Positive(fixed(math.log(ratio), error, repeats), 100.0, 100.0 if gain else 0.0)


def over_sessions(own: Sequence[Positive]) -> Positive:
    """The mean of a ratio of fixed models over sessions of timing them: what another would give varies as they do, the
    noise of their rounds included."""
    logs = [one.logs for one in own]
    error = logs[0].rows_error if len(logs) == 1 else 0.0
    mean = over_runs([one.value for one in logs], error, min(one.rows for one in logs), rows_of="repeats")
    return replace(own[0], logs=mean)
