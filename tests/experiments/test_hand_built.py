"""The plain PyTorch model that pruned models are timed beside is the same model."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

import prunekit
from experiments.benchmarks.latency import SHAPES, SPARSITY, difference
from experiments.benchmarks.plain.hand_built import HandBuilt
from experiments.benchmarks.shapes import Shape
from prunekit.cofi.sparsity import PrunableSize
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, VOCABULARY, batch_for, tiny


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_hand_built_is_the_pruned_model(family: str) -> None:
    model: PreTrainedModel = tiny(family)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][0, 1] = False
    masks.heads["self"][1] = False  # no head left: its bias stays
    masks.neurons[0, 3:9] = False
    masks.neurons[1] = False
    pruned = prunekit.prune(model, masks)
    assert_same(pruned)


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_hand_built_is_what_little_is_left(family: str, shape: Shape) -> None:
    neurons = "hidden_dim" if family == "distilbert" else "intermediate_size"
    model: PreTrainedModel = tiny(
        family, hidden_size=32, num_hidden_layers=6, num_attention_heads=8, **{neurons: 256},  # type: ignore[arg-type]
    )  # fmt: skip
    masks = shape.masks(model, SPARSITY)
    size = PrunableSize.of(model)
    assert size.sparsity(masks).item() == pytest.approx(SPARSITY, abs=0.005)
    pruned = prunekit.prune(model, masks)
    found = prunekit.describe(pruned)
    assert found.hidden == round(32 * shape.hidden)
    kept = [row.removed for row in found.ffn].count(False)
    assert kept == max(1, round(shape.layers * len(found.ffn))) == [row.removed for row in found.attention].count(False)
    assert_same(pruned)


def assert_same(pruned: PreTrainedModel) -> None:
    ids = torch.randint(5, VOCABULARY, (3, 7), generator=torch.Generator().manual_seed(0))
    for inputs in ({"input_ids": ids}, batch_for(pruned)):  # the second with padding, and token types where there are
        with torch.no_grad():
            found, expected = HandBuilt(pruned)(**inputs), pruned(**inputs).logits
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_all_weights_of_a_hand_built_model_are_its_own_parts() -> None:
    model = tiny("bert")
    own = {parameter.data_ptr() for parameter in HandBuilt(model).parameters()}
    head = ("bert.pooler.dense.weight", "classifier.weight", "classifier.bias")
    assert {model.get_parameter(name).data_ptr() for name in head} <= own


def test_models_that_differ_are_not_timed() -> None:
    model = tiny("bert")
    same, inputs = HandBuilt(model), batch_for(model)
    assert difference(model, (same,), inputs, "torch") < 1e-10
    other = HandBuilt(tiny("bert"))
    with torch.no_grad():
        other.get_parameter("layers.0.ffn_out.weight")[0, 0] += 0.1
    with pytest.raises(UserError, match=r"^runtime: in onnx the logits of models .* are [0-9.e-]+ apart"):
        difference(model, (same, other), inputs, "onnx")
    assert difference(model, (same, other), inputs, "onnx-int8") > 1e-4  # only told
