"""The latency search against all subsets, on tables of every shape."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from prunekit.models.blocks import blocks, describe
from prunekit.models.surgery import prune
from prunekit.stages.search.latency import LatencyTable
from prunekit.stages.search.latency_search import latency_search
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, HEADS, LAYERS, NEURONS, tiny
from tests.support.importance import importance_of, kept_importance, made_up
from tests.support.masks import uneven_masks

CURVES: dict[str, tuple[dict[int, float], dict[int, float]]] = {
    "linear": ({0: 1, 2: 5}, {0: 1, 3: 4}),
    "threshold": ({0: 0.5, 1: 4, 2: 5}, {0: 0.5, 1: 3, 2: 3, 3: 4}),
    "flat": ({0: 1, 2: 1}, {0: 1, 3: 4}),
    "noisy": ({0: 1.1, 1: 4.4, 2: 4.2}, {0: 0.9, 1: 3.3, 2: 2.9, 3: 3.7}),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("constraint", [0.3, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("curve", CURVES)
def test_no_subset_within_the_budget_keeps_more(curve: str, constraint: float, seed: int) -> None:
    model = tiny("bert", num_attention_heads=2, num_hidden_layers=2, intermediate_size=3)
    table, importance = made_up(model, *CURVES[curve]), importance_of(model, seed)
    budget = constraint * table.model_milliseconds(model) * (1 + 1e-12)
    most, feasible = 0.0, False
    heads, neurons = importance.heads.flatten(), importance.neurons.flatten()
    attention = {kept: float(table.milliseconds("attention", [kept])[0]) for kept in range(3)}
    ffn = {kept: float(table.milliseconds("ffn", [kept])[0]) for kept in range(4)}
    for bits in product((0, 1), repeat=10):
        kept = torch.tensor(bits)
        by_layer = [*kept[:4].view(2, 2).sum(1).tolist(), *kept[4:].view(2, 3).sum(1).tolist()]
        if attention[by_layer[0]] + attention[by_layer[1]] + ffn[by_layer[2]] + ffn[by_layer[3]] <= budget:
            feasible = True
            most = max(most, float((heads * kept[:4]).sum() + (neurons * kept[4:]).sum()))
    if not feasible:
        with pytest.raises(UserError, match=r"constraint: .* it can go down to"):
            latency_search(importance, model, table, constraint)
        return
    before = importance.heads.clone(), importance.neurons.clone()
    masks = latency_search(importance, model, table, constraint)
    assert table.model_milliseconds(model, masks) <= budget
    assert kept_importance(importance, masks) == pytest.approx(most, rel=1e-12)
    assert importance.heads.equal(before[0]) and importance.neurons.equal(before[1])


def threshold_heavy(model: PreTrainedModel) -> LatencyTable:
    """Most of a sublayer's latency does not depend on its units, as with small batches on a GPU: whole sublayers
    have to go."""
    return made_up(model, {0: 0.1, 1: 8, 3: 8, 4: 8.5}, {0: 0.1, 1: 9, 16: 9, 24: 10})


@pytest.mark.parametrize("constraint", [0.3, 0.5, 0.6])
def test_whole_sublayers_go_where_only_that_saves_time(constraint: float) -> None:
    model = tiny("bert")
    table, importance = threshold_heavy(model), importance_of(model, seed=3)
    masks = latency_search(importance, model, table, constraint)
    dropped = int((~masks.heads["self"].any(1)).sum() + (~masks.neurons.any(1)).sum())
    assert 2 * LAYERS * constraint - 1 < 2 * LAYERS - dropped < 2 * LAYERS * constraint + 1
    assert table.model_milliseconds(model, masks) <= constraint * table.model_milliseconds(model) * (1 + 1e-12)
    assert all(layer.all() for layer in masks.layers.values())  # their biases stay


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("pruned", [False, True])
def test_the_pruned_model_is_within_the_budget_and_uses_it(family: str, pruned: bool) -> None:
    model = tiny(family)
    if pruned:
        model = prune(model, uneven_masks(model))
    widest = max(block.heads for block in blocks(model)), max(block.neurons for block in blocks(model))
    table = made_up(model, {0: 0.1, widest[0]: 3}, {0: 0.1, widest[1]: 6})
    dense = table.model_milliseconds(model)
    for constraint in (0.3, 0.5, 0.8):
        masks = latency_search(importance_of(model, seed=4), model, table, constraint)
        left = table.model_milliseconds(model, masks)
        small = describe(prune(model, masks))
        assert small.heads == masks.heads_kept and small.neurons == masks.neurons_kept
        assert constraint * dense - 1 < left <= constraint * dense * (1 + 1e-12)


def test_constraints_below_what_is_left_without_units_name_the_reachable_ones() -> None:
    model = tiny("bert")
    table = made_up(model, {0: 2, 4: 6}, {0: 3, 24: 9})
    with pytest.raises(UserError, match=r"constraint: 0\.3 of this model's latency .* it can go down to 0\.3334"):
        latency_search(importance_of(model), model, table, 0.3)
    assert latency_search(importance_of(model), model, table, 0.3334).heads_kept == 0


@pytest.mark.parametrize("constraint", [0, 1, 1.5, float("nan")])
def test_constraints_outside_the_range(constraint: float) -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match=r"constraint: .* is outside \(0, 1\)"):
        latency_search(importance_of(model), model, threshold_heavy(model), constraint)


def test_importance_that_is_not_finite() -> None:
    model = tiny("bert")
    importance = importance_of(model)
    importance.neurons[0, 0] = float("nan")
    with pytest.raises(UserError, match="importance of neurons: nan in layer 0"):
        latency_search(importance, model, threshold_heavy(model), 0.5)


def test_a_table_of_another_model_is_refused() -> None:
    table = threshold_heavy(tiny("bert"))
    other = tiny("bert", num_hidden_layers=2, intermediate_size=32)
    with pytest.raises(UserError, match="neurons is 24 there and 32 here"):
        latency_search(importance_of(other), other, table, 0.5)


def test_equal_importance_is_kept_from_the_first_unit_on() -> None:
    model = tiny("bert")
    equal = UnitTensors(torch.ones(LAYERS, HEADS), torch.ones(LAYERS, NEURONS))
    masks = latency_search(equal, model, made_up(model, {0: 1, 4: 2}, {0: 1, 24: 9}), 0.5)
    for row in masks.neurons:
        kept = np.flatnonzero(row.numpy())
        assert kept.tolist() == list(range(len(kept)))
