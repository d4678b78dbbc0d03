"""Models on a GPU: whoever brings batches and masks from either device gets what the CPU gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.forward.ablation import ablate_heads
from prunekit.models.masks import Masks
from tests.support.fake_cuda import CPU, CUDA, fake_cuda
from tests.support.families import batch_for, logits, tiny


@pytest.fixture
def model() -> PreTrainedModel:
    return tiny("bert", num_hidden_layers=2)


@pytest.fixture
def cuda() -> Iterator[None]:
    with fake_cuda():
        yield


def on_cuda(model: Any) -> PreTrainedModel:
    return cast(PreTrainedModel, model.to(CUDA))


def placed(batches: list[dict[str, Tensor]], device: torch.device) -> list[dict[str, Tensor]]:
    return [{name: value.to(device) for name, value in batch.items()} for batch in batches]


def test_what_a_gpu_refuses(cuda: None) -> None:
    there = torch.arange(3.0, device="cuda")
    assert there.device == CUDA and (there * torch.tensor(2.0) + 1).sum().item() == 9  # a number is no mixture
    for mixed in (
        lambda: there + torch.arange(3.0),
        lambda: torch.cat([there, torch.tensor([1.0])]),
        lambda: torch.arange(3)[there > 1],
        lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
        there.numpy,
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"device|cuda"):
            mixed()
    weight = torch.ones(3, requires_grad=True)
    (weight.to("cuda") * there).sum().backward()
    assert weight.grad is not None and weight.grad.device == CPU and weight.grad.tolist() == [0, 1, 2]


@pytest.mark.parametrize("index", [CPU, CUDA, None], ids=str)
def test_ablation_of_batches_there(model: PreTrainedModel, cuda: None, index: torch.device | None) -> None:
    batches = [batch_for(model), batch_for(model, seed=1)]
    if index is not None:
        places = torch.arange(8).flip(0).split(4)
        batches = [{**batch, "index": rows} for batch, rows in zip(batches, places, strict=True)]
    expected = ablate_heads(model, batches)
    there = placed(batches, CUDA)
    for batch in there:
        if index is not None:
            batch["index"] = batch["index"].to(index)
    found = ablate_heads(on_cuda(model), there)
    torch.testing.assert_close(found.baseline, expected.baseline, rtol=0, atol=1e-10)
    for mode, values in expected.logits.items():
        torch.testing.assert_close(found.logits[mode], values, rtol=0, atol=1e-10)


GATES = ("heads", "neurons", "layers", "norms", "hidden")


def gates_of(model: PreTrainedModel, what: str) -> Masks:
    masks = Masks.ones(prunekit.describe(model))
    if what == "heads":
        masks.heads["self"] = torch.linspace(0, 1, masks.heads["self"].numel()).reshape_as(masks.heads["self"])
    elif what == "neurons":
        masks.neurons[1, :5] = False
    elif what == "hidden":
        masks.hidden = torch.arange(prunekit.describe(model).hidden) > 2
    else:
        masks.layers = {kind: torch.tensor([what == "norms", False]) for kind in masks.layers}
        masks.skip_norms = what == "norms"
    return masks


@pytest.mark.parametrize("what", GATES)
def test_gates_of_a_model_there(model: PreTrainedModel, cuda: None, what: str) -> None:
    [batch] = [batch_for(model)]
    with prunekit.gated(model, gates_of(model, what)):
        expected = logits(model, batch)
    assert not torch.allclose(expected, logits(model, batch))
    [there] = placed([batch], CUDA)
    on_cuda(model)
    for device in (CPU, CUDA):
        with prunekit.gated(model, gates_of(model, what).to(device)):
            torch.testing.assert_close(logits(model, there).cpu(), expected, rtol=0, atol=1e-10)


def test_gradients_of_gates_come_back_to_where_they_are(model: PreTrainedModel, cuda: None) -> None:
    [there] = placed([batch_for(model)], CUDA)
    on_cuda(model)
    masks = Masks.ones(prunekit.describe(model), torch.float64)
    gate = masks.heads["self"] = torch.ones_like(masks.heads["self"]).requires_grad_()
    with prunekit.gated(model, masks):
        model(**there).logits.sum().backward()
    assert gate.grad is not None and gate.grad.device == CPU and float(gate.grad.abs().min()) > 0
