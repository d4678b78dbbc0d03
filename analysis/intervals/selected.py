"""The best of models that are fast enough, where a measurement says which are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.intervals.estimates import CONFIDENCE, Effect, Estimate, Interval, Largest


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
    digits: int = 2
    """To which the other number is rounded before it is held to that."""

    def interval(self, confidence: float) -> Interval:
        each = [(one.interval(confidence), other.interval(confidence)) for one, other in self.candidates]
        sure = [one.low for one, other in each if self._enough(other.low)]
        possible = [one.high for one, other in each if self._enough(other.high)]
        return Interval(max(sure, default=-math.inf), max(possible, default=math.inf))

    def toward(self, margin: float) -> tuple[Estimate, float]:
        """The other number of the largest where that alone is open."""
        other = next(other for one, other in self.candidates if one is self.largest)
        open_ = other.main.unsure and not self._enough(other.interval(CONFIDENCE).low)
        return other.toward(self.least) if open_ and self.largest.value > margin else super().toward(margin)

    def _enough(self, other: float) -> bool:
        return round(other, self.digits) >= self.least if math.isfinite(other) else other > 0
