"""The seconds of a run, those of what others share that it had to wait for, and the stages whose seconds are results.
"""

from __future__ import annotations

from collections.abc import Mapping

AHEAD = ("teacher", "learned model", "pruned model")
"""What other runs make that a run needs; in its ``seconds`` where they made it for it, and in their ``total``."""

LATENCIES = ("time inference", "time decoding", "time runtimes", "measure latency", "measure", "benchmark")
"""Stages that time models or parts of them, whatever the verb."""


def seconds_ahead(seconds: Mapping[str, float]) -> dict[str, float]:
    """Those of :data:`AHEAD` among the seconds of a run."""
    return {what: seconds[what] for what in AHEAD if what in seconds}


def own_seconds(seconds: Mapping[str, float]) -> float:
    """All of the seconds of a run but those ahead of it."""
    return seconds["total"] - sum(seconds_ahead(seconds).values())
