"""Heads of several kinds of attention in one array, to be ranked together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prunekit.models.layout import Layout
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError

Row = tuple[str, int]
"""Attention kind and layer of a row of heads."""


def kinds_of(layout: Layout, wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The attention kinds that are asked for, in the model's order; all of them by default.

    Raises:
        UserError: a kind that the model does not have, or none at all.
    """
    if wanted is None:
        return layout.kinds
    for kind in wanted or ("none",):
        if kind not in layout.kinds:
            raise UserError(f"kinds: {kind!r} is unknown, heads of a {layout.family} are {', '.join(layout.kinds)}")
    return tuple(kind for kind in layout.kinds if kind in wanted)


def rows_of(layout: Layout, kinds: Sequence[str]) -> list[Row]:
    """Rows of :func:`stacked`: kind by kind, layer by layer."""
    return [(kind, shape.layer) for kind in kinds for shape in layout.of_kind(kind)]


def stacked(by_kind: Mapping[str, Any], kinds: Sequence[str]) -> np.ndarray:
    """Values of heads, (row, widest row's heads), NaN behind the heads of narrower rows.

    Args:
        by_kind: (layer, head) each.
    """
    arrays = [np.asarray(by_kind[kind], dtype=float) for kind in kinds]
    width = max(array.shape[1] for array in arrays)
    return np.concatenate([
        np.pad(array, ((0, 0), (0, width - array.shape[1])), constant_values=np.nan) for array in arrays
    ])  # fmt: skip


def existing(layout: Layout, kinds: Sequence[str]) -> np.ndarray:
    """Which heads there are, bool, (row, widest row's heads)."""
    return np.nan_to_num(stacked(Masks.ones(layout).heads, kinds)).astype(bool)
