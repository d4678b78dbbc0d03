"""Pruning curves: heads removed for good in order of a score, step by step, and what the metric does meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.config.task import TaskConfig
from prunekit.evaluation.evaluate import Evaluated
from prunekit.heads.ranked import Row, existing, kinds_of, rows_of, stacked
from prunekit.heads.schedule import heads_to_prune, keep_mask, ranking
from prunekit.models.blocks import describe
from prunekit.models.costs import Cost, cost
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Estimate = Callable[["PreTrainedModel"], Mapping[str, Any]]
"""Scores of a model's heads by attention kind: (layer, widest layer's heads), NaN or anything where a head is not
there."""
Retrain = Callable[["PreTrainedModel"], None]


@dataclass(frozen=True)
class Step:
    """One point of a curve, before it is evaluated."""

    share: float
    rows: list[Row]
    """Attention kind and layer of the rows of the arrays below."""
    keep: np.ndarray
    """bool, (row, head), in terms of the unpruned model."""
    model: PreTrainedModel
    """Physically pruned."""
    removed: list[tuple[int, int]]
    """(row, head) of all heads that are gone, in the order of their removal."""
    scores: np.ndarray
    """(row, head), the first estimate; NaN where there is no head."""


def pruning_steps(
    model: PreTrainedModel,
    shares: Sequence[float],
    estimate: Estimate,
    *,
    kinds: Sequence[str] | None = None,
    floor: int = 0,
    stepwise: bool = False,
    retrain: Retrain | None = None,
) -> Iterator[Step]:
    """Prune to each share in turn (Michel et al. 2019, Sec. 4.1); the set of removed heads only grows.

    Args:
        shares: rising, of all heads of ``model`` of these kinds.
        kinds: of attention whose heads may go, ranked together; all kinds by default.
        stepwise: estimate the scores again on what is left, before every step.
        retrain: changes the pruned model's weights in place after every step; later steps go on from them.
    """
    layout = describe(model)
    kinds = kinds_of(layout, kinds)
    rows = rows_of(layout, kinds)
    keep, removed, current = existing(layout, kinds), list[tuple[int, int]](), model
    total = int(keep.sum())
    scores = first = np.where(keep, stacked(estimate(model), kinds), np.nan)
    for share in shares:
        count = heads_to_prune(total, share) - len(removed)
        if count > 0:
            if stepwise and removed:
                scores = spread(stacked(estimate(current), kinds), keep)
            target = keep_mask(np.where(keep, scores, np.nan), count, floor)
            going = [place for place in ranking(np.where(keep & ~target, scores, np.nan).ravel())]
            removed += [divmod(place, keep.shape[1]) for place in going[: int((keep & ~target).sum())]]
            current = prune_heads(current, rows, keep, target)
            keep = target
            if retrain is not None:
                retrain(current)
        yield Step(share, rows, keep, current, list(removed), first)


def prune_heads(model: PreTrainedModel, rows: Sequence[Row], keep: np.ndarray, target: np.ndarray) -> PreTrainedModel:
    """Prune a model that has the heads ``keep`` to those of ``target``, both (row, head) of the unpruned model."""
    masks = Masks.ones(describe(model))
    for (kind, layer), here, wanted in zip(rows, keep, target, strict=True):
        left = wanted[here]
        masks.heads[kind][layer, : len(left)] = torch.from_numpy(left)
    return prune(model, masks)


def spread(scores: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Scores of a pruned model's heads at their places in the unpruned model, NaN where a head is gone."""
    full = np.full(keep.shape, np.nan)
    for number, row in enumerate(keep):
        full[number, row] = scores[number, : row.sum()]
    return full


def point(
    task: TaskConfig, step: Step, evaluated: Evaluated, dense: Cost, length: int, target_length: int | None = None
) -> dict[str, Any]:
    """A row of the curve's table: requested and achieved sparsities, and the metric with its 95 % band.

    Args:
        dense: cost of the unpruned model at these lengths.
        target_length: tokens, of translation.
    """
    own = cost(step.model, length, target_length)
    kinds = list(dict.fromkeys(kind for kind, _ in step.rows))
    return {
        "share": step.share, "kinds": "+".join(kinds),
        "heads_kept": int(step.keep.sum()), "heads_total": int((~np.isnan(step.scores)).sum()),
        "achieved_heads": len(step.removed) / (len(step.removed) + int(step.keep.sum())),
        "metric": task.metric, "value": evaluated.metrics[task.metric],
        "low": evaluated.low, "high": evaluated.high, **{name: evaluated.metrics[name] for name in task.metrics},
        "parameters": own.parameters, "achieved_parameters": 1 - own.parameters / dense.parameters,
        "macs": own.macs, "achieved_macs": 1 - own.macs / dense.macs, "length": length,
        **({} if target_length is None else {"target_length": target_length}),
    }  # fmt: skip


def share_within(table: list[dict[str, Any]], low: float) -> float:
    """The largest share up to which no point falls below ``low``, the lower end of the unpruned metric's band."""
    below = [row["share"] for row in table if row["value"] < low]
    return max(row["share"] for row in table if not below or row["share"] < min(below))


def kept_rows(step: Step) -> list[dict[str, Any]]:
    """Heads kept per layer at one share."""
    return [
        {
            "share": step.share, "kind": kind, "layer": layer, "heads_kept": int(mask.sum()),
            "heads": int((~np.isnan(scores)).sum()),
        }
        for (kind, layer), mask, scores in zip(step.rows, step.keep, step.scores, strict=True)
    ]  # fmt: skip


def kept_masks(step: Step) -> dict[str, list[list[bool]]]:
    """Which heads are kept at one share, by attention kind: (layer, head)."""
    masks: dict[str, list[list[bool]]] = {}
    for (kind, _), mask, scores in zip(step.rows, step.keep, step.scores, strict=True):
        masks.setdefault(kind, []).append(mask[~np.isnan(scores)].tolist())
    return masks


def score_rows(step: Step) -> list[dict[str, Any]]:
    """Score and rank of every head; rank 0 goes first. Heads that stay are ranked by their first score."""
    stay = [divmod(place, step.keep.shape[1]) for place in ranking(np.where(step.keep, step.scores, np.nan).ravel())]
    order = step.removed + stay[: int(step.keep.sum())]
    return [
        {
            "kind": step.rows[row][0], "layer": step.rows[row][1], "head": head,
            "score": step.scores[row, head], "rank": rank,
        }
        for rank, (row, head) in enumerate(order)
    ]  # fmt: skip
