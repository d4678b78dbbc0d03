"""The multiple-choice knapsack against all combinations, and at the size of real models."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import optimize, sparse

from prunekit.stages.search import knapsack
from prunekit.stages.search.knapsack import choose


def best_by_brute_force(costs: list[np.ndarray], values: list[np.ndarray], budget: float) -> float | None:
    found = [
        sum(float(value[option]) for value, option in zip(values, options, strict=True))
        for options in product(*(range(len(cost)) for cost in costs))
        if sum(float(cost[option]) for cost, option in zip(costs, options, strict=True)) <= budget * (1 + 1e-12)
    ]
    return max(found, default=None)


def total(parts: list[np.ndarray], options: list[int]) -> float:
    return sum(float(part[option]) for part, option in zip(parts, options, strict=True))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_equals_brute_force(seed: int, whole: bool) -> None:
    """``whole`` numbers make ties, and budgets that are used up exactly."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 6, size=5)
    costs = [generator.integers(0, 9, size) * 1.0 for size in sizes]
    values = [generator.integers(0, 9, size) * 1.0 for size in sizes]
    if not whole:
        costs = [cost + generator.random(len(cost)) for cost in costs]
        values = [value + generator.random(len(value)) for value in values]
    for share in (0.05, 0.2, 0.4, 0.6, 0.9, 1.0):
        budget = share * sum(float(cost.max()) for cost in costs)
        options, most = choose(costs, values, budget), best_by_brute_force(costs, values, budget)
        assert (options is None) == (most is None)
        if options is not None:
            assert total(costs, options) <= budget * (1 + 1e-12)
            assert total(values, options) == pytest.approx(most, rel=1e-12)


def of_real_size(layers: int, neurons: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    generator = np.random.default_rng(0)
    costs, values = [], []
    for units, spread in [(12, 1.0), (neurons, 2.0)] * layers:
        measured = np.linspace(0, units, 13)
        latency = 1 + 6 * measured / units + 0.3 * generator.random(13)
        costs.append(np.interp(np.arange(units + 1), measured, latency))
        ranked = np.sort(generator.lognormal(sigma=spread, size=units))[::-1]
        values.append(np.concatenate([[0.0], ranked.cumsum()]) / ranked.sum())
    return costs, values


def by_integer_programming(costs: list[np.ndarray], values: list[np.ndarray], budget: float) -> float:
    groups = np.repeat(np.arange(len(costs)), [len(cost) for cost in costs])
    one_each = sparse.csr_matrix((np.ones(len(groups)), (groups, np.arange(len(groups)))))
    within = sparse.csr_matrix(np.concatenate(costs) / budget)
    solved = optimize.milp(
        -np.concatenate(values), integrality=np.ones(len(groups)), bounds=optimize.Bounds(0, 1),
        constraints=[optimize.LinearConstraint(one_each, 1, 1), optimize.LinearConstraint(within, -np.inf, 1)],
        options={"mip_rel_gap": 0},
    )  # fmt: skip
    return -float(solved.fun)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_equals_integer_programming(share: float) -> None:
    costs, values = of_real_size(3, 96)
    budget = share * sum(float(cost[-1]) for cost in costs)
    options = choose(costs, values, budget)
    assert options is not None
    assert total(costs, options) <= budget * (1 + 1e-12)
    assert total(values, options) == pytest.approx(by_integer_programming(costs, values, budget), rel=1e-6)


def test_few_states_lose_little(monkeypatch: pytest.MonkeyPatch) -> None:
    costs, values = of_real_size(4, 512)
    budget = 0.5 * sum(float(cost[-1]) for cost in costs)
    exact = choose(costs, values, budget)
    monkeypatch.setattr(knapsack, "STATES", 200)
    hasty = choose(costs, values, budget)
    assert exact is not None and hasty is not None
    assert total(costs, hasty) <= budget * (1 + 1e-12)
    assert total(values, exact) * (1 - 1e-3) <= total(values, hasty) <= total(values, exact)


def test_what_costs_more_and_is_worth_less_is_never_chosen() -> None:
    assert choose([np.array([1.0, 3.0, 2.0])], [np.array([0.0, 4.0, 5.0])], 3.0) == [2]


def test_worthless_options_cost_as_little_as_they_can() -> None:
    costs = [np.array([2.0, 1.0, 3.0])] * 3
    assert choose(costs, [np.zeros(3)] * 3, 5.0) == [1, 1, 1]
    assert choose(costs, [np.zeros(3)] * 3, 2.9) is None
