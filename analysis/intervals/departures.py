"""How far numbers are from one that all of them are to be, whichever way: several at once hold or fail by the farthest,
not by their mean, in which one that is too large makes up for one that is too small."""

from __future__ import annotations

from dataclasses import dataclass, replace

from analysis.intervals.estimates import Effect, Estimate, Interval


@dataclass(frozen=True)
class Departure:
    """The distance of an effect from a number, at least 0."""

    of: Effect
    origin: float = 0.0

    @property
    def value(self) -> float:
        return abs(self.of.value - self.origin)

    @property
    def main(self) -> Estimate:
        return self.of.main

    def interval(self, confidence: float) -> Interval:
        return self._distances(self.of.interval(confidence))

    def alone(self, confidence: float) -> Interval | None:
        own = self.of.alone(confidence)
        return None if own is None else self._distances(own)

    @property
    def alone_of(self) -> str:
        return self.of.alone_of

    def toward(self, margin: float) -> tuple[Estimate, float]:
        """Of one below the number mirrored, so that what is farther is larger."""
        if self.of.value >= self.origin:
            return self.of.toward(self.origin + margin)
        one, edge = self.of.toward(self.origin - margin)
        return replace(one, value=-one.value), -edge

    def _distances(self, own: Interval) -> Interval:
        """Of all numbers in an interval."""
        low, high = sorted(abs(end - self.origin) for end in own)
        return Interval(0.0 if own.low <= self.origin <= own.high else low, high)
