"""How many heads go at each step, and which (Michel et al. 2019, Sec. 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from prunekit.errors import UserError


def grid(step: float) -> list[float]:
    """Shares 0, step, 2 step, ..., 1."""
    steps = math.floor(1 / step + 1e-9)
    return [round(step * i, 10) for i in range(steps + 1)] + ([1.0] if steps * step < 1 - 1e-9 else [])


def heads_to_prune(total: int, share: float) -> int:
    """Heads that a share means, rounded down as in the released code; 1e-9 undoes binary fractions (0.29 * 100)."""
    return math.floor(total * share + 1e-9)


def keep_mask(scores: np.ndarray, count: int, floor: int = 0) -> np.ndarray:
    """Which heads stay when the ``count`` lowest-scored go, all layers ranked together.

    Args:
        scores: (layer, head); NaN marks heads that are not there.
        floor: heads with the highest scores of each layer that are kept whatever their rank.

    Returns:
        bool, (layer, head). Fewer than ``count`` heads go where the floor protects the rest.

    Raises:
        UserError: ``floor`` is above the number of heads of a layer.
    """
    exists = ~np.isnan(scores)
    if floor > exists.sum(1).min():
        smallest = exists.sum(1).min()
        raise UserError(f"floor: {floor} heads cannot stay in a layer of {smallest}, choose at most that many")
    protected = np.zeros_like(exists)
    for layer in range(len(scores)):
        best = [head for head in ranking(scores[layer])[::-1] if exists[layer, head]][:floor]
        protected[layer, best] = True
    order = [place for place in ranking(scores.ravel()) if exists.flat[place] and not protected.flat[place]]
    keep = exists.copy()
    keep.flat[order[:count]] = False
    return keep


def ranking(scores: np.ndarray) -> list[int]:
    """Places from the lowest score to the highest; ties in order of place, NaN last."""
    return np.argsort(scores, kind="stable").tolist()


def check_shares(shares: Sequence[float]) -> list[str]:
    return [f"share: {share} is outside [0, 1]" for share in shares if not 0 <= share <= 1]
