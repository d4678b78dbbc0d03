"""Pruning curves: heads removed for good in order of a score, step by step, and what the metric does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from prunekit.architectures import encoder_of
from prunekit.blocks import describe
from prunekit.config import TaskConfig
from prunekit.costs import Cost, cost
from prunekit.evaluation import Evaluated
from prunekit.masks import Masks
from prunekit.schedule import heads_to_prune, keep_mask, ranking
from prunekit.surgery import prune

KIND = "self"

Estimate = Callable[[Any], np.ndarray]
"""Scores of a model's heads: (layer, widest layer's heads), NaN or anything where a head is not there."""
Retrain = Callable[[Any], None]


@dataclass(frozen=True)
class Step:
    """One point of a curve, before it is evaluated."""

    share: float
    keep: np.ndarray
    """bool, (layer, head), in terms of the unpruned model."""
    model: Any
    """Physically pruned."""
    removed: list[tuple[int, int]]
    """(layer, head) of all heads that are gone, in the order of their removal."""
    scores: np.ndarray
    """(layer, head), the first estimate."""


def pruning_steps(
    model: Any,
    shares: Sequence[float],
    estimate: Estimate,
    *,
    floor: int = 0,
    stepwise: bool = False,
    retrain: Retrain | None = None,
) -> Iterator[Step]:
    """Prune to each share in turn (Michel et al. 2019, Sec. 4.1); the set of removed heads only grows.

    Args:
        shares: rising, of all heads of ``model``.
        stepwise: estimate the scores again on what is left, before every step.
        retrain: changes the pruned model's weights in place after every step; later steps go on from them.
    """
    encoder_of(model.config)
    layout = describe(model)
    scores = estimate(model).astype(float)
    first = np.where(_mask(layout), scores, np.nan)
    keep, removed, current = _mask(layout), list[tuple[int, int]](), model
    total = int(keep.sum())
    scores = first
    for share in shares:
        count = heads_to_prune(total, share) - len(removed)
        if count > 0:
            if stepwise and removed:
                scores = spread(estimate(current), keep)
            target = keep_mask(np.where(keep, scores, np.nan), count, floor)
            going = [place for place in ranking(np.where(keep & ~target, scores, np.nan).ravel())]
            removed += [divmod(place, keep.shape[1]) for place in going[: int((keep & ~target).sum())]]
            current = prune_heads(current, keep, target)
            keep = target
            if retrain is not None:
                retrain(current)
        yield Step(share, keep, current, list(removed), first)


def prune_heads(model: Any, keep: np.ndarray, target: np.ndarray) -> Any:
    """Prune a model that has the heads ``keep`` to those of ``target``, both (layer, head) of the unpruned model."""
    masks = Masks.ones(describe(model))
    for layer in range(len(keep)):
        left = target[layer][keep[layer]]
        masks.heads[KIND][layer, : len(left)] = torch.from_numpy(left)
    return prune(model, masks)


def spread(scores: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Scores of a pruned model's heads at their places in the unpruned model, NaN where a head is gone."""
    full = np.full(keep.shape, np.nan)
    for layer, row in enumerate(keep):
        full[layer, row] = scores[layer, : row.sum()]
    return full


def _mask(layout: Any) -> np.ndarray:
    return Masks.ones(layout).heads[KIND].numpy().astype(bool)


def point(task: TaskConfig, step: Step, evaluated: Evaluated, dense: Cost, length: int) -> dict[str, Any]:
    """A row of the curve's table: requested and achieved sparsities, and the metric with its 95 % band."""
    own = cost(step.model, length)
    total = step.keep.size
    return {
        "share": step.share, "heads_kept": int(step.keep.sum()), "heads_total": total,
        "achieved_heads": len(step.removed) / (len(step.removed) + int(step.keep.sum())),
        "metric": task.metric, "value": evaluated.metrics[task.metric],
        "low": evaluated.low, "high": evaluated.high,
        "parameters": own.parameters, "achieved_parameters": 1 - own.parameters / dense.parameters,
        "macs": own.macs, "achieved_macs": 1 - own.macs / dense.macs, "length": length,
    }  # fmt: skip


def share_within(table: list[dict[str, Any]], low: float) -> float:
    """The largest share up to which no point falls below ``low``, the lower end of the unpruned metric's band."""
    below = [row["share"] for row in table if row["value"] < low]
    return max(row["share"] for row in table if not below or row["share"] < min(below))


def kept_rows(step: Step) -> list[dict[str, Any]]:
    """Heads kept per layer at one share."""
    return [
        {"share": step.share, "kind": KIND, "layer": layer, "heads_kept": int(row.sum()), "heads": row.size}
        for layer, row in enumerate(step.keep)
    ]


def score_rows(step: Step) -> list[dict[str, Any]]:
    """Score and rank of every head; rank 0 goes first. Heads that stay are ranked by their first score."""
    stay = [divmod(place, step.keep.shape[1]) for place in ranking(np.where(step.keep, step.scores, np.nan).ravel())]
    order = step.removed + stay[: int(step.keep.sum())]
    return [
        {"kind": KIND, "layer": layer, "head": head, "score": step.scores[layer, head], "rank": rank}
        for rank, (layer, head) in enumerate(order)
    ]
