"""Rows of the tables of single heads, and of layers with one head left."""

from __future__ import annotations

from typing import Any

import numpy as np

from prunekit.evaluation.comparison import Comparison
from prunekit.support.statistics import benjamini_hochberg

WHOLE = {"ablation": "none"}
"""What tells the answers of the whole model from those with heads off."""


def without(ablation: str, kind: str, layer: int, head: int) -> dict[str, Any]:
    """What tells the answers of a model with a head off, or with all others of its layer off."""
    return {"ablation": ablation, "kind": kind, "layer": layer, "head": head}


def head_rows(kind: str, ablation: str, comparison: Comparison, examples: int, level: float) -> list[dict[str, Any]]:
    """One row a head of a kind: what the metric becomes and whether that is significant."""
    discovered = _discovered(comparison.p_values, level)
    layers, heads = comparison.values.shape
    return [
        {
            "kind": kind, "layer": layer, "head": head, "ablation": ablation, "metric": comparison.metric,
            "examples": examples, "baseline": comparison.baseline, "value": comparison.values[layer, head],
            "delta": comparison.deltas[layer, head], "p_value": comparison.p_values[layer, head],
            "significant": bool(comparison.p_values[layer, head] < level),
            "significant_bh": bool(discovered[layer, head]),
        }
        for layer in range(layers)
        for head in range(heads)
        if not np.isnan(comparison.values[layer, head])
    ]  # fmt: skip


def best_heads(comparison: Comparison) -> np.ndarray:
    """The head of each layer with the highest value, (layer,); -1 for a layer that has none."""
    best: np.ndarray = np.where(np.isnan(comparison.values), -np.inf, comparison.values).argmax(1)
    best[np.isnan(comparison.values).all(1)] = -1
    return best


def layer_rows(
    kind: str, protocol: str, chosen: np.ndarray, comparison: Comparison, selection: int, examples: int, level: float
) -> list[dict[str, Any]]:
    """One row a layer of a kind that has heads: the one that was chosen to stay alone, tested on the evaluation data
    (Table 3)."""
    p_values = np.where(chosen < 0, np.nan, comparison.p_values[range(len(chosen)), chosen])
    discovered = _discovered(p_values, level)
    return [
        {
            "kind": kind, "layer": layer, "protocol": protocol, "head": int(head), "selection_examples": selection,
            "metric": comparison.metric, "examples": examples, "baseline": comparison.baseline,
            "value": comparison.values[layer, head], "delta": comparison.deltas[layer, head],
            "p_value": comparison.p_values[layer, head],
            "significant": bool(comparison.p_values[layer, head] < level), "significant_bh": bool(discovered[layer]),
        }
        for layer, head in enumerate(chosen)
        if head >= 0
    ]  # fmt: skip


def _discovered(p_values: np.ndarray, level: float) -> np.ndarray:
    """Which are significant among all that there are; what is NaN is no test."""
    discovered, tested = np.zeros(p_values.shape, bool), ~np.isnan(p_values)
    if tested.any():
        discovered[tested] = benjamini_hochberg(p_values[tested], level=level)
    return discovered
