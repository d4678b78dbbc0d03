"""Levels after swaps, against trying every single swap and solving for its weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from prunekit.stages.levels.database import LevelDatabase
from prunekit.stages.levels.exchanged import exchanged, exchanged_level
from prunekit.stages.levels.second_order import Quadratic, damped_quadratic
from prunekit.stages.levels.sublayer_levels import SublayerLevels, sublayer_levels
from tests.support.second_order import best_weight, quadratic_error, sublayer

TOKENS = 70


def problem(units: int, size: int, seed: int, damping: float) -> tuple[Tensor, Tensor, Quadratic, SublayerLevels]:
    """Inputs (token, feature), the weight (d, feature), and their levels."""
    inputs, weight = sublayer(units * size, 3, TOKENS, seed)
    inputs[:, 2] = 0  # never fires
    products = inputs.T @ inputs
    quadratic = damped_quadratic(products, TOKENS, weight, damping)
    assert quadratic is not None
    return inputs, weight, quadratic, sublayer_levels(quadratic, products, TOKENS, weight, size)


def damped_error(quadratic: Quadratic, kept: Tensor, size: int) -> tuple[float, Tensor]:
    """Half of the damped quadratic with the best weights (d, feature) of these units, and those."""
    best = best_weight(quadratic.hessian, quadratic.weight, kept.repeat_interleave(size).nonzero().flatten().tolist())
    return quadratic_error(quadratic.hessian, quadratic.weight, best) / 2, best


def best_swap(quadratic: Quadratic, kept: Tensor, size: int) -> float:
    """The least damped error after one unit was exchanged for another."""
    errors = []
    for leaving in kept.nonzero().flatten().tolist():
        for joining in (~kept).nonzero().flatten().tolist():
            other = kept.clone()
            other[leaving], other[joining] = False, True
            errors.append(damped_error(quadratic, other, size)[0])
    return min(errors)


@pytest.mark.parametrize(("units", "size", "damping"), [(12, 1, 0.01), (12, 1, 0.0), (6, 3, 0.01)])
def test_no_single_swap_is_left_and_the_weights_are_exact(units: int, size: int, damping: float) -> None:
    changed = 0
    for seed in (1, 2):
        inputs, weight, quadratic, levels = problem(units, size, seed, damping)
        for count in levels.counts.tolist()[1:-1]:
            start = levels.mask(count)
            before, _ = damped_error(quadratic, start, size)
            after = exchanged_level(levels, count, "1.ffn")
            kept = after.mask(count)
            reached, best = damped_error(quadratic, kept, size)
            assert int(kept.sum()) == count and best_swap(quadratic, kept, size) >= reached * (1 - 1e-6)
            exchanges = best_swap(quadratic, start, size) < before * (1 - 1e-6)
            assert (reached < before * (1 - 1e-6)) == exchanges == bool((kept != start).any())
            assert exchanges or after is levels
            changed += exchanges
            torch.testing.assert_close(after.weight(count), best[:, kept.repeat_interleave(size)], rtol=1e-7, atol=1e-9)
            at = after.counts.tolist().index(count)
            assert float(after.damped[at]) == pytest.approx(reached, rel=1e-8, abs=1e-12)
            plain = float((inputs @ (best - weight).T).square().sum()) / TOKENS
            assert float(after.measured[at]) == pytest.approx(plain, rel=1e-7, abs=1e-12)
    assert changed >= (3 if size == 1 else 1)


def test_whole_and_empty_sublayers_stay_as_they_are_and_steps_are_counted() -> None:
    *_, levels = problem(12, 1, 0, 0.01)
    done: list[int] = []
    places = {"0.attention": 12, "0.ffn": 0, "1.ffn": 3}
    after = exchanged(LevelDatabase(dict.fromkeys(places, levels)), places, done.append)
    assert sum(done) == 3 and list(after.sublayers) == list(places)
    assert after.sublayers["0.attention"] is levels and after.sublayers["0.ffn"] is levels
    assert torch.equal(after.sublayers["1.ffn"].mask(3), exchanged_level(levels, 3, "1.ffn").mask(3))
