"""Leaving out what is off changes neither outputs nor gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.slim import SlimModel
from prunekit.models.blocks import blocks
from prunekit.models.masks import Masks
from tests.support.families import batch_for, tiny
from tests.support.trainings import learned


def drawn(model: PreTrainedModel, seed: int = 0) -> tuple[Gates, Masks]:
    """A draw with zeros in every group, a layer without heads and a dead FFN; as a function of log alpha."""
    gates = learned(model)
    for log_alpha in gates.log_alpha.values():
        log_alpha.data /= 3
    gates.log_alpha["heads"].data[1] = -40
    gates.log_alpha["ffn"].data[-1] = -40
    return gates, gates.sampled(torch.Generator().manual_seed(seed))


def loss_of(output: Tensor) -> Tensor:
    return output.square().sum() + output.sin().sum()


@pytest.mark.parametrize(("seed", "skip_norms"), [(0, False), (1, False), (1, True)])
def test_logits_and_all_gradients(model: PreTrainedModel, seed: int, skip_norms: bool) -> None:
    batch = batch_for(model)
    found: list[tuple[Tensor, list[Tensor | None]]] = []
    for slim in (False, True):
        gates, masks = drawn(model, seed)
        masks.skip_norms = skip_norms
        wanted = [*model.parameters(), *gates.parameters()]
        if slim:
            output = SlimModel(model)(masks, batch).logits
        else:
            with prunekit.gated(model, masks):
                output = model(**batch).logits
        found.append((output, list(torch.autograd.grad(loss_of(output), wanted, allow_unused=True))))
    (plain, expected), (output, gradients) = found
    torch.testing.assert_close(output, plain, rtol=0, atol=1e-10)
    reached = 0
    for own, other in zip(gradients, expected, strict=True):
        if own is None or other is None:
            assert (own is None or own.abs().max() == 0) and (other is None or other.abs().max() == 0)
            continue
        torch.testing.assert_close(own, other, rtol=1e-8, atol=1e-9)
        reached += 1
    assert reached > 20


def test_hidden_states_have_what_is_on(model: PreTrainedModel) -> None:
    _, masks = drawn(model)
    batch = batch_for(model)
    assert masks.hidden is not None
    with torch.no_grad():
        slim = SlimModel(model)(masks, batch, output_hidden_states=True).hidden_states
        with prunekit.gated(model, masks):
            whole = model(**batch, output_hidden_states=True).hidden_states
    for own, other in zip(slim[1:], whole[1:], strict=True):
        torch.testing.assert_close(own, other[..., masks.hidden != 0], rtol=0, atol=1e-10)


def test_open_gates_are_the_model_itself_and_nothing_stays(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    with torch.no_grad():
        expected = model(**batch).logits
        ones = Masks.ones(prunekit.describe(model), torch.float64)
        torch.testing.assert_close(SlimModel(model)(ones, batch).logits, expected, rtol=0, atol=1e-10)
        SlimModel(model)(drawn(model)[1], batch)
        torch.testing.assert_close(model(**batch).logits, expected, rtol=0, atol=0)
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with blocks(model)[-1].module.register_forward_pre_hook(fails), pytest.raises(ZeroDivisionError):
        SlimModel(model)(drawn(model)[1], batch)
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()) == hooks
    with torch.no_grad():  # as before: a fused attention whose mask has a gradient is another kernel
        torch.testing.assert_close(model(**batch).logits, expected, rtol=0, atol=0)


def test_nothing_is_on_in_a_group() -> None:
    model = tiny("bert")
    masks = Masks.ones(prunekit.describe(model), torch.float64)
    masks.heads["self"].zero_()
    masks.neurons.zero_()
    batch = batch_for(model)
    with torch.no_grad(), prunekit.gated(model, masks):
        expected = model(**batch).logits
    with torch.no_grad():
        torch.testing.assert_close(SlimModel(model)(masks, batch).logits, expected, rtol=0, atol=1e-10)
