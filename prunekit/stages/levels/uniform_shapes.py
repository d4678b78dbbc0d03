"""Levels that are the same in every layer: a plain, smaller encoder, stitched from one calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.stages.levels.database import Counts
from prunekit.stages.levels.stitch import Stitched, Stitching
from prunekit.stages.score.projection_inputs import SUBLAYERS
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.uniform import smallest_shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def uniform_shapes(
    stitching: Stitching, model: PreTrainedModel, budget: Budget, *, all_heads: bool = False
) -> list[Counts]:
    """Uniform shapes within a limit, of each number of heads the one with most neurons: the first one has the least
    error of all uniform shapes of levels, summed over sublayers, and those after it more and more.

    A shape has one head and one neuron in every layer at least. A layer of a pruned model that has fewer units than the
    number keeps all of them. Shapes with no more heads and no more neurons than another are left out.

    Args:
        stitching: of a model that has heads and neurons.
        model, budget: whose costs and limit it has.
        all_heads: keep all heads.

    Raises:
        UserError: no shape fits (with the reachable range).
    """
    (heads, of_heads), (neurons, of_neurons) = (_of_kind(stitching, kind) for kind in SUBLAYERS)
    if all_heads:
        heads, of_heads = heads[-1:], of_heads[:, -1:]
    costs = stitching.fixed + of_heads[0][:, None] + of_neurons[0][None]
    fits = costs <= stitching.limit * (1 + 1e-12)
    if not fits.any():
        raise budget.out_of_reach(model, float(costs.min()), smallest_shape(all_heads))
    shapes, most = [], -1
    for at in reversed(range(len(heads))):
        own = int(np.flatnonzero(fits[at]).max(initial=-1))
        if own > most:
            most = own
            shapes.append((float(of_heads[1, at] + of_neurons[1, own]), int(heads[at]), int(neurons[own])))
    return [_counts(stitching, *numbers) for _, *numbers in sorted(shapes)]


def search_shapes(
    shapes: Sequence[Counts], judge: Callable[[Counts], float], steps: int,
    progress: Callable[[int], None] = lambda steps: None,
) -> Stitched:  # fmt: skip
    """The shape that a judge likes best, of the first ones.

    Args:
        shapes: of :func:`uniform_shapes`.
        judge: as :func:`prunekit.stages.levels.stitch.search_levels` has it.
        steps: shapes that are judged after the first.
        progress: called with the number of steps done since the last call.
    """
    rows: list[dict[str, Any]] = []
    best, least = shapes[0], np.inf
    for step, shape in enumerate(shapes[: steps + 1]):
        divergence = judge(shape)
        if accepted := divergence < least:
            best, least = shape, divergence
        rows.append({
            "tried": step + 1, "step": step, "divergence": divergence, "accepted": accepted, "best": float(least),
        })  # fmt: skip
        progress(int(step > 0))
    return Stitched(best, float(least), rows)


def _of_kind(stitching: Stitching, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of units above 0 that every sublayer of a kind has as a level, or has fewer units than, (number,) and
    rising; and what all of these sublayers then cost and lose together, (2, number)."""
    members = [at for at, place in enumerate(stitching.places) if place.endswith(f".{kind}")]
    levels = [{int(count): level for level, count in enumerate(stitching.counts[at])} for at in members]
    numbers = [
        number
        for number in sorted({count for own in levels for count in own if count})
        if all(min(number, max(own)) in own for own in levels)
    ]
    sums = np.zeros((2, len(numbers)))
    for at, own in zip(members, levels, strict=True):
        chosen = [own[min(number, max(own))] for number in numbers]
        sums += np.stack([stitching.costs[at][chosen], stitching.errors[at][chosen]])
    return np.array(numbers), sums


def _counts(stitching: Stitching, heads: int, neurons: int) -> Counts:
    return {
        place: min(heads if place.endswith(f".{SUBLAYERS[0]}") else neurons, int(own.max()))
        for place, own in zip(stitching.places, stitching.counts, strict=True)
    }
