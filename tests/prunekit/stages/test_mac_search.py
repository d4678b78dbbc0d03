"""The MAC search against all subsets, against plain loops, and by the cost of the pruned model."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

import prunekit
from prunekit.config.choices import VARIANTS
from prunekit.models.blocks import describe
from prunekit.models.costs import cost, head_macs, neuron_macs
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.search.mac_search import mac_search
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, HEADS, HIDDEN, LAYERS, NEURONS, tiny
from tests.support.importance import importance_of, kept_importance
from tests.support.masks import uneven_masks

CONSTRAINTS = (0.05, 0.2, 0.3, 0.5, 0.77, 0.99)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("constraint", [0.06, 0.2, 0.5, 0.9])
def test_no_subset_within_the_budget_keeps_more(seed: int, constraint: float) -> None:
    model = tiny("bert", num_attention_heads=2, num_hidden_layers=2, intermediate_size=5)
    importance, length = importance_of(model, seed, heads=(0.1, 1, 10, 1)[seed]), 7
    head, neuron = head_macs(HIDDEN, HIDDEN // 2, length), neuron_macs(HIDDEN, length)
    heads, neurons = importance.heads.flatten().numpy(), importance.neurons.flatten().numpy()
    subsets = [np.array(list(product((0, 1), repeat=len(values)))) for values in (heads, neurons)]
    worth = (subsets[0] @ heads)[:, None] + (subsets[1] @ neurons)
    macs = (subsets[0].sum(1) * head)[:, None] + subsets[1].sum(1) * neuron
    most = worth[macs <= constraint * cost(model, length).macs].max()
    masks = mac_search(importance, model, length, constraint)
    assert kept_importance(importance, masks) == pytest.approx(most, rel=1e-12)
    assert most > 0


def released_by_loops(
    importance: UnitTensors, model: PreTrainedModel, length: int, constraint: float
) -> tuple[set[int], set[int]]:
    """Flat indices of kept heads and neurons, one number of heads after the other."""
    heads, neurons = importance.heads.flatten().tolist(), importance.neurons.flatten().tolist()
    by_head = sorted(range(len(heads)), key=lambda index: -heads[index])
    by_neuron = sorted(range(len(neurons)), key=lambda index: -neurons[index])
    budget, best, found = constraint * cost(model, length).macs, 0.0, (set[int](), set[int]())
    for count in range(1, len(heads) + 1):
        left = budget - count * head_macs(HIDDEN, HIDDEN // HEADS, length)
        if left < 0:
            break
        fitting = int(left / neuron_macs(HIDDEN, length))
        worth = sum(heads[i] for i in by_head[:count]) + sum(neurons[i] for i in by_neuron[:fitting])
        if worth > best:
            best, found = worth, (set(by_head[:count]), set(by_neuron[:fitting]))
    return found


@pytest.mark.parametrize("constraint", CONSTRAINTS[1:])
@pytest.mark.parametrize("weight", [0.01, 1, 100])
def test_released_finds_what_plain_loops_find(constraint: float, weight: float) -> None:
    model = tiny("bert")
    importance = importance_of(model, seed=1, heads=weight)
    heads, neurons = released_by_loops(importance, model, 9, constraint)
    masks = mac_search(importance, model, 9, constraint, variant="released")
    assert set(masks.heads["self"].flatten().nonzero().flatten().tolist()) == heads
    assert set(masks.neurons.flatten().nonzero().flatten().tolist()) == neurons
    assert heads


def test_the_paper_may_drop_every_head_and_the_released_code_may_not() -> None:
    model = tiny("bert")
    importance = importance_of(model, heads=0)
    assert mac_search(importance, model, 9, 0.3).heads_kept == 0
    assert mac_search(importance, model, 9, 0.3, variant="released").heads_kept == 1


def test_ties_keep_the_first() -> None:
    model = tiny("bert")
    equal = UnitTensors(torch.ones(LAYERS, HEADS), torch.ones(LAYERS, NEURONS))
    masks = mac_search(equal, model, 9, 0.2)
    assert masks.heads_kept == 0  # a head costs more than a neuron and is worth as much
    assert 0 < masks.neurons_kept < LAYERS * NEURONS
    assert masks.neurons.flatten()[: masks.neurons_kept].all()


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pruned", [False, True])
def test_the_pruned_model_is_within_the_budget_and_uses_it(family: str, variant: str, pruned: bool) -> None:
    model = tiny(family)
    if pruned:
        model = prune(model, uneven_masks(model))
    length = 8
    dense = cost(model, length).macs
    smallest = neuron_macs(HIDDEN, length) * (2 if family == "albert" else 1)
    for constraint in (0.3, 0.5, 0.8):
        masks = mac_search(importance_of(model, seed=2), model, length, constraint, variant=variant)
        masks.check(describe(model), batched=False)
        small = prune(model, masks)
        macs = cost(small, length).macs
        assert describe(small).heads == masks.heads_kept and describe(small).neurons == masks.neurons_kept
        all_neurons_stay = masks.neurons_kept == describe(model).neurons
        assert macs <= constraint * dense
        assert all_neurons_stay or macs > constraint * dense - smallest


def test_removed_sublayers_stay_removed() -> None:
    model = prune(tiny("bert"), uneven_masks(tiny("bert")))
    masks = mac_search(importance_of(model), model, 8, 0.5)
    exists = Masks.ones(describe(model))
    assert masks.layers["ffn"].equal(exists.layers["ffn"])
    assert not (masks.neurons & ~exists.neurons).any() and not (masks.heads["self"] & ~exists.heads["self"]).any()


def test_layers_that_are_shared_unequally() -> None:
    model = tiny("albert", num_hidden_layers=3)
    with pytest.raises(UserError, match="run 1 and 2 times"):
        mac_search(importance_of(model), model, 8, 0.5)


@pytest.mark.parametrize("constraint", [0, 1, -0.5, 1.5, float("nan")])
def test_constraints_outside_the_range(constraint: float) -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match=r"constraint: .* is outside \(0, 1\)"):
        mac_search(importance_of(model), model, 8, constraint)


@pytest.mark.parametrize("variant", VARIANTS)
def test_constraints_that_nothing_fits_name_the_reachable_ones(variant: str) -> None:
    model = tiny("bert")
    unit = head_macs(HIDDEN, HIDDEN // HEADS, 8) if variant == "released" else neuron_macs(HIDDEN, 8)
    least = unit / cost(model, 8).macs
    with pytest.raises(UserError, match=r"no room for a single .* it can go down to 0") as refused:
        mac_search(importance_of(model), model, 8, least * 0.99, variant=variant)
    told = float(str(refused.value).split()[-1])
    assert least <= told < least + 1e-4
    mac_search(importance_of(model), model, 8, told, variant=variant)


def test_nothing_to_search_among() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.heads["self"][:], masks.neurons[:] = False, False
    empty = prune(model, masks)
    with pytest.raises(UserError, match="no heads and no neurons left"):
        mac_search(importance_of(empty), empty, 8, 0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("unit", ["heads", "neurons"])
def test_importance_that_cannot_be_added(value: float, unit: str) -> None:
    model = tiny("bert")
    importance = importance_of(model)
    getattr(importance, unit)[1, 2] = value
    with pytest.raises(UserError, match=f"importance of {unit}: {value} in layer 1"):
        mac_search(importance, model, 8, 0.5)


def test_importance_of_another_model() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match=r"importance of neurons has shape \(3, 20\); this model needs \(3, 24\)"):
        mac_search(UnitTensors(torch.ones(3, 4), torch.ones(3, 20)), model, 8, 0.5)


def test_unknown_variant() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match="variant=fast: not known, there are paper, released"):
        mac_search(importance_of(model), model, 8, 0.5, variant="fast")


def test_what_is_pruned_computes_what_the_masks_say(model: PreTrainedModel) -> None:
    from tests.support.families import batch_for, logits

    masks = mac_search(importance_of(model), model, 8, 0.5)
    batch = batch_for(model)
    with prunekit.gated(model, masks):
        expected = logits(model, batch)
    torch.testing.assert_close(logits(prune(model, masks), batch), expected, rtol=0, atol=1e-10)
