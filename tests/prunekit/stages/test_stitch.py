"""Levels under a budget, against trying all of them; the local search over sensitivities."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from prunekit.stages.levels.database import LevelDatabase
from prunekit.stages.levels.stitch import Stitching, search_levels
from prunekit.stages.levels.sublayer_levels import SublayerLevels

COUNTS = [[3, 2, 1, 0], [10, 6, 3, 1, 0], [3, 2, 1, 0], [8, 5, 2, 0]]


def levels(counts: list[int], generator: np.random.Generator) -> SublayerLevels:
    """Only what stitching reads: errors that rise as units go."""
    errors = np.concatenate([[0.0], generator.exponential(1.0, len(counts) - 1).cumsum()])
    none = torch.zeros(0)
    return SublayerLevels(
        order=torch.arange(counts[0]), factor=none, moments=none, counts=torch.tensor(counts),
        damped=torch.from_numpy(errors), measured=torch.from_numpy(errors),
        power=torch.tensor(errors[-1] * generator.uniform(0.5, 1.5)), damping=none, added=none,
    )  # fmt: skip


def problem(seed: int, share: float) -> tuple[Stitching, list[np.ndarray]]:
    """A stitching of six sublayers, two of them empty, and the costs by number of units."""
    generator = np.random.default_rng(seed)
    costs = [generator.uniform(0.2, 1) + np.arange(counts[0] + 1) * generator.uniform(0.5, 2) for counts in COUNTS]
    database = LevelDatabase({
        place: levels(counts, generator)
        for place, counts in zip(["0.attention", "0.ffn", "1.attention", "2.ffn"], COUNTS, strict=True)
    })  # fmt: skip
    bare = np.array([0.3])
    ordered = [*costs[:3], bare, bare, costs[3]]
    whole = float(sum(cost[-1] for cost in ordered))
    return Stitching(database, ordered, share * whole), ordered


def cost_of(counts: Mapping[str, int], costs: list[np.ndarray]) -> float:
    by_place = dict(zip(["0.attention", "0.ffn", "1.attention", "1.ffn", "2.attention", "2.ffn"], costs, strict=True))
    return sum(float(cost[counts.get(place, 0)]) for place, cost in by_place.items())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.35, 0.5, 0.8, 0.99])
def test_levels_are_the_best_of_all(seed: int, share: float) -> None:
    stitching, costs = problem(seed, share)
    weights = np.random.default_rng(seed).uniform(0.2, 5, 4)
    for sensitivities in (np.ones(4), weights):
        best = np.inf
        for chosen in itertools.product(*(range(len(counts)) for counts in COUNTS)):
            counts = {p: COUNTS[at][level] for at, (p, level) in enumerate(zip(stitching.places, chosen, strict=True))}
            if cost_of(counts, costs) <= stitching.limit and any(counts.values()):
                errors = [part[level] for part, level in zip(stitching.errors, chosen, strict=True)]
                best = min(best, float(np.dot(sensitivities, errors)))
        stitched = stitching.stitch(sensitivities)
        assert stitched is not None
        assert cost_of(stitched, costs) <= stitching.limit * (1 + 1e-9)
        levels = [COUNTS[at].index(stitched[place]) for at, place in enumerate(stitching.places)]
        own = sum(s * part[level] for s, part, level in zip(sensitivities, stitching.errors, levels, strict=True))
        assert own == pytest.approx(best, rel=1e-9)


def test_what_no_unit_fits() -> None:
    stitching, costs = problem(0, 0.9)
    for share, fits in ((1.001, True), (0.999, False)):
        stitching.limit = share * stitching.least
        assert (stitching.stitch(np.ones(4)) is not None) == fits
    empty = cost_of(dict.fromkeys(stitching.places, 0), costs)
    assert empty < stitching.least


def test_the_search_goes_to_what_the_judge_likes() -> None:
    stitching, costs = problem(1, 0.5)
    wanted = stitching.stitch(np.array([9.0, 0.1, 0.2, 3.0]))
    assert wanted is not None
    asked: list[tuple[int, ...]] = []

    def judge(counts: Mapping[str, int]) -> float:
        asked.append(tuple(counts.values()))
        return float(sum(abs(counts[place] - wanted[place]) for place in wanted))

    start = min(judge(one) for one in (
        stitching.stitch(np.ones(4)) or {}, stitching.stitch(1 / stitching.power) or {},
    ))  # fmt: skip
    asked.clear()
    found = search_levels(stitching, judge, 30, seed=0)
    assert found.divergence is not None
    assert found.divergence == judge(found.counts) < start
    assert len(set(asked[:-1])) == len(asked[:-1])  # nothing is judged twice
    assert cost_of(found.counts, costs) <= stitching.limit * (1 + 1e-9)
    again = search_levels(stitching, judge, 30, seed=0)
    assert again.counts == found.counts
    assert next(row["accepted"] for row in found.steps if row["divergence"] == found.divergence)
    least = [min(row["divergence"] for row in found.steps[: at + 1]) for at in range(len(found.steps))]
    assert [row["best"] for row in found.steps] == least
    better = [after < one for one, after in itertools.pairwise(least)]
    assert [row["accepted"] for row in found.steps] == [True, *better] and any(better)
    assert [row["step"] for row in found.steps] == [0, 0, *range(1, len(found.steps) - 1)]
    tried = [row["tried"] for row in found.steps]
    assert tried[:2] == [1, 2] and sorted(set(tried)) == tried
    assert len(tried) < tried[-1] <= 2 + 20 * 30  # some came to levels judged before


def test_without_steps_nobody_is_asked() -> None:
    stitching, _ = problem(2, 0.5)
    assert search_levels(stitching, lambda _: 1 / 0, 0, seed=0).counts == stitching.stitch(np.ones(4))


def test_a_step_changes_a_quarter_of_the_best_sensitivities_so_far_by_the_factors_of_the_seed() -> None:
    asked: list[np.ndarray] = []

    def stitch(sensitivities: np.ndarray) -> dict[str, int]:
        asked.append(sensitivities)
        return {"all": len(asked)}  # never judged before

    stitching: Any = SimpleNamespace(places=list("abcdefgh"), power=np.arange(1.0, 9.0), stitch=stitch)
    losses = iter([5.0, 4.0, 3.0, 3.5, 2.0])
    found = search_levels(stitching, lambda _: next(losses), 3, seed=5)
    _, errors, shares, *steps = asked
    assert errors.tolist() == [1.0] * 8 and shares.tolist() == (1 / stitching.power).tolist()
    generator = np.random.default_rng(5)
    for before, own in zip((shares, steps[0], steps[0]), steps, strict=True):  # the second one was not better
        changed = generator.choice(8, 2, replace=False)
        factors = np.ones(8)
        factors[changed] = np.exp(generator.standard_normal(2))
        np.testing.assert_allclose(own, before * factors, rtol=1e-12)
    assert (found.counts, found.divergence) == ({"all": 6}, 2.0)
    assert [row["accepted"] for row in found.steps] == [True, True, True, False, True]
