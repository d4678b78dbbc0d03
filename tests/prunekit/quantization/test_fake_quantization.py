"""Fake quantisation beside plain loops: rounding, ranges, gradients, and that nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import prunekit
from prunekit.quantization.fake_quantization import RANGE, fake_quantization, fake_quantized
from prunekit.support.devices import autocast
from prunekit.support.errors import UserError
from prunekit.training.state import load_state, save_state
from tests.support.families import FAMILY_NAMES, batch_for, tiny
from tests.support.masks import uneven_masks


def rounded(value: float, largest: float) -> float:
    """One number in 8 bits (Zafrir et al. 2019), rounded half to even."""
    if largest == 0:
        return 0.0
    whole = round(value * 127 / largest)
    return max(-127, min(127, whole)) * largest / 127


def in_loop(values: Tensor, largest: float) -> Tensor:
    return torch.tensor([rounded(value, largest) for value in values.double().flatten().tolist()]).view(values.shape)


def draw(*shape: int, seed: int = 0, size: float = 1.0) -> Tensor:
    return size * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class OneLayer(nn.Module):
    """An embedding and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Embedding(9, 6), nn.Linear(6, 4)


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> OneLayer:
    monkeypatch.setattr("prunekit.quantization.fake_quantization.describe", lambda model: None)  # it is no Transformer
    torch.manual_seed(1)
    return OneLayer()


@pytest.mark.parametrize("largest", [2.5, 0.8, 0.0])
def test_numbers_are_rounded_and_clamped(largest: float) -> None:
    values = draw(7, 5)
    assert (values.abs() > 0.8).any()
    expected = in_loop(values, largest) if largest else values.clamp(-1, 1).mul(127).round().div(127)
    assert torch.allclose(fake_quantized(values, torch.tensor(largest)), expected, atol=1e-6)


def test_halves_go_to_even() -> None:
    assert fake_quantized(torch.tensor([0.5, 1.5, 2.5, -0.5]), torch.tensor(127.0)).tolist() == [0, 2, 2, 0]


def test_zeros_stay_zeros() -> None:
    assert fake_quantized(torch.zeros(3), torch.tensor(0.0)).tolist() == [0, 0, 0]


def test_a_linear_layer_computes_with_rounded_weights_and_inputs(layers: OneLayer) -> None:
    layer = layers.layer
    inputs = [draw(3, 6, seed=seed, size=size) for seed, size in ((1, 1.0), (2, 4.0), (3, 0.5))]
    weight = in_loop(layer.weight.detach(), float(layer.weight.detach().abs().max()))
    average = None
    with fake_quantization(layers, decay=0.75):  # type: ignore[arg-type]
        layers.train()
        for batch in inputs:
            largest = float(batch.abs().max())
            average = largest if average is None else 0.75 * average + 0.25 * largest
            expected = in_loop(batch, average) @ weight.T + layer.bias
            assert torch.allclose(layer(batch), expected, atol=1e-5)
        layers.eval()
        assert average is not None
        expected = in_loop(inputs[1], average) @ weight.T + layer.bias  # clamped: nothing is averaged any more
        assert torch.allclose(layer(inputs[1]), expected, atol=1e-5)
        assert float(layer.get_buffer(RANGE)) == pytest.approx(average)


def test_a_layer_that_was_not_trained_takes_the_range_of_its_input(layers: OneLayer) -> None:
    layer, batch = layers.layer.eval(), draw(3, 6)
    weight = in_loop(layer.weight.detach(), float(layer.weight.detach().abs().max()))
    with fake_quantization(layers):  # type: ignore[arg-type]
        expected = in_loop(batch, float(batch.abs().max())) @ weight.T + layer.bias
        assert torch.allclose(layer(batch), expected, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_autocast_does_not_round_once_more(layers: OneLayer, training: bool) -> None:
    """bfloat16 has 8 bits of mantissa: numbers near 127 levels would be off by half a level."""
    layer, batch = layers.layer.train(training), draw(64, 6)
    with fake_quantization(layers, decay=0.0):  # type: ignore[arg-type]
        exact = layer(batch)
        with autocast(torch.device("cpu"), "bfloat16"):
            found = layer(batch)
    assert found.dtype == torch.float32 and torch.equal(found, exact)


def test_an_embedding_has_the_range_of_its_whole_table(layers: OneLayer) -> None:
    table = layers.table
    with torch.no_grad():
        table.weight[8, 0] = 5.0  # of a row that is not asked for
    ids = torch.tensor([[0, 3], [3, 7]])
    expected = in_loop(table.weight.detach(), 5.0)[ids]
    with fake_quantization(layers):  # type: ignore[arg-type]
        assert torch.allclose(table(ids), expected, atol=1e-6)


def test_gradients_pass_straight_through(layers: OneLayer) -> None:
    """Those of a float layer at the rounded numbers, also where an input was clamped."""
    layer, batch, upstream = layers.layer, draw(3, 6).requires_grad_(), draw(3, 4, seed=5)
    with fake_quantization(layers, decay=0.0):  # type: ignore[arg-type]
        layers.train()
        layer(0.3 * batch.detach())
        layers.eval()
        output = layer(batch)
        average = float(layer.get_buffer(RANGE))
        (output * upstream).sum().backward()
    assert (batch.detach().abs() > average).any()
    weight = in_loop(layer.weight.detach(), float(layer.weight.detach().abs().max()))
    assert batch.grad is not None and layer.weight.grad is not None and layer.bias.grad is not None
    assert torch.allclose(batch.grad, upstream @ weight, atol=1e-5)
    assert torch.allclose(layer.weight.grad, upstream.T @ in_loop(batch.detach(), average), atol=1e-5)
    assert torch.allclose(layer.bias.grad, upstream.sum(0), atol=1e-5)


def outputs(model: Any, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(**batch).logits
    return logits


@pytest.mark.parametrize("shape", [lambda model: model, lambda model: prunekit.prune(model, uneven_masks(model))],
                         ids=["whole", "pruned"])  # fmt: skip
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_model_is_as_it_was_afterwards(family: str, shape: Callable[[Any], Any]) -> None:
    model = shape(tiny(family, dtype=torch.float32))
    batch = batch_for(model)
    before, names = outputs(model, batch), list(model.state_dict())
    with pytest.raises(ZeroDivisionError), fake_quantization(model):
        in_8_bits = outputs(model, batch)
        raise ZeroDivisionError
    assert list(model.state_dict()) == names
    assert not any("forward" in vars(module) for module in model.modules())
    assert torch.equal(outputs(model, batch), before)
    difference = (in_8_bits - before).abs().max() / before.abs().max()
    assert 0 < difference < 0.5


def test_ranges_are_in_checkpoints(tmp_path: Path) -> None:
    """Ranges are in a checkpoint, and come back from it."""
    model = tiny("bert", dtype=torch.float32)
    batch, file = batch_for(model), tmp_path / "checkpoint.safetensors"
    with fake_quantization(model):
        model.train()
        model(**batch)
        expected = {name: value.clone() for name, value in model.state_dict().items() if name.endswith(RANGE)}
        save_state(file, {"model": model}, {}, {}, "")
    assert expected and all(float(value) > 0 for value in expected.values())
    with fake_quantization(model):
        assert not any(model.state_dict()[name].any() for name in expected)
        load_state(file, {"model": model}, {}, {})
        assert all(torch.equal(model.state_dict()[name], value) for name, value in expected.items())
    with pytest.raises(UserError, match="belongs to another training"):
        load_state(file, {"model": model}, {}, {})


def test_a_wrapped_model_is_refused() -> None:
    with pytest.raises(UserError, match="give the model inside"), fake_quantization(nn.DataParallel(tiny("bert"))):  # type: ignore[arg-type]
        pass
