"""Gates: no change at one, removal at zero, gradients, batch dimension, hooks gone afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from prunekit.models.blocks import blocks, describe
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.families import HEADS, batch_for, logits, tiny
from tests.support.masks import hook_count, row_of, soft_masks, uneven_masks


def gated_logits(model: PreTrainedModel, batch: dict[str, Tensor], masks: Masks) -> Tensor:
    with gated(model, masks):
        return logits(model, batch)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float64])
def test_gates_of_one_change_nothing(model: PreTrainedModel, dtype: torch.dtype) -> None:
    batch = batch_for(model)
    masks = Masks.ones(describe(model), dtype)
    torch.testing.assert_close(gated_logits(model, batch, masks), logits(model, batch), rtol=0, atol=1e-10)


@pytest.mark.parametrize("unit", ["heads", "neurons", "self layer", "ffn layer", "hidden"])
def test_every_zero_gate_changes_the_logits(model: PreTrainedModel, unit: str) -> None:
    batch = batch_for(model)
    plain = logits(model, batch)
    for block in blocks(model):
        masks = Masks.ones(describe(model))
        if unit == "heads":
            masks.heads["self"][block.layer, 1] = False
        elif unit == "neurons":
            masks.neurons[block.layer, 5] = False
        elif unit == "hidden":
            assert masks.hidden is not None
            masks.hidden[block.layer] = False
        else:
            masks.layers[unit.split()[0]][block.layer] = False
        assert (gated_logits(model, batch, masks) - plain).abs().max() > 1e-6


def test_a_head_gate_scales_its_value_vectors(model: PreTrainedModel) -> None:
    """A gate on a head is linear in V: scaling the value projection's rows by hand does the same."""
    batch = batch_for(model)
    masks = soft_masks(model)
    masks = Masks(masks.heads, Masks.ones(describe(model)).neurons, Masks.ones(describe(model)).layers)
    expected = gated_logits(model, batch, masks)
    for block in blocks(model):
        assert block.v is not None
        factor = masks.heads["self"][block.layer].repeat_interleave(block.head_size)
        block.v.weight.data *= factor[:, None]
        block.v.bias.data *= factor
    torch.testing.assert_close(logits(model, batch), expected, rtol=0, atol=1e-10)


def test_batch_gates_equal_single_gates_row_by_row(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    rows = len(batch["input_ids"])
    masks = soft_masks(model, batch=rows)
    together = gated_logits(model, batch, masks)
    for row in range(rows):
        alone = gated_logits(model, batch, row_of(masks, row))
        torch.testing.assert_close(together[row], alone[row], rtol=0, atol=1e-10)


def test_batch_gates_of_a_pruned_model_equal_single_gates_row_by_row(model: PreTrainedModel) -> None:
    """Also those of sublayers without units, of which a bias is left, or nothing."""
    small = prune(model, uneven_masks(model))
    batch = batch_for(small)
    masks = soft_masks(small, batch=len(batch["input_ids"]))
    together = gated_logits(small, batch, masks)
    alone = [gated_logits(small, batch, row_of(masks, row))[row] for row in range(len(together))]
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-10)


def test_gates_per_position_with_equal_rows_equal_plain_gates(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    masks = soft_masks(model)
    expected = gated_logits(model, batch, masks)
    masks.heads = {"self": masks.heads["self"].expand(*batch["input_ids"].shape, -1, -1)}
    torch.testing.assert_close(gated_logits(model, batch, masks), expected, rtol=0, atol=1e-10)


def test_batch_gradients_equal_a_loop_over_examples(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    rows = len(batch["input_ids"])
    labels = torch.arange(rows) % 3

    def gradients(masks: Masks, inputs: dict[str, Tensor], targets: Tensor) -> list[Tensor]:
        assert masks.hidden is not None
        gates = [masks.heads["self"], masks.neurons, masks.layers["self"], masks.layers["ffn"], masks.hidden]
        for gate in gates:
            gate.requires_grad_()
        with gated(model, masks):
            loss = torch.nn.functional.cross_entropy(model(**inputs).logits, targets, reduction="sum")
        return list(torch.autograd.grad(loss, gates))

    ones = Masks.ones(describe(model), torch.float64)
    assert ones.hidden is not None
    expanded = Masks(
        {"self": ones.heads["self"].repeat(rows, 1, 1)},
        ones.neurons.repeat(rows, 1, 1),
        {kind: mask.repeat(rows, 1) for kind, mask in ones.layers.items()},
        ones.hidden.repeat(rows, 1),
    )
    together = gradients(expanded, batch, labels)
    for row in range(rows):
        one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
        alone = gradients(Masks.ones(describe(model), torch.float64), one, labels[row : row + 1])
        for all_rows, single in zip(together, alone, strict=True):
            assert single.abs().max() > 1e-6
            torch.testing.assert_close(all_rows[row], single, rtol=0, atol=1e-10)


def test_nested_contexts_multiply(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    first, second = soft_masks(model, 1), soft_masks(model, 2)
    assert first.hidden is not None and second.hidden is not None
    first.hidden[3], second.hidden[7] = 0, 0
    product = Masks(
        {"self": first.heads["self"] * second.heads["self"]},
        first.neurons * second.neurons,
        {kind: first.layers[kind] * second.layers[kind] for kind in first.layers},
        first.hidden * second.hidden,
    )
    with gated(model, first):
        nested = gated_logits(model, batch, second)
    torch.testing.assert_close(nested, gated_logits(model, batch, product), rtol=0, atol=1e-10)


def test_hooks_are_gone_afterwards_and_on_exceptions(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    plain = logits(model, batch)
    masks = soft_masks(model)
    with gated(model, masks):
        assert hook_count(model) >= 8 * len(blocks(model))  # four of the layer's own units, four of the stream
    assert hook_count(model) == 0
    with gated(model, soft_masks(model, hidden=False)):
        assert hook_count(model) == 4 * len(blocks(model))
    assert hook_count(model) == 0
    with pytest.raises(ZeroDivisionError), gated(model, masks):
        raise ZeroDivisionError
    assert hook_count(model) == 0
    torch.testing.assert_close(logits(model, batch), plain, rtol=0, atol=0)


def test_wrong_shapes_are_named() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.heads["self"] = torch.ones(2, HEADS)
    with pytest.raises(
        UserError, match=r"masks.heads\['self'\] has shape \(2, 4\); this model needs \(3, 4\)"
    ):
        gated_logits(model, batch_for(model), masks)
    masks = Masks.ones(describe(model))
    masks.neurons = torch.ones(2, 2, 3, 24)
    with pytest.raises(UserError, match=r"masks.neurons has shape"):
        gated_logits(model, batch_for(model), masks)
    masks = Masks.ones(describe(model))
    del masks.layers["ffn"]
    with pytest.raises(UserError, match=r"masks.layers has entries for \['self'\]"):
        gated_logits(model, batch_for(model), masks)


@pytest.mark.parametrize("use", [lambda *given: gated(*given).__enter__(), prune])
def test_what_is_no_masks_is_named(use: Callable[..., object]) -> None:
    model = tiny("bert")
    for given, kind in ((np.ones((3, 4)), "ndarray"), (torch.ones(3, 4), "Tensor"), ({"self": 1}, "dict")):
        with pytest.raises(UserError, match=rf"^masks: a {kind}, give prunekit.Masks: Masks.ones\(pru.*head$"):
            use(model, given)
    masks: Any = Masks.ones(describe(model))
    masks.heads["self"] = np.ones((3, 4))
    with pytest.raises(UserError, match=r"^masks.heads\['self'\] is a ndarray; this model needs a tensor \(3, 4\)$"):
        use(model, masks)
    masks.heads = np.ones((3, 4))
    with pytest.raises(UserError, match=r"^masks.heads is a ndarray; this model needs a dict with \['self'\]$"):
        use(model, masks)


def test_gates_for_another_batch_size_are_named() -> None:
    model = tiny("bert")
    masks = soft_masks(model, batch=3)
    with pytest.raises(UserError, match=r"gates for a batch of \(3,\); the model's input is \(4,\)"):
        gated_logits(model, batch_for(model, rows=4), masks)
    assert hook_count(model) == 0


def test_no_hidden_dimension_is_no_model() -> None:
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.hidden = torch.zeros(16)
    with pytest.raises(UserError, match=r"masks.hidden keeps no dimension"):
        gated_logits(model, batch_for(model), masks)
    masks.hidden = torch.ones(15)
    with pytest.raises(UserError, match=r"masks.hidden has shape \(15,\); this model needs \(16,\)"):
        gated_logits(model, batch_for(model), masks)


def test_counts() -> None:
    masks = Masks.ones(describe(tiny("bert")))
    masks.heads["self"][0, :3] = False
    masks.neurons[1, :20] = False
    assert masks.heads_kept == 3 * HEADS - 3
    assert masks.neurons_kept == 3 * 24 - 20
