"""The rest of a model against the whole one, in every family."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification, PreTrainedModel

from prunekit.forward.resumed import resumed
from prunekit.models.blocks import blocks
from prunekit.support.errors import UserError
from tests.support.families import LAYERS, batch_for, tiny

PLACES = [(layer, sublayer) for layer in range(LAYERS) for sublayer in ("attention", "ffn")]


def answers_and_states(model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Answers of the whole model, and the hidden states that go into each of PLACES."""
    states: list[Tensor] = []

    def into_attention(_module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for block in blocks(model):
        hooks.append(block.module.register_forward_pre_hook(into_attention, with_kwargs=True))
        hooks.append(block.attention_norm.register_forward_hook(lambda *args: states.append(args[-1])))
    output = model(**batch)
    for hook in hooks:
        hook.remove()
    return output[0], states


def test_answers_as_the_whole_model_and_puts_it_back(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    if any(len(block.calls) > 1 for block in blocks(model)):
        with pytest.raises(UserError, match="albert: one layer is called at several depths"), resumed(model, 1, "ffn"):
            pass
        return
    layers = [block.module for block in blocks(model)]
    with torch.no_grad():
        whole, states = answers_and_states(model, batch)
        for (layer, sublayer), x in zip(PLACES, states, strict=True):
            with resumed(model, layer, sublayer) as run:
                assert torch.equal(run(batch, x)[0], whole)
                changed = run(batch, x + torch.arange(x.shape[-1]))[0]
            assert (changed - whole).abs().min() > 1e-6
        assert torch.equal(model(**batch)[0], whole)
    assert [block.module for block in blocks(model)] == layers
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("head", [AutoModelForQuestionAnswering, AutoModelForTokenClassification])
def test_any_task_head(head: type) -> None:
    model = tiny("electra", head=head, num_labels=2)
    batch = batch_for(model)
    with torch.no_grad():
        whole, states = answers_and_states(model, batch)
        with resumed(model, 2, "attention") as run:
            assert torch.equal(run(batch, states[4])[0], whole)


def test_layers_before_do_not_run_and_come_back_after_an_error() -> None:
    model = tiny("bert")
    batch, ran = batch_for(model), list[int]()
    for block in blocks(model):
        block.o.register_forward_hook(lambda *_, layer=block.layer: ran.append(layer))
    with pytest.raises(ValueError, match="midway"), resumed(model, 1, "ffn") as run:
        run(batch, torch.zeros(4, 9, model.config.hidden_size, dtype=torch.float64))
        raise ValueError("midway")
    assert ran == [1, 2]
    assert len(blocks(model)) == LAYERS
