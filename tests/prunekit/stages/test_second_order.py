"""Which unit goes next, and what that costs, against trying every unit with the best weights for what stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from experiments.benchmarks.plain.second_order import plain_removal
from prunekit.stages.levels.second_order import Quadratic, damped_quadratic, removal
from tests.support.second_order import best_weight, quadratic_error, sublayer


def quadratic(inputs: Tensor, weight: Tensor, damping: float = 0.01) -> Quadratic:
    result = damped_quadratic(inputs.T @ inputs, len(inputs), weight, damping)
    assert result is not None
    return result


@pytest.mark.parametrize(("units", "size", "damping"), [(8, 1, 0.01), (9, 1, 0.0), (5, 3, 0.01), (4, 4, 0.3)])
def test_each_step_is_the_best_of_all_units(units: int, size: int, damping: float) -> None:
    """The unit whose loss costs least, all other weights at their best, and the rise of the quadratic as its score."""
    inputs, weight = sublayer(units * size, 6, 50)
    problem = quadratic(inputs, weight, damping)
    gone = removal(problem, size)
    assert sorted(gone.order.tolist()) == list(range(units))
    left, before = list(range(units)), 0.0
    for unit, score in zip(gone.order.tolist(), gone.scores.tolist(), strict=True):
        errors = {}
        for candidate in left:
            kept = [one * size + at for one in left if one != candidate for at in range(size)]
            errors[candidate] = quadratic_error(problem.hessian, weight, best_weight(problem.hessian, weight, kept))
        assert unit == min(errors, key=errors.__getitem__)
        assert score == pytest.approx(errors[unit] - before, rel=1e-9)
        before = errors[unit]
        left.remove(unit)


@pytest.mark.parametrize(("units", "size"), [(150, 1), (12, 5)])
@pytest.mark.parametrize("delay", [1, 7, 64, 1000])
def test_delayed_blocks_are_the_plain_loop(units: int, size: int, delay: int) -> None:
    inputs, weight = sublayer(units * size, 20, 400)
    problem = quadratic(inputs, weight)
    order, scores, _ = plain_removal(problem.hessian, weight, size)
    gone = removal(problem, size, delay)
    assert gone.order.tolist() == order.tolist()
    torch.testing.assert_close(gone.scores, scores, rtol=1e-10, atol=0)


def test_the_quadratic_is_twice_the_mean_squared_error_and_damping() -> None:
    inputs, weight = sublayer(7, 3, 30)
    other = weight + 0.1
    difference = (other - weight).square().sum()
    mean = (2 * inputs.square().sum(0) / 30).mean()
    for damping in (0.0, 0.01, 0.2):
        problem = quadratic(inputs, weight, damping)
        plain = (inputs @ (other - weight).T).square().sum() / 30
        expected = 2 * plain + damping * mean * difference
        assert quadratic_error(problem.hessian, weight, other) == pytest.approx(float(expected))
        assert problem.added == pytest.approx(damping * float(mean))


def test_features_that_never_fire_go_first_and_cost_nothing() -> None:
    inputs, weight = sublayer(6, 4, 40)
    inputs[:, [1, 4]] = 0
    problem = quadratic(inputs, weight)
    gone = removal(problem)
    assert sorted(gone.order[:2].tolist()) == [1, 4]
    assert gone.scores[:2].tolist() == [0, 0]
    alive = [0, 2, 3, 5]
    products = inputs[:, alive].T @ inputs[:, alive]
    mean = float(2 * inputs.square().sum(0).mean() / 40)
    reduced = Quadratic(2 * products / 40 + 0.01 * mean * torch.eye(4, dtype=torch.float64), weight[:, alive], 0.0, 0.0)
    torch.testing.assert_close(removal(reduced).scores, gone.scores[2:])


def test_a_singular_problem_gets_more_damping_and_says_so() -> None:
    inputs, weight = sublayer(8, 4, 3)
    problem = quadratic(inputs, weight, 0.0)
    assert problem.damping > 0
    assert removal(problem).scores.isfinite().all()
    sound = quadratic(*sublayer(8, 4, 30), 0.0)
    assert sound.damping == 0


def test_what_is_not_finite_has_no_quadratic() -> None:
    inputs, weight = sublayer(4, 2, 10)
    assert damped_quadratic(inputs.T @ inputs * torch.nan, 10, weight) is None


def test_of_equal_units_the_first_goes() -> None:
    problem = Quadratic(torch.eye(5, dtype=torch.float64), torch.ones(2, 5, dtype=torch.float64), 0.0, 0.0)
    for delay in (1, 2, 64):
        assert removal(problem, 1, delay).order.tolist() == [0, 1, 2, 3, 4]
