"""FLAP's scores, biases and threshold, against plain loops over tokens and units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import prunekit
from prunekit.data.batches import Batch
from prunekit.models.blocks import blocks, describe
from prunekit.models.masks import Masks
from prunekit.stages.refit.compensation import compensated
from prunekit.stages.refit.replaced import replaced
from prunekit.stages.score.fluctuation import fluctuations
from prunekit.stages.score.projection_inputs import input_statistics
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.threshold import threshold_search
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import batch_for, tiny


def inputs_by_row(model: Any, batches: list[Batch]) -> dict[str, Tensor]:
    """What goes into each output projection, (token, feature), one row of one batch at a time and without padding."""
    collected: dict[str, list[Tensor]] = {}
    for block in blocks(model):
        for name, module in (("attention", block.o), ("ffn", block.ffn_out)):
            place = f"{block.layer}.{name}"
            collected[place] = []
            module.register_forward_pre_hook(lambda _, given, place=place: collected[place].append(given[0][0]))
    for batch in batches:
        for row in range(len(batch["input_ids"])):
            tokens = int(batch["attention_mask"][row].sum())
            with torch.no_grad():
                model(**{name: value[row : row + 1, :tokens] for name, value in batch.items()})
    return {place: torch.cat(parts) for place, parts in collected.items()}


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_statistics_are_those_of_all_tokens(family: str) -> None:
    model, plain = tiny(family), tiny(family)
    batches = [batch_for(model, 4, 9, seed=1), batch_for(model, 3, 6, seed=2)]
    own = input_statistics(model, batches, products=True)
    for place, x in inputs_by_row(plain, batches).items():
        assert int(own[f"{place}.tokens"]) == len(x)
        torch.testing.assert_close(own[f"{place}.mean"], x.mean(0))
        torch.testing.assert_close(own[f"{place}.variance"], x.var(0, correction=0))
        torch.testing.assert_close(own[f"{place}.products"], x.T @ x)
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_of_half_precision_are_in_float32(dtype: torch.dtype) -> None:
    """Squares of 300 are beyond float16, and a sum in bfloat16 stands still after a few hundred tokens."""
    model, plain = tiny("bert", dtype=dtype), tiny("bert", dtype=dtype)
    for one in (model, plain):
        one.get_parameter("bert.encoder.layer.0.intermediate.dense.bias").data += 300
    batches = [batch_for(model, 40, 12, seed=1)]
    own = input_statistics(model, batches, products=True)
    for place, x in inputs_by_row(plain, batches).items():
        products = own[f"{place}.products"]
        assert products.dtype == torch.float32
        exact = x.double().T @ x.double()
        assert (products - exact).abs().max() < 0.01 * exact.abs().max()
        torch.testing.assert_close(own[f"{place}.mean"], x.double().mean(0), rtol=0.02, atol=0.02)


def test_scores_are_standardised_fluctuations_of_columns() -> None:
    model = tiny("bert")
    batches = [batch_for(model, 4, 9, seed=1)]
    scores = fluctuations(model, input_statistics(model, batches))
    for place, x in inputs_by_row(tiny("bert"), batches).items():
        layer, sublayer = int(place[0]), place[2:]
        block = blocks(model)[layer]
        weight = (block.o if sublayer == "attention" else block.ffn_out).get_parameter("weight").detach().numpy()
        columns = []
        for j in range(x.shape[1]):
            mean = sum(float(value) for value in x[:, j]) / len(x)
            variance = sum((float(value) - mean) ** 2 for value in x[:, j]) / len(x)
            columns.append(variance * sum(float(w) ** 2 for w in weight[:, j]))
        standard = (np.array(columns) - np.mean(columns)) / np.std(columns)
        if sublayer == "attention":
            by_head = [standard[head * 4 : head * 4 + 4].mean() for head in range(4)]
            assert scores.heads[layer].tolist() == pytest.approx(by_head)
        else:
            assert scores.neurons[layer].tolist() == pytest.approx(standard.tolist())


def test_the_bias_takes_over_the_mean_of_what_is_gone() -> None:
    model = tiny("bert")
    batches = [batch_for(model, 4, 9, seed=1)]
    masks = Masks.ones(describe(model))
    masks.heads["self"][0, 1] = False
    masks.neurons[0, 3:] = False
    masks.neurons[2] = False
    biases = compensated(model, masks, input_statistics(model, batches))
    assert len(biases) == 3
    seen = inputs_by_row(tiny("bert"), batches)
    block = blocks(model)[0]
    weight, bias = block.ffn_out.get_parameter("weight").detach(), block.ffn_out.get_parameter("bias").detach()
    expected = bias.clone()
    for neuron in range(3, weight.shape[1]):
        expected += weight[:, neuron] * seen["0.ffn"][:, neuron].mean()
    torch.testing.assert_close(next(value for name, value in biases.items() if "0.output.dense" in name), expected)
    with replaced(model, biases):  # so the mean output of the first FFN, on the whole model's inputs, is as it was
        small = prunekit.prune(model, masks)
    first = blocks(small)[0].ffn_out
    with torch.no_grad():
        outputs = first(seen["0.ffn"][:, :3])
    torch.testing.assert_close(outputs.mean(0), (seen["0.ffn"] @ weight.T + bias).mean(0))


@pytest.mark.parametrize("budget", ["mac", "parameters"])
def test_one_threshold_takes_units_in_order_until_the_budget_is_spent(budget: str) -> None:
    model = tiny("bert")
    generator = torch.Generator().manual_seed(0)
    scores = UnitTensors(
        torch.randn(3, 4, generator=generator, dtype=torch.float64),
        torch.randn(3, 24, generator=generator, dtype=torch.float64),
    )
    limits = Budget(0.4, budget, 9)
    masks = threshold_search(scores, model, limits)
    units = [(float(v), "h", i, j) for i, row in enumerate(scores.heads) for j, v in enumerate(row)]
    units += [(float(v), "n", i, j) for i, row in enumerate(scores.neurons) for j, v in enumerate(row)]
    head, neuron = (4 * 9 * 16 * 4 + 2 * 81 * 4, 2 * 9 * 16) if budget == "mac" else (4 * 16 * 4, 2 * 16)
    left = 0.4 * (12 * head + 72 * neuron)
    kept = set()
    for _, kind, layer, unit in sorted(units, reverse=True):
        left -= head if kind == "h" else neuron
        if left < 0:
            break
        kept.add((kind, layer, unit))
    for kind, mask in (("h", masks.heads["self"]), ("n", masks.neurons)):
        for layer, row in enumerate(mask.tolist()):
            for unit, stays in enumerate(row):
                assert stays == ((kind, layer, unit) in kept)
    worst = UnitTensors(scores.heads + 100, scores.neurons)
    with pytest.raises(UserError, match="leaves no room for the unit of the highest score; it can go down to"):
        threshold_search(worst, model, Budget(0.01, budget, 9))
    with pytest.raises(UserError, match="scores of neurons"):
        threshold_search(UnitTensors(scores.heads, scores.neurons * torch.nan), model, limits)
