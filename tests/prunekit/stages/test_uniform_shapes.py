"""Uniform shapes from levels, against trying all of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from prunekit.stages.levels.database import LevelDatabase
from prunekit.stages.levels.stitch import Stitching
from prunekit.stages.levels.sublayer_levels import SublayerLevels
from prunekit.stages.levels.uniform_shapes import search_shapes, uniform_shapes
from prunekit.stages.search.budget import Budget
from prunekit.support.errors import UserError
from tests.support.families import tiny

HEADS, NEURONS = [4, 3, 2, 1, 0], [24, 17, 12, 8, 5, 2, 1, 0]
NARROW = [12, 8, 5, 2, 1, 0]
"""Of a layer that was pruned before: where it has no such level, a number is none of all layers."""
ODD = [10, 8, 5, 2, 1, 0]


def levels(counts: list[int], generator: np.random.Generator) -> SublayerLevels:
    """Only what stitching reads: errors that rise as units go."""
    errors = torch.from_numpy(np.concatenate([[0.0], generator.exponential(1.0, len(counts) - 1).cumsum()]))
    none = torch.zeros(0)
    return SublayerLevels(
        order=torch.arange(counts[0]), factor=none, moments=none, counts=torch.tensor(counts),
        damped=errors, measured=errors, power=errors[-1], damping=none, added=none,
    )  # fmt: skip


def stitching(widths: list[list[int]], share: float, seed: int = 0) -> tuple[Stitching, list[np.ndarray]]:
    """Of layers with four heads each and so many neurons, the last one without any sublayer; and the costs."""
    generator = np.random.default_rng(seed)
    own = [counts for neurons in widths for counts in (HEADS, neurons)]
    costs = [0.3 + np.arange(counts[0] + 1) * (6.0 if counts is HEADS else 1.0) for counts in own]
    costs += [np.array([0.3])] * 2
    places = [f"{layer}.{name}" for layer in range(len(widths)) for name in ("attention", "ffn")]
    database = LevelDatabase({
        place: levels(counts, generator) for place, counts in zip(places, own, strict=True)
    })  # fmt: skip
    return Stitching(database, costs, share * float(sum(cost[-1] for cost in costs))), costs


def of_all(tried: Stitching, costs: list[np.ndarray], heads: int, neurons: int) -> tuple[dict[str, int], float, float]:
    """A shape's units, what it costs and what it loses; infinite where a layer has no such level."""
    counts, cost, error = {}, 0.6, 0.0
    for at, place in enumerate(tried.places):
        own = tried.counts[at].tolist()
        counts[place] = min(heads if "attention" in place else neurons, own[0])
        cost += float(costs[at][counts[place]])
        error += float(tried.errors[at][own.index(counts[place])]) if counts[place] in own else np.inf
    return counts, cost, error


@pytest.mark.parametrize("all_heads", [False, True])
@pytest.mark.parametrize("widths", [[NEURONS, NEURONS], [NEURONS, NARROW], [ODD, NEURONS]])
@pytest.mark.parametrize(("share", "seed"), [(0.4, 0), (0.6, 1), (0.8, 2), (0.95, 3)])
def test_the_first_shape_is_the_best_of_all(widths: list[list[int]], all_heads: bool, share: float, seed: int) -> None:
    tried, costs = stitching(widths, share, seed)
    fitting = {}
    for heads, neurons in itertools.product([4] if all_heads else range(1, 5), range(1, 25)):
        counts, cost, error = of_all(tried, costs, heads, neurons)
        if cost <= tried.limit and error < np.inf:
            fitting[tuple(counts.values())] = error
    if not fitting:
        with pytest.raises(UserError, match=r"leaves no room for (all heads|a head) and a neuron in every layer"):
            uniform_shapes(tried, tiny("bert"), Budget(share, "mac", 9), all_heads=all_heads)
        return
    shapes = uniform_shapes(tried, tiny("bert"), Budget(share, "mac", 9), all_heads=all_heads)
    found = [tuple(shape.values()) for shape in shapes]
    errors = [fitting[shape] for shape in found]
    assert errors == sorted(errors) and errors[0] == pytest.approx(min(fitting.values()))
    largest = {
        shape for shape in fitting
        if not any(other != shape and all(np.array(other) >= np.array(shape)) for other in fitting)
    }  # fmt: skip
    assert set(found) == largest and len(found) == len(largest)


def test_what_fits_no_shape_says_the_least_that_does() -> None:
    tried, costs = stitching([NEURONS, NEURONS], 0.9)
    least = of_all(tried, costs, 1, 1)[1]
    tried.limit = least
    assert [tuple(one.values()) for one in uniform_shapes(tried, tiny("bert"), Budget(0.5, "mac", 9))] == [(1, 1, 1, 1)]
    tried.limit = least * (1 - 1e-9)
    with pytest.raises(UserError, match=re.escape("leaves no room for a head and a neuron in every layer; it can go")):
        uniform_shapes(tried, tiny("bert"), Budget(0.5, "mac", 9))


def test_the_search_takes_what_the_judge_likes_best_of_the_first() -> None:
    shapes = [{"0.attention": heads} for heads in (4, 3, 2, 1)]
    likes = {4: 3.0, 3: 5.0, 2: 2.0, 1: 1.0}

    def judge(counts: Mapping[str, int]) -> float:
        return likes[counts["0.attention"]]

    done: list[int] = []
    found = search_shapes(shapes, judge, 2, done.append)
    assert (found.counts, found.divergence, sum(done)) == ({"0.attention": 2}, 2.0, 2)
    assert found.steps == [
        {"tried": 1, "step": 0, "divergence": 3.0, "accepted": True, "best": 3.0},
        {"tried": 2, "step": 1, "divergence": 5.0, "accepted": False, "best": 3.0},
        {"tried": 3, "step": 2, "divergence": 2.0, "accepted": True, "best": 2.0},
    ]
    assert search_shapes(shapes, judge, 9).counts == {"0.attention": 1}
