"""Removal equals gating, for every family, unit and combination; the record composes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from prunekit.models.blocks import blocks, describe
from prunekit.models.empty_sublayers import HeadlessAttention
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.families import ATTENTIONS, FAMILY_NAMES, HEADS, HIDDEN, NEURONS, batch_for, logits, tiny
from tests.support.masks import hook_count, random_masks, soft_masks, uneven_masks


def kept_of(output: Tensor, masks: Masks) -> Tensor:
    """Hidden states without the dimensions that are gone; logits as they are."""
    assert masks.hidden is not None
    return output[..., masks.hidden != 0] if output.shape[-1] == HIDDEN else output


def assert_gated_equals_pruned(model: PreTrainedModel, masks: Masks) -> PreTrainedModel:
    batch = batch_for(model)
    with gated(model, masks):
        expected = logits(model, batch)
    small = prune(model, masks)
    torch.testing.assert_close(logits(small, batch), expected, rtol=0, atol=1e-10)
    return small


@pytest.mark.parametrize("seed", [0, 1])
def test_random_masks(model: PreTrainedModel, seed: int) -> None:
    masks = random_masks(model, seed)
    small = assert_gated_equals_pruned(model, masks)
    assert describe(small).heads == masks.heads_kept
    assert describe(small).neurons == masks.neurons_kept
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("unit", ["heads", "neurons"])
def test_a_sublayer_without_units_keeps_its_bias(model: PreTrainedModel, unit: str) -> None:
    masks = Masks.ones(describe(model))
    rows = masks.heads["self"] if unit == "heads" else masks.neurons
    rows[1] = False
    small = assert_gated_equals_pruned(model, masks)
    block = blocks(small)[1]
    assert (block.heads if unit == "heads" else block.neurons) == 0
    assert not block.attention_removed and not block.ffn_removed
    original = blocks(model)[1].o if unit == "heads" else blocks(model)[1].ffn_out
    assert torch.equal((block.o if unit == "heads" else block.ffn_out).bias, original.bias)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", ["self", "ffn"])
def test_a_removed_sublayer_leaves_residual_and_norm(model: PreTrainedModel, unit: str) -> None:
    masks = Masks.ones(describe(model))
    masks.layers[unit][1] = False
    small = assert_gated_equals_pruned(model, masks)
    block, layout = blocks(small)[1], describe(small)
    assert (block.attention_removed, block.ffn_removed) == (unit == "self", unit == "ffn")
    assert "removed" in str(layout)
    assert Masks.ones(layout).layers[unit].tolist() == [row != 1 for row in range(len(layout.ffn))]


@pytest.mark.parametrize("unit", ["heads", "neurons", "self", "ffn"])
def test_all_units_off_everywhere(model: PreTrainedModel, unit: str) -> None:
    masks = Masks.ones(describe(model))
    {"heads": masks.heads["self"], "neurons": masks.neurons, **masks.layers}[unit].zero_()
    assert_gated_equals_pruned(model, masks)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("skip_norms", [False, True])
def test_new_modules_are_in_the_mode_of_those_that_they_replace(
    model: PreTrainedModel, training: bool, skip_norms: bool
) -> None:
    masks = uneven_masks(model)
    masks.heads["self"][0] = masks.neurons[0] = 0
    masks.layers["self"][-1] = masks.layers["ffn"][-1] = False
    masks.skip_norms = skip_norms
    small = prune(model.train(training), masks)
    assert {module.training for module in small.modules()} == {training}


def test_everything_at_once(model: PreTrainedModel) -> None:
    small = assert_gated_equals_pruned(model, uneven_masks(model))
    assert all(parameter.numel() for parameter in small.parameters())
    assert isinstance(
        blocks(small)[0].module.get_submodule(blocks(small)[0].paths.attention), HeadlessAttention
    )


def test_soft_gates_fold_exactly(model: PreTrainedModel) -> None:
    masks = soft_masks(model)
    assert masks.hidden is not None
    masks.heads["self"][0, 1] = 0
    masks.heads["self"][1] = 0
    masks.neurons[0, 3:9] = 0
    masks.neurons[1] = 0
    masks.hidden[5:9] = 0
    small = assert_gated_equals_pruned(model, masks)
    assert [block.heads for block in blocks(small)][:2] == [HEADS - 1, 0]
    assert [block.neurons for block in blocks(small)][:2] == [NEURONS - 6, 0]


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_float32(family: str, attention: str) -> None:
    model = tiny(family, attention, torch.float32)
    batch, masks = batch_for(model), uneven_masks(model)
    with gated(model, masks):
        expected = logits(model, batch)
    small = prune(model, masks)
    difference = (logits(small, batch) - expected).abs().max()
    assert difference <= 1e-5 * expected.abs().max()
    assert small.dtype == torch.float32


def test_the_original_is_untouched(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    plain, state = logits(model, batch), copy.deepcopy(model.state_dict())
    prune(model, uneven_masks(model))
    assert not hasattr(model.config, "prunekit")
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    torch.testing.assert_close(logits(model, batch), plain, rtol=0, atol=0)


def test_hooks_do_not_come_along(model: PreTrainedModel) -> None:
    batch, masks = batch_for(model), random_masks(model, 0)
    expected = logits(prune(model, masks), batch)
    with gated(model, soft_masks(model)):
        small = prune(model, masks)
        assert hook_count(model) > 0
    assert hook_count(small) == 0
    torch.testing.assert_close(logits(small, batch), expected, rtol=0, atol=0)


def test_hidden_states_are_recorded_after_pruning(model: PreTrainedModel) -> None:
    """transformers installs its recording hooks once per model; a copy without hooks must ask again."""
    batch = batch_for(model)
    calls = model.config.num_hidden_layers
    assert len(model(**batch, output_hidden_states=True).hidden_states) == calls + 1
    small = prune(model, uneven_masks(model))
    assert len(small(**batch, output_hidden_states=True).hidden_states) == calls + 1


def test_pruning_twice_equals_pruning_the_union(model: PreTrainedModel) -> None:
    first, second = random_masks(model, 0, kept=0.7), random_masks(model, 1, kept=0.7)
    first.layers["ffn"][0] = False
    second.layers["self"][1] = False
    assert first.hidden is not None and second.hidden is not None
    first.hidden[[0, 9]] = False
    second.hidden[[1, 9, 15]] = False
    union = Masks(
        {"self": first.heads["self"] & second.heads["self"]},
        first.neurons & second.neurons,
        {kind: first.layers[kind] & second.layers[kind] for kind in first.layers},
        first.hidden & second.hidden,
    )
    once = prune(model, union)
    small = prune(model, first)
    left = Masks.ones(describe(small))
    for mask, was, want in (
        (left.heads["self"], first.heads["self"], second.heads["self"]),
        (left.neurons, first.neurons, second.neurons),
    ):
        for row in range(len(mask)):
            kept = want[row][was[row]][: int(mask[row].sum())]
            mask[row, : len(kept)] &= kept
    for kind, mask in left.layers.items():
        mask &= second.layers[kind]
    left.hidden = second.hidden[first.hidden]
    twice = prune(small, left)
    batch = batch_for(model)
    torch.testing.assert_close(logits(twice, batch), logits(once, batch), rtol=0, atol=1e-10)
    assert twice.config.prunekit == once.config.prunekit
    assert {name: tensor.shape for name, tensor in twice.state_dict().items()} == {
        name: tensor.shape for name, tensor in once.state_dict().items()
    }


def test_the_record_holds_original_indices() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.heads["self"][0] = torch.tensor([True, False, True, True])
    masks.neurons[1, 2:20] = False
    masks.layers["ffn"][2] = False
    small = prune(model, masks)
    again = Masks.ones(describe(small))
    again.heads["self"][0, 0] = False
    record = prune(small, again).config.prunekit
    assert json.loads(json.dumps(record)) == record
    assert record == {
        "version": 1,
        "heads": {"self": ["2-3", "0-3", "0-3"]},
        "neurons": ["0-23", "0-1,20-23", ""],
        "removed": {"self": [], "ffn": [2]},
        "hidden": "0-15",
    }


def test_records_from_before_hidden_dimensions_could_go() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.heads["self"][0, 1] = False
    old = prune(model, masks)
    del old.config.prunekit["hidden"]
    again = Masks.ones(describe(old))
    assert again.hidden is not None
    again.hidden[4:] = False
    assert prune(old, again).config.prunekit["hidden"] == "0-3"


@pytest.mark.parametrize("head", [AutoModelForSequenceClassification, AutoModelForQuestionAnswering, AutoModel])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_hidden_dimensions_go_from_every_matrix(family: str, head: Any) -> None:
    """Also from task heads, and from a model without one; soft gates are folded."""
    model = tiny(family, head=head, num_labels=2)
    masks = Masks.ones(describe(model), torch.float64)
    masks.hidden = soft_masks(model, seed=5).hidden
    assert masks.hidden is not None
    masks.hidden[[0, 6, 7, 13]] = 0
    small = prune(model, masks)
    batch = batch_for(model)
    with torch.no_grad(), gated(model, masks):
        expected = model(**batch)[0]
    with torch.no_grad():
        torch.testing.assert_close(small(**batch)[0], kept_of(expected, masks), rtol=0, atol=1e-10)
    assert describe(small).hidden == HIDDEN - 4


def test_shared_layers_lose_a_head_at_every_call() -> None:
    model = tiny("albert", num_hidden_layers=4, num_hidden_groups=1)
    masks = Masks.ones(describe(model))
    assert masks.heads["self"].shape == (1, HEADS)
    masks.heads["self"][0, 2] = False
    small = assert_gated_equals_pruned(model, masks)
    assert describe(small).heads == HEADS - 1
    assert blocks(small)[0].calls == (0, 1, 2, 3)


def test_gates_work_on_a_pruned_model(model: PreTrainedModel) -> None:
    small = prune(model, uneven_masks(model))
    batch = batch_for(small)
    with gated(small, Masks.ones(describe(small), torch.float64)):
        torch.testing.assert_close(logits(small, batch), logits(small, batch), rtol=0, atol=1e-10)
    masks = soft_masks(small)
    with gated(small, masks):
        expected = logits(small, batch)
    torch.testing.assert_close(logits(prune(small, masks), batch), expected, rtol=0, atol=1e-10)


def test_a_pruned_model_can_be_trained(model: PreTrainedModel) -> None:
    small = prune(model, uneven_masks(model)).train()
    batch = batch_for(small)
    small(**batch, labels=torch.arange(len(batch["input_ids"])) % 3).loss.backward()
    missing = [name for name, p in small.named_parameters() if p.grad is None and "pooler" not in name]
    assert missing == []


def test_bad_masks_are_named() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.neurons = torch.ones(4, 3, NEURONS)
    with pytest.raises(
        UserError, match=r"masks.neurons has shape \(4, 3, 24\); .*\(no batch dimension here\)"
    ):
        prune(model, masks)
    masks = Masks.ones(describe(model), torch.float64)
    masks.heads["self"][0, 0] = torch.nan
    with pytest.raises(UserError, match="masks: self has a value that is not finite"):
        prune(model, masks)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_masks(data: st.DataObject) -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    for mask in (masks.heads["self"], masks.neurons, *masks.layers.values()):
        bits = data.draw(st.lists(st.booleans(), min_size=mask.numel(), max_size=mask.numel()))
        mask.copy_(torch.tensor(bits).reshape(mask.shape))
    assert_gated_equals_pruned(model, masks)
