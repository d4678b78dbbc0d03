"""The seconds of a run, and those of what others share that it had to wait for."""

from __future__ import annotations

from collections.abc import Mapping

AHEAD = ("teacher", "learned model", "pruned model")
"""What other runs make that a run needs; in its ``seconds`` where they made it for it, and in their ``total``."""


def seconds_ahead(seconds: Mapping[str, float]) -> dict[str, float]:
    """Those of :data:`AHEAD` among the seconds of a run."""
    return {what: seconds[what] for what in AHEAD if what in seconds}


def own_seconds(seconds: Mapping[str, float]) -> float:
    """All of the seconds of a run but those ahead of it."""
    return seconds["total"] - sum(seconds_ahead(seconds).values())
