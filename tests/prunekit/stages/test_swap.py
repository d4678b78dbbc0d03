"""Exchanges within a sublayer, against trying every set of units."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.stages.refine.swap import DAMPING, Swept, damped, exchanged, swap
from prunekit.stages.score.projection_inputs import input_statistics
from tests.support.families import batch_for, tiny


def problem(units: int, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """X'X of correlated inputs, and a projection."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(units * size, units * size, generator=generator, dtype=torch.float64)
    x = torch.randn(40, units * size, generator=generator, dtype=torch.float64) @ mixing
    return x.T @ x, torch.randn(3, units * size, generator=generator, dtype=torch.float64)


def error(products: Tensor, weight: Tensor, kept: Tensor, size: int) -> float:
    """The least of tr((W - W') G (W - W')') over W' with columns of kept units alone, by solving for it."""
    inside = kept.repeat_interleave(size)
    fitted = torch.zeros_like(weight)
    fitted[:, inside] = torch.linalg.solve(products[inside][:, inside], (weight @ products)[:, inside].T).T
    return float(((weight - fitted) @ products @ (weight - fitted).T).trace())


@pytest.mark.parametrize("size", [1, 2])
def test_what_a_unit_is_worth_is_the_change_of_the_error(size: int) -> None:
    units = 6
    products, weight = problem(units, size)
    products = damped(products)
    kept = torch.tensor([True, False, True, True, False, True])
    swept = Swept(products, weight @ products, kept, size, "test")
    for turn in (4, 0, 4, 2):  # in, out, out again, and out
        swept.flip(turn)
        kept[turn] = ~kept[turn]
    assert torch.equal(swept.kept, kept)
    here = error(products, weight, kept, size)
    for unit in range(units):
        other = kept.clone()
        other[unit] = ~other[unit]
        change = abs(error(products, weight, other, size) - here)
        assert float(swept.worth()[unit]) == pytest.approx(change, rel=1e-8)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_no_exchange_of_two_units_is_left_that_lowers_the_error(size: int, seed: int) -> None:
    units = 7
    products, weight = problem(units, size, seed)
    start = torch.tensor([True] * 3 + [False] * 4)
    after = exchanged(products, weight, start, size)
    assert int(after.sum()) == 3
    solved = products + DAMPING * products.diagonal().mean() * torch.eye(len(products), dtype=torch.float64)
    reached, before = error(solved, weight, after, size), error(solved, weight, start, size)
    assert reached <= before
    for leaving in after.nonzero().flatten():
        for joining in (~after).nonzero().flatten():
            other = after.clone()
            other[leaving], other[joining] = False, True
            assert error(solved, weight, other, size) >= reached * (1 - 1e-6)
    best = min(
        error(solved, weight, torch.tensor([unit in chosen for unit in range(units)]), size)
        for chosen in combinations(range(units), 3)
    )
    assert best <= reached * (1 + 1e-9) and reached <= 1.5 * best


def test_as_many_units_stay_in_every_sublayer() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.heads["self"][1, :2] = False
    masks.neurons[0, :10] = False
    masks.neurons[2] = False
    done: list[int] = []
    after = swap(model, masks, input_statistics(model, [batch_for(model)], products=True), progress=done.append)
    assert after.heads["self"].sum(1).tolist() == [4, 2, 4]
    assert after.neurons.sum(1).tolist() == [14, 24, 0]
    assert sum(done) == 6
    assert not torch.equal(after.neurons[0], masks.neurons[0])
    assert masks.neurons[0].sum() == 14  # the argument is as it was
