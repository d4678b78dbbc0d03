"""Budgets of every kind, and searches under them, against trying everything."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch

import prunekit
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.under_budget import search
from prunekit.stages.search.uniform import uniform_search, uniform_share
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import tiny
from tests.support.importance import made_up

SHAPE: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 4, "intermediate_size": 3}


def scores(seed: int, layers: int = 2, heads: int = 2, neurons: int = 3) -> UnitTensors:
    generator = torch.Generator().manual_seed(seed)
    return UnitTensors(
        40 * torch.rand(layers, heads, generator=generator, dtype=torch.float64),
        torch.rand(layers, neurons, generator=generator, dtype=torch.float64),
    )


def worth(values: UnitTensors, masks: Masks) -> float:
    return float((values.heads * masks.heads["self"]).sum() + (values.neurons * masks.neurons).sum())


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_costs_are_those_of_pruned_models(family: str) -> None:
    model = tiny(family)
    masks = Masks.ones(describe(model))
    masks.heads["self"][0, 1:3] = False
    masks.neurons[1, 5:] = False
    small = prunekit.prune(model, masks)
    macs = prunekit.cost(small, 11).macs / prunekit.cost(model, 11).macs
    assert Budget(0.5, "mac", 11).share(model, masks) == pytest.approx(macs)

    def matrices(one: object) -> int:
        return sum(
            value.numel()
            for name, value in one.named_parameters()  # type: ignore[attr-defined]
            if value.dim() == 2 and ("layer" in name) and "embedding" not in name
        )

    assert Budget(0.5, "parameters", 11).share(model, masks) == pytest.approx(matrices(small) / matrices(model))


def test_removed_sublayers_and_dimensions_cost_nothing() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model), torch.float64)
    masks.layers["self"][1] = masks.layers["ffn"][0] = 0
    masks.heads["self"][0, 1] = 0.5
    masks.hidden = masks.hidden if masks.hidden is None else masks.hidden.masked_fill(torch.arange(16) < 5, 0)
    macs = prunekit.cost(prunekit.prune(model, masks), 11).macs / prunekit.cost(model, 11).macs
    assert Budget(0.5, "mac", 11).share(model, masks) == pytest.approx(macs, rel=1e-12)


def test_a_share_of_latency_is_the_tables() -> None:
    model = tiny("bert")
    table, masks = made_up(model, {0: 1, 4: 9}, {0: 2, 24: 26}), Masks.ones(describe(model))
    masks.heads["self"][0, 1:] = False
    masks.neurons[1] = False
    masks.layers["self"][2] = False
    own = Budget(0.5, "latency", 11, table)
    assert own.share(model, masks) == pytest.approx(((3 + 26) + (9 + 2) + (1 + 26)) / (3 * (9 + 26)))


def test_a_share_above_the_constraint_is_no_kept_budget() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.neurons[0, 0] = False
    for kind in ("mac", "parameters"):
        share = Budget(0.5, kind, 11).share(model, masks)
        Budget(share * (1 - 1e-10), kind, 11).check_kept("mine", model, masks)  # rounding
        with pytest.raises(UserError, match=rf"^method=mine leaves {share:.6g} of this model's (MACs|parameters), "):
            Budget(share * (1 - 1e-6), kind, 11).check_kept("mine", model, masks)


@pytest.mark.parametrize(("seed", "constraint"), [(0, 0.3), (1, 0.55), (2, 0.8)])
def test_a_search_under_parameters_finds_the_best_of_all_masks(seed: int, constraint: float) -> None:
    model, values = tiny("bert", exactly=None, **SHAPE), scores(seed)
    budget = Budget(constraint, "parameters", 9)
    best = 0.0
    for bits in product((False, True), repeat=10):
        masks = Masks.ones(describe(model))
        masks.heads["self"] = torch.tensor(bits[:4]).view(2, 2)
        masks.neurons = torch.tensor(bits[4:]).view(2, 3)
        if budget.share(model, masks) <= constraint:
            best = max(best, worth(values, masks))
    found = search(values, model, budget)
    assert budget.share(model, found) <= constraint
    assert worth(values, found) == pytest.approx(best)


@pytest.mark.parametrize("all_heads", [False, True])
@pytest.mark.parametrize("kind", ["mac", "parameters"])
@pytest.mark.parametrize("constraint", [0.3, 0.5, 0.9])
def test_a_uniform_search_finds_the_best_of_all_uniform_masks(kind: str, constraint: float, all_heads: bool) -> None:
    model, values = tiny("bert", **SHAPE), scores(1)
    budget = Budget(constraint, kind, 9)
    best = -1.0
    for heads, neurons in product([2] if all_heads else range(1, 3), range(1, 4)):
        masks = Masks.ones(describe(model))
        for row, mask, number in (
            *((values.heads[i], masks.heads["self"][i], heads) for i in range(2)),
            *((values.neurons[i], masks.neurons[i], neurons) for i in range(2)),
        ):
            for unit in row.argsort(stable=True).tolist()[: len(row) - number]:
                mask[unit] = False
        if budget.share(model, masks) <= constraint:
            best = max(best, worth(values, masks))
    if best < 0:
        least = "all heads and a neuron" if all_heads else "a head and a neuron"
        with pytest.raises(UserError, match=f"leaves no room for {least} in every layer"):
            search(values, model, budget, uniform=True, all_heads=all_heads)
        return
    found = search(values, model, budget, uniform=True, all_heads=all_heads)
    assert len(set(found.heads["self"].sum(1).tolist())) == len(set(found.neurons.sum(1).tolist())) == 1
    assert worth(values, found) == pytest.approx(best)
    assert best <= worth(values, search(values, model, budget)) + 1e-9  # a free shape is never worse


@pytest.mark.parametrize("kind", ["heads", "neurons"])
def test_a_uniform_shape_needs_heads_and_neurons(kind: str) -> None:
    masks = Masks.ones(describe(tiny("bert")))
    (masks.heads["self"] if kind == "heads" else masks.neurons)[:] = False
    model = prune(tiny("bert"), masks)
    values = scores(0, 3, *((0, 24) if kind == "heads" else (4, 0)))
    for searched in (uniform_search, uniform_share):
        with pytest.raises(UserError, match=f"uniform: this model has no {kind} left"):
            searched(values, model, Budget(0.5, "mac", 9))


def test_a_uniform_share_is_the_same_of_heads_and_neurons() -> None:
    model = tiny("bert")
    masks = uniform_share(scores(0, 3, 4, 24), model, Budget(0.5, "mac", 9))
    heads, neurons = masks.heads["self"].sum(1), masks.neurons.sum(1)
    assert heads.tolist() == [2, 2, 2] and 11 <= neurons[0] <= 12 and len(set(neurons.tolist())) == 1
    masks = uniform_share(scores(0, 3, 4, 24), model, Budget(0.7, "mac", 9), all_heads=True)
    assert masks.heads["self"].all() and len(set(masks.neurons.sum(1).tolist())) == 1
    assert Budget(0.7, "mac", 9).share(model, masks) <= 0.7
    for row in masks.neurons:
        row[(~row).nonzero()[0]] = True
    assert Budget(0.7, "mac", 9).share(model, masks) > 0.7  # one neuron more in every layer is too many
    with pytest.raises(UserError, match="leaves no room for all heads and a neuron in every layer"):
        uniform_share(scores(0, 3, 4, 24), model, Budget(0.2, "mac", 9), all_heads=True)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"kind": "flops"}, "budget: 'flops' is unknown, choose from latency, mac, parameters"),
        ({"kind": "latency"}, "a latency table is needed with budget=latency"),
        ({"constraint": 1.0}, r"constraint: 1.0 is outside \(0, 1\)"),
    ],
)
def test_budgets_that_are_none(how: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Budget(**{"constraint": 0.5, "kind": "mac", "length": 9, **how})  # type: ignore[arg-type]
