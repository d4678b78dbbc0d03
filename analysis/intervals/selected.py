"""The best of models that are fast enough, where a measurement says which are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.intervals.estimates import Effect, Interval, Largest


@dataclass(frozen=True)
class LargestOfSelected(Largest):
    """The largest of those effects whose other number is at least so much, which is an estimate, too.

    ``of`` are those of which it seems so. The interval goes from the largest low end of those of which it is sure to
    the largest high end of those of which it is possible.
    """

    candidates: Sequence[tuple[Effect, Effect]] = ()
    """All effects, each with its other number."""
    least: float = 0.0
    """Of the other number."""

    def interval(self, confidence: float) -> Interval:
        each = [(one.interval(confidence), other.interval(confidence)) for one, other in self.candidates]
        sure = [one.low for one, other in each if other.low >= self.least]
        possible = [one.high for one, other in each if other.high >= self.least]
        return Interval(max(sure, default=-math.inf), max(possible, default=math.inf))
