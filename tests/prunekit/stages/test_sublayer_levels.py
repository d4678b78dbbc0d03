"""Weights and errors of every level from one factor, against solving each level by itself."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from prunekit.stages.levels.second_order import Quadratic, damped_quadratic, removal
from prunekit.stages.levels.sublayer_levels import SublayerLevels, levels_of, sublayer_levels
from tests.support.second_order import best_weight, quadratic_error, sublayer


def quadratic_of(features: int, damping: float) -> tuple[Tensor, Tensor, Tensor, Quadratic]:
    """Inputs, weights, products and damped problem of a sublayer, one of whose features never fires."""
    inputs, weight = sublayer(features, 6, 70)
    inputs[:, 2] = 0
    products = inputs.T @ inputs
    problem = damped_quadratic(products, 70, weight, damping)
    assert problem is not None
    return inputs, weight, products, problem


@pytest.mark.parametrize(("units", "size", "damping"), [(20, 1, 0.01), (20, 1, 0.0), (5, 4, 0.01), (1, 3, 0.01)])
def test_weights_and_errors_of_every_level(units: int, size: int, damping: float) -> None:
    inputs, weight, products, problem = quadratic_of(units * size, damping)
    levels = sublayer_levels(problem, products, 70, weight, size)
    assert levels.units == units
    scores = removal(problem, size).scores
    assert levels.power == pytest.approx(float((inputs @ weight.T).square().sum() / 70))
    for count, damped, measured in zip(levels.counts.tolist(), levels.damped, levels.measured, strict=True):
        mask = levels.mask(count)
        assert mask.tolist() == [unit in levels.order[units - count :] for unit in range(units)]
        kept = mask.repeat_interleave(size).nonzero().flatten().tolist()
        best = best_weight(problem.hessian, problem.weight, kept)
        torch.testing.assert_close(levels.weight(count), best[:, kept], rtol=1e-8, atol=1e-10)
        assert damped == pytest.approx(quadratic_error(problem.hessian, problem.weight, best) / 2, rel=1e-9, abs=1e-12)
        plain = (inputs @ (best - weight).T).square().sum() / 70
        assert measured == pytest.approx(float(plain), rel=1e-8, abs=1e-12)
        assert damped == pytest.approx(float(scores[: units - count].sum() / 2), rel=1e-9, abs=1e-12)
        assert (damped == pytest.approx(float(plain), rel=1e-7, abs=1e-12)) == (damping == 0 or count == units)
    assert levels.counts[0] == units
    assert levels.counts[-1] == 0


@pytest.mark.parametrize(("units", "size", "damping"), [(20, 1, 0.01), (20, 1, 0.0), (5, 4, 0.01)])
def test_the_quadratic_is_that_which_the_levels_were_made_of(units: int, size: int, damping: float) -> None:
    _, weight, products, problem = quadratic_of(units * size, damping)
    again = sublayer_levels(problem, products, 70, weight, size).quadratic()
    torch.testing.assert_close(again.hessian, problem.hessian, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(again.weight, problem.weight, rtol=1e-8, atol=1e-10)
    assert (again.added, again.damping) == (problem.added, damping)


def test_single_precision_is_close_to_double() -> None:
    inputs, weight = sublayer(60, 10, 300)
    products = inputs.T @ inputs
    problem = damped_quadratic(products, 300, weight)
    assert problem is not None
    exact, single = (sublayer_levels(problem, products, 300, one, 1) for one in (weight, weight.float()))
    assert single.factor.dtype == torch.float32
    for count in (45, 20, 3):
        error = (exact.weight(count) - single.weight(count)).abs().max() / exact.weight(count).abs().max()
        assert error < 1e-5


def test_grid_of_levels() -> None:
    assert levels_of(12, every=True) == list(range(12, -1, -1))
    assert levels_of(0) == [0]
    counts = levels_of(3072)
    assert counts[:4] == [3072, 2764, 2487, 2238]
    assert counts[-4:] == [3, 2, 1, 0]
    assert all(one > other for one, other in itertools.pairwise(counts))
    assert len(counts) < 75
    assert levels_of(100, 0.5) == [100, 50, 25, 12, 6, 3, 1, 0]


def test_levels_by_name_are_the_same_again() -> None:
    inputs, weight = sublayer(6, 3, 30)
    products = inputs.T @ inputs
    problem = damped_quadratic(products, 30, weight)
    assert problem is not None
    levels = sublayer_levels(problem, products, 30, weight, 2)
    again = SublayerLevels(**levels.tensors())
    assert again.size == levels.size == 2
    assert torch.equal(again.weight(2), levels.weight(2))
