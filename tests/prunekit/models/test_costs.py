"""Parameters against ``numel``, MACs against operations counted while the layers run."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

import prunekit
from prunekit.models.blocks import blocks, call_order
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, HEADS, HIDDEN, LAYERS, NEURONS, tiny
from tests.support.masks import uneven_masks
from tests.support.translators import translator


def counted_macs(model: PreTrainedModel, length: int) -> int:
    """Multiply-accumulate operations of the layers' matrix products for one sequence."""
    found = blocks(model)
    hidden = torch.zeros(1, length, prunekit.describe(model).hidden, dtype=model.dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for index in call_order(model):
            found[index].module(hidden, None)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("length", [1, 9, 32])
@pytest.mark.parametrize("pruned", [False, True])
def test_macs_equal_counted_ones(family: str, length: int, pruned: bool) -> None:
    model = tiny(family, "eager")
    if pruned:
        model = prune(model, uneven_masks(model))
    assert prunekit.cost(model, length).macs == counted_macs(model, length) > 0


def test_macs_of_bert_base_by_hand() -> None:
    """Kwon et al. 2022 at length 128: 27.26 million a head, 196,608 a neuron, 11.17 billion together."""
    model = tiny("bert", hidden_size=768, num_attention_heads=12, intermediate_size=3072, num_hidden_layers=1,
                 max_position_embeddings=128)  # fmt: skip
    cost = prunekit.cost(model, 128)
    assert cost.macs == 12 * 27_262_976 + 3072 * 196_608
    assert 12 * cost.macs == pytest.approx(11.17e9, rel=1e-3)


@pytest.mark.parametrize("pruned", [False, True])
def test_parameters_by_part(model: PreTrainedModel, pruned: bool) -> None:
    if pruned:
        model = prune(model, uneven_masks(model))
    cost = prunekit.cost(model, 8)
    assert cost.parameters == sum(p.numel() for p in model.parameters())
    assert cost.parameters == cost.embeddings + cost.attention + cost.ffn + cost.other
    if not pruned:
        physical = 2 if model.config.model_type == "albert" else LAYERS
        assert cost.attention == physical * 4 * HIDDEN * (HIDDEN + 1)
        assert cost.ffn == physical * (2 * HIDDEN * NEURONS + NEURONS + HIDDEN)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_embeddings_and_the_rest(family: str) -> None:
    model = tiny(family)
    cost = prunekit.cost(model, 8)
    parts = {name: p.numel() for name, p in model.named_parameters()}
    assert cost.embeddings == sum(size for name, size in parts.items() if "embedding" in name)
    heads = sum(size for name, size in parts.items() if "classifier" in name or "pooler" in name)
    norms = 2 * 2 * HIDDEN * (2 if family == "albert" else LAYERS)
    biases = 32 * HEADS if family == "mpnet" else 0  # of relative positions, one table for all layers
    assert cost.other == heads + norms + biases


def test_removing_heads_saves_what_the_formula_says() -> None:
    model = tiny("bert")
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][0, :2] = False
    before, after = prunekit.cost(model, 10), prunekit.cost(prunekit.prune(model, masks), 10)
    size = HIDDEN // HEADS
    assert before.macs - after.macs == 2 * (4 * 10 * HIDDEN * size + 2 * 10 * 10 * size)
    assert before.parameters - after.parameters == 2 * (4 * HIDDEN * size + 3 * size)
    assert (before.ffn, before.embeddings, before.other) == (after.ffn, after.embeddings, after.other)


def test_hidden_dimensions_count_everywhere() -> None:
    model = tiny("bert")
    masks = prunekit.Masks.ones(prunekit.describe(model))
    assert masks.hidden is not None
    masks.hidden[:4] = False
    before, after = prunekit.cost(model, 10), prunekit.cost(prunekit.prune(model, masks), 10)
    size = HIDDEN // HEADS
    removed_of_a_head = 4 * 10 * 4 * size  # of four projections; scores and sums over values have the head's own size
    removed_of_a_neuron = 2 * 10 * 4
    assert before.macs - after.macs == LAYERS * (HEADS * removed_of_a_head + NEURONS * removed_of_a_neuron)
    assert before.attention - after.attention == LAYERS * 4 * (4 * HIDDEN + 1)
    assert before.ffn - after.ffn == LAYERS * 4 * (2 * NEURONS + 1)
    assert before.embeddings - after.embeddings == 4 * (50 + 40 + 2 + 2)


def test_length_must_be_one_that_the_model_takes() -> None:
    model = tiny("bert")  # of 40 positions
    assert prunekit.cost(model, 40).macs > prunekit.cost(model, 39).macs
    with pytest.raises(UserError, match=r"^sequence_length: 41 tokens are too many, this model has 40 positions$"):
        prunekit.cost(model, 41)
    with pytest.raises(UserError, match=r"^target_length: 41 tokens are too many, this model has 40 positions$"):
        prunekit.cost(translator("marian"), 8, 41)
    with pytest.raises(UserError, match="sequence_length: 0 is not a length"):
        prunekit.cost(tiny("bert"), 0)
