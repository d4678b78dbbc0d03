"""Levels after swaps: units exchanged against the quadratic that the levels were made of, and fitted exactly to it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from prunekit.stages.levels.database import Counts, LevelDatabase
from prunekit.stages.levels.sublayer_levels import SublayerLevels, levels_in_order
from prunekit.stages.refine.swap import Swept, exchange


def exchanged(
    database: LevelDatabase, counts: Counts, progress: Callable[[int], None] = lambda sublayers: None
) -> LevelDatabase:
    """What stays of every sublayer at these levels after swaps; of other levels it knows nothing where units were
    exchanged.

    Args:
        counts: units that every sublayer keeps, before and after.
        progress: called with the number of sublayers done since the last call.

    Raises:
        UserError: a quadratic that cannot be solved (naming the sublayer).
    """
    sublayers = {}
    for place, levels in database.sublayers.items():
        sublayers[place] = exchanged_level(levels, counts[place], place)
        progress(1)
    return LevelDatabase(sublayers)


def exchanged_level(levels: SublayerLevels, count: int, place: str) -> SublayerLevels:
    """The same for one sublayer, of which some units stay.

    Removal one by one takes no unit back: one that was missed little among many may be missed most among few. A swap
    brings one back and drops another where the damped error, with the best weights for what is kept, falls.
    """
    if not 0 < count < levels.units:
        return levels
    quadratic, kept = levels.quadratic(), levels.mask(count)
    layer, _, sublayer = place.partition(".")
    moments = quadratic.weight @ quadratic.hessian
    swept = Swept(quadratic.hessian, moments, kept, levels.size, f"{sublayer} of layer {layer}")
    exchange(swept)
    if torch.equal(swept.kept, kept):
        return levels
    stays = swept.kept[levels.order]
    order = torch.cat([levels.order[~stays], levels.order[stays]])
    return levels_in_order(quadratic, order, [count], levels.size, levels.power, levels.factor.dtype)
