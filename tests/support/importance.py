"""Importance of heads and neurons that nothing was computed for, and latency tables that nothing was measured for."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.stages.search.latency import LatencyTable, Subject
from prunekit.stages.units import UnitTensors
from tests.support.families import HEADS, HIDDEN


def importance_of(model: PreTrainedModel, seed: int = 0, heads: float = 1.0) -> UnitTensors:
    """Random importance; a head weighs ``heads`` times what costs the same in neurons."""
    exists = Masks.ones(describe(model))
    generator = np.random.default_rng(seed)
    ratio = heads * 2 * HIDDEN / HEADS
    return UnitTensors(
        torch.from_numpy(generator.lognormal(size=exists.heads["self"].shape) * ratio) * exists.heads["self"],
        torch.from_numpy(generator.lognormal(size=exists.neurons.shape)) * exists.neurons,
    )


def kept_importance(importance: UnitTensors, masks: Masks) -> float:
    return float((importance.heads * masks.heads["self"]).sum() + (importance.neurons * masks.neurons).sum())


def made_up(model: PreTrainedModel, attention: dict[int, float], ffn: dict[int, float]) -> LatencyTable:
    """A table of this machine with chosen medians."""
    rows = tuple(
        {"sublayer": name, "units": units, "median_ms": ms, "low_ms": ms, "high_ms": ms, "repeats": 1}
        for name, curve in (("attention", attention), ("ffn", ffn))
        for units, ms in curve.items()
    )
    return LatencyTable(Subject.of(model, 2, 8, "float64"), rows)
