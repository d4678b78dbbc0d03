"""The multiple-choice knapsack: one option of every group, most value within a budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STATES = 2048
"""Most partial solutions that are kept. Where there are more, the best of each of so many equal intervals of cost
stays: the solution is then no worse than the best one for a budget that is smaller by one interval a group."""


def choose(costs: Sequence[np.ndarray], values: Sequence[np.ndarray], budget: float) -> list[int] | None:
    """The options whose values sum up to most while their costs stay within the budget, to rounding.

    Lagrangian relaxation gives a price λ of the budget, a good solution and an upper bound,
    Σ max(value − λ cost) + λ budget. Options and partial solutions whose own bound is no better than the solution at
    hand are left out; what survives is combined group by group, without what another one dominates (costs no more
    and is worth no less). Exact while no more than ``STATES`` partial solutions survive.

    Args:
        costs, values: by group: (option,), in any order; the number of options may differ.

    Returns:
        the chosen option's index for each group; None where not even the cheapest options fit.
    """
    limit = budget * (1 + 1e-12)
    useful = [_undominated(cost, value) for cost, value in zip(costs, values, strict=True)]
    costs = [cost[options] for cost, options in zip(costs, useful, strict=True)]
    values = [value[options] for value, options in zip(values, useful, strict=True)]
    if _total(costs, [0] * len(costs)) > limit:
        return None
    price, chosen = _relaxed(costs, values, limit)
    chosen = _improved(costs, values, limit, price, _filled(costs, values, limit, chosen))
    return [int(options[option]) for options, option in zip(useful, chosen, strict=True)]


def _undominated(cost: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Options by rising cost, each worth more than all before it."""
    order = np.lexsort((-value, cost))
    best_before = np.concatenate([[-np.inf], np.maximum.accumulate(value[order])[:-1]])
    return order[value[order] > best_before]


def _total(parts: Sequence[np.ndarray], chosen: Sequence[int]) -> float:
    return float(sum(part[option] for part, option in zip(parts, chosen, strict=True)))


def _relaxed(costs: list[np.ndarray], values: list[np.ndarray], limit: float) -> tuple[float, list[int]]:
    """The lowest price per unit of cost at which the best options together fit, by bisection, and these options."""

    def best_at(price: float) -> list[int]:
        return [int(np.argmax(value - price * cost)) for cost, value in zip(costs, values, strict=True)]

    chosen = best_at(0.0)
    if _total(costs, chosen) <= limit:
        return 0.0, chosen
    steps = [np.diff(value) / np.diff(cost) for cost, value in zip(costs, values, strict=True)]
    low, high, chosen = 0.0, 2 * max(float(step.max(initial=0.0)) for step in steps), [0] * len(costs)
    while low < (middle := (low + high) / 2) < high:
        candidate = best_at(middle)
        if _total(costs, candidate) <= limit:
            high, chosen = middle, candidate
        else:
            low = middle
    return high, chosen


def _filled(costs: list[np.ndarray], values: list[np.ndarray], limit: float, chosen: list[int]) -> list[int]:
    """Spend what the budget has left, each time on the change of one group that gains most."""
    chosen = list(chosen)
    while True:
        left = limit - _total(costs, chosen) - 1e-12 * limit  # a margin for rounding
        dearest = [
            int(np.searchsorted(cost, cost[option] + left, side="right")) - 1
            for cost, option in zip(costs, chosen, strict=True)
        ]
        gains = [value[new] - value[old] for value, new, old in zip(values, dearest, chosen, strict=True)]
        group = int(np.argmax(gains))
        if gains[group] <= 0:
            return chosen
        chosen[group] = dearest[group]


def _improved(
    costs: list[np.ndarray], values: list[np.ndarray], limit: float, price: float, chosen: list[int]
) -> list[int]:
    """The best solution, by combining all options that a bound does not exclude; ``chosen`` if none is better."""
    reduced = [value - price * cost for cost, value in zip(costs, values, strict=True)]
    bound_of_rest = sum(float(part.max()) for part in reduced)
    bound, to_beat = bound_of_rest + price * limit, _total(values, chosen)
    to_beat += 1e-12 * abs(bound)  # rounding is no improvement
    spent, worth = np.zeros(1), np.zeros(1)
    trail: list[tuple[np.ndarray, np.ndarray]] = []
    for cost, value, part in zip(costs, values, reduced, strict=True):
        bound_of_rest -= float(part.max())
        options = np.flatnonzero(bound - part.max() + part > to_beat)
        new_spent = (spent[:, None] + cost[options]).ravel()
        new_worth = (worth[:, None] + value[options]).ravel()
        promise = new_worth + price * (limit - new_spent) + bound_of_rest
        alive = np.flatnonzero((new_spent <= limit) & (promise > to_beat))
        alive = alive[_undominated(new_spent[alive], new_worth[alive])]
        if len(alive) > STATES:
            ends = np.linspace(new_spent[alive[0]], new_spent[alive[-1]], STATES + 1)[1:]
            dearest = np.searchsorted(new_spent[alive], ends, side="right") - 1  # and so the best of its interval
            alive = alive[np.unique(dearest)]
        if not len(alive):
            return chosen
        trail.append((alive // len(options), options[alive % len(options)]))
        spent, worth = new_spent[alive], new_worth[alive]
    state, solution = int(np.argmax(worth)), []
    if worth[state] <= to_beat:
        return chosen
    for parents, options in reversed(trail):
        solution.append(int(options[state]))
        state = int(parents[state])
    return solution[::-1]
