"""How many heads go at each step, and which (Michel et al. 2019, Sec. 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from prunekit.models.layout import Layout
from prunekit.support.errors import UserError


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
    _check_floor(floor, int(exists.sum(1).min()))
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


def reachable(
    shares: Sequence[float], layout: Layout, floor: int, wanted: float | None = None, kinds: Sequence[str] | None = None
) -> list[float]:
    """The shares that can be pruned when every layer keeps ``floor`` heads; those beyond are left out of a curve.

    Args:
        kinds: of attention that the shares are of; all by default.

    Raises:
        UserError: the one share that is ``wanted`` is beyond reach, or ``floor`` is above the heads of a layer.
    """
    heads = [block.heads for block in layout.attention if kinds is None or block.kind in kinds]
    _check_floor(floor, min(heads))
    total = sum(heads)
    most = total - sum(min(floor, here) for here in heads)
    if wanted is not None and heads_to_prune(total, wanted) > most:
        raise UserError(f"share: {wanted} is out of reach with floor={floor}, at most {most / total:.3f} is")
    return [share for share in shares if heads_to_prune(total, share) <= most]


def _check_floor(floor: int, smallest: int) -> None:
    if floor > smallest:
        raise UserError(f"floor: {floor} heads cannot stay in a layer of {smallest}, choose at most that many")
