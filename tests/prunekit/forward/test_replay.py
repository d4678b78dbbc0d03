"""The equations of a layer against the modules of the model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunekit.forward.replay import context, equal_length_groups, finish, first_layer_input, first_token_context
from prunekit.models.blocks import blocks, call_order
from prunekit.support.errors import UserError
from tests.support.families import batch_for, tiny


def test_equations_are_the_model_s_layers(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    mask = batch["attention_mask"].bool()
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((inputs[0], output if isinstance(output, Tensor) else output[0]))

    hooks = [block.module.register_forward_hook(keep) for block in blocks(model)]
    with torch.no_grad():
        model(**batch)
        for hook in hooks:
            hook.remove()
        assert torch.equal(first_layer_input(model, batch), seen[0][0])
        for index, (x, output) in zip(call_order(model), seen, strict=True):
            block = blocks(model)[index]
            attended = context(block, x, mask)
            torch.testing.assert_close(finish(block, x, block.o(attended))[mask], output[mask])
            torch.testing.assert_close(first_token_context(block, x, mask), attended[:, :1])


def test_first_layer_input_leaves_no_hook() -> None:
    model = tiny("bert")
    first_layer_input(model, batch_for(model))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_groups_hold_every_row_once_without_padding() -> None:
    lengths = [3, 5, 3, 1, 3, 5]
    mask = (torch.arange(6) < torch.tensor(lengths)[:, None]).long()
    ids = mask * (torch.arange(6) + 10 * torch.arange(6)[:, None] + 1)
    batch = {"input_ids": ids, "attention_mask": mask, "index": torch.arange(6)}
    halves = [{name: value[rows] for name, value in batch.items()} for rows in (slice(4), slice(4, 6))]
    groups = list(equal_length_groups(halves, group_size=6))
    assert [group["index"].tolist() for group in groups] == [[3], [0, 2], [4], [1], [5]]
    for group in groups:
        assert group["attention_mask"].all()
        for row, index in zip(group["input_ids"], group["index"].tolist(), strict=True):
            assert torch.equal(row, ids[index, : lengths[index]])


@pytest.mark.parametrize("row", [[0, 1, 1], [1, 0, 1], [0, 0, 0]])
def test_groups_refuse_padding_that_is_not_on_the_right(row: list[int]) -> None:
    batch = {"input_ids": torch.ones(1, 3), "attention_mask": torch.tensor([row])}
    with pytest.raises(UserError, match="batch 0: padding must come after the tokens of a row"):
        list(equal_length_groups([batch], 10))
