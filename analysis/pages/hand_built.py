"""How near pruned models come to plain models of their shapes, built by hand, in one runtime (`benchmark=latency`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.claims.claim import AT_LEAST
from analysis.claims.verdicts import CONFIDENCE, FAILS, HOLDS, UNDECIDED, position
from analysis.intervals.medians import error_of_median
from analysis.intervals.positive import Positive, timed

if TYPE_CHECKING:
    import pandas as pd

    from analysis.pages.selection import Runs

COMPARISON = re.compile(r"(?P<shape>.+), batch (?P<batch>\d+): hand-built")
LEAST = 95.0
"""Per cent of the hand-built model's speed that a pruned one is to have at batch 1."""
Speeds = dict[tuple[str, int], Positive]


def speeds(repeats: pd.DataFrame) -> Speeds:
    """By shape and batch size the speed beside hand-built in per cent, from the rounds of a run."""
    found: Speeds = {}
    for comparison, rounds in repeats.groupby("comparison", sort=False):
        if match := COMPARISON.fullmatch(str(comparison)):
            low, middle, high = rounds["ratio"].astype(float).quantile([0.25, 0.5, 0.75])
            error = error_of_median(low, high, len(rounds))
            found[match["shape"], int(match["batch"])] = timed(middle, error / middle, len(rounds))
    return found


def verdict(speeds: Sequence[Positive]) -> str:
    """Whether all are at least :data:`LEAST`, by intervals that allow for all of them."""
    states = [position(one.interval(1 - (1 - CONFIDENCE) / len(speeds)), AT_LEAST, LEAST) for one in speeds]
    state = HOLDS if states.count(HOLDS) == len(states) else FAILS if FAILS in states else UNDECIDED
    return f"**{state}** ({states.count(HOLDS)} of {len(states)} shapes)"


def text(runs: Runs) -> str:
    """Of a single run: a table of shapes and batch sizes in Markdown, and the verdict at the smallest batch."""
    own = speeds(runs.table("repeats").frame)
    batches, shapes = sorted({batch for _, batch in own}), list(dict.fromkeys(shape for shape, _ in own))
    lines = ["| speed beside hand-built, % (95 % interval) |" + "".join(f" batch {batch} |" for batch in batches)]
    lines.append("|---|" + "---|" * len(batches))
    lines += [f"| {shape} |" + "".join(f" {_cell(own[shape, batch])} |" for batch in batches) for shape in shapes]
    judged = verdict([own[shape, batches[0]] for shape in shapes])
    return "\n".join(lines) + f"\n\nAt batch {batches[0]} all have at least {LEAST:g} % of its speed: {judged}."


def _cell(one: Positive) -> str:
    low, high = one.interval(CONFIDENCE)
    return f"{one.value:.0f} ({low:.0f} to {high:.0f})"
