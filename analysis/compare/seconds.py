"""What pruning itself took, without loading, fine-tuning the teacher and evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from analysis.data.marks.quiet import disturbed

if TYPE_CHECKING:
    import pandas as pd

    from analysis.data.records import Record

CACHED = 0.1
"""An ablation of all heads that took less than this share of evaluating one curve was not run but looked up."""
APART = 4 / 3
"""Seconds of which the most is so many times the least have no mean."""
PREFIX = "seconds_"
"""Of the metrics of `compress` that say what a stage took."""
RANKING = ("ablate heads", "head importance")
"""Stages that rank heads, of which an order takes one or none."""
SHARED = "prune_cofi"
"""Its runs share the warm-up of a seed: only the one that trained it recorded its time."""


def seconds_of(record: Record) -> float:
    """Seconds of one run; NaN where its record does not say.

    Of heads: what ranking them took, for the whole curve (weights and chance take none that is recorded); of Fisher
    pruning: gradients, search, rearrangement and tuning; of other methods: all their stages; of CoFi and its baselines:
    scores and all training. What a model in 8 bits took with its pruning, its record does not say.
    """
    took = record.seconds
    if record.verb in ("prune_fisher", "compress"):
        return float(record.metrics.get("seconds_pruning", math.nan))
    if record.verb == "prune_cofi":
        return took["train"] + took.get("scores", 0.0) if "train" in took else math.nan
    ablation, importance = RANKING
    if ablation in took:
        looked_up = took[ablation] < CACHED * took.get("evaluate pruned models", 0.0)
        return math.nan if looked_up else took[ablation]
    return took.get(importance, math.nan)


def seconds_text(records: Sequence[Record]) -> str:
    """Of runs of `compress` their mean; the least and the most where these are far apart, or one of them was timed
    beside other work."""
    own = [seconds_of(record) for record in records]
    least, most = f"{min(own):,.0f}", f"{max(own):,.0f}"
    unlike = max(own) > APART * min(own) or any(disturbed(record, stages_of([record])) for record in records)
    return f"{least} to {most}" if unlike and least != most else f"{fmean(own):,.0f}"


def stages_of(records: Iterable[Record]) -> set[str]:
    """The stages of `compress` whose seconds are those of pruning: each method has its own."""
    named = {name for record in records for name in record.metrics if name.startswith(PREFIX)}
    return {name.removeprefix(PREFIX) for name in named} - {"pruning"}


def whole_training(points: pd.DataFrame) -> pd.DataFrame:
    """The points with the longest time of each method of CoFi for all its runs: that of one with its warm-up."""
    longest = points.groupby("method")["seconds"].transform("max").mask(points["seconds"].isna())
    return points.assign(seconds=longest.where(points["method"].str.startswith(SHARED), points["seconds"]))
