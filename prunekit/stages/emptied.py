"""What a budget has left nothing of: said in a line, as a score of what is left is no score of fewer units."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

log = logging.getLogger(__name__)

SUBLAYERS = ("heads", "neurons")


def warn_of_emptied(kept: Sequence[Mapping[str, Any]]) -> None:
    """Log a line if no head or no neuron is left in any layer, or one of the two sublayers is empty in every layer.

    Args:
        kept: rows of the table ``kept``: ``unit``, ``layer``, ``kept``, ``total``.
    """
    if line := emptied(kept):
        log.warning("%s", line)


def emptied(kept: Sequence[Mapping[str, Any]]) -> str | None:
    """That line; None if there is nothing to be said."""
    had: dict[str, dict[int, int]] = {unit: {} for unit in SUBLAYERS}
    left: dict[str, dict[int, int]] = {unit: {} for unit in SUBLAYERS}
    for row in kept:
        if row["unit"] in SUBLAYERS:  # the kinds of attention of a layer together
            for counts, name in ((had, "total"), (left, "kept")):
                own = counts[row["unit"]]
                own[row["layer"]] = own.get(row["layer"], 0) + int(row[name])
    gone = [unit for unit in SUBLAYERS if any(had[unit].values()) and not any(left[unit].values())]
    if gone:
        return f"no {' and no '.join(unit.removesuffix('s') for unit in gone)} is left in any layer"
    empty = [{layer for layer, total in had[unit].items() if total and not left[unit][layer]} for unit in SUBLAYERS]
    layers = {layer for unit in SUBLAYERS for layer, total in had[unit].items() if total}
    if layers and set.union(*empty) == layers:
        return f"in every layer the attention ({len(empty[0])}) or the FFN ({len(empty[1])}) has no unit left"
    return None
