"""What is the effect that a claim is about, and how sure is it? One function a claim; its file has the margin.

A function takes the runs and returns one :class:`~analysis.claims.claim.Outcome`, one a task where several are judged,
or an empty list when the records cannot tell.
"""

from analysis.claims.criteria import (
    albert,
    cofi,
    kwon,
    methods,
    michel,
    quantization,
    shapes,
    speed,
    timings,
    translation,
)

__all__ = ["albert", "cofi", "kwon", "methods", "michel", "quantization", "shapes", "speed", "timings", "translation"]
