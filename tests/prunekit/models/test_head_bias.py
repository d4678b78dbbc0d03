"""Heads with a bias outside their projections (MPNet): the numbers of transformers, and who is gone takes its own."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, MPNetForSequenceClassification, PreTrainedModel
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

import prunekit
from prunekit.cofi.slim import SlimModel
from prunekit.models.blocks import blocks, set_attention
from prunekit.models.families.biased_attention import BiasedAttention
from prunekit.models.masks import Masks
from prunekit.stages.search.latency import latency_table
from prunekit.support.errors import UserError
from tests.support.families import ATTENTIONS, HEADS, LAYERS, batch_for, logits, shape_of, tiny
from tests.support.masks import soft_masks, uneven_masks


def stock(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights in transformers' own modules, none of them replaced."""
    config: Any = copy.deepcopy(model.config)
    config._attn_implementation = "eager"
    own: Any = MPNetForSequenceClassification(config)
    own = own.to(model.dtype).eval()
    own.load_state_dict(model.state_dict())
    assert {type(layer.attention.attn) for layer in own.mpnet.encoder.layer} == {MPNetSelfAttention}
    plain: PreTrainedModel = own
    return plain


def attentions(model: Any) -> list[Any]:
    return [one for one in model.modules() if isinstance(one, MPNetSelfAttention) and hasattr(one, "q")]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize(("dtype", "slack"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("length", [1, 9, 37])
def test_outputs_are_those_of_transformers(attention: str, dtype: torch.dtype, slack: float, length: int) -> None:
    model = tiny("mpnet", attention, dtype)
    batch = batch_for(model, length=max(length, 3)) if length > 1 else {"input_ids": torch.full((2, 1), 7)}
    expected = logits(stock(model), batch)
    assert (logits(model, batch) - expected).abs().max() <= slack * expected.abs().max()
    assert model.config._attn_implementation == attention


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_gradients_are_those_of_transformers(attention: str) -> None:
    """Of every parameter, the shared table of biases among them."""
    model = tiny("mpnet", attention)
    other, batch = stock(model), batch_for(model)
    for one in (model, other):
        one(**batch, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    for (name, own), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(own.grad, theirs.grad, rtol=0, atol=1e-10, msg=name)
    table = model.get_parameter("mpnet.encoder.relative_attention_bias.weight")
    assert table.grad is not None and table.grad.abs().max() > 1e-6


@pytest.mark.parametrize("attention", [pytest.param("eager", marks=pytest.mark.slow), "sdpa"])
def test_dropout_of_probabilities_is_as_strong(attention: str) -> None:
    """By its mean and spread over draws: the two draw different places."""
    model = tiny("mpnet", attention)
    batch = batch_for(model)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for one in attentions(model):
        one.dropout.p = 0.5
    own, theirs = (one.train() for one in (model, stock(model)))
    for mine, other in zip(own.modules(), theirs.modules(), strict=True):
        if isinstance(mine, torch.nn.Dropout):
            other.p = mine.p
    torch.manual_seed(0)
    spread = [torch.stack([logits(one, batch) for _ in range(300)]).std(0).mean() for one in (own, theirs)]
    assert float(spread[0] / spread[1]) == pytest.approx(1, abs=0.08)


def without_heads_by_hand(model: PreTrainedModel, masks: Masks, batch: dict[str, Tensor]) -> Tensor:
    """Logits of transformers' own modules whose removed heads write nothing: their columns of ``o`` are 0."""
    other = stock(model)
    size = other.config.hidden_size // other.config.num_attention_heads
    for row, one in zip(masks.heads["self"], attentions(other), strict=True):
        one.o.weight.data[:, (row == 0).repeat_interleave(size)] = 0
    return logits(other, batch)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_removed_head_takes_its_own_bias(attention: str) -> None:
    """Also over two prunings: each layer of the second sees what is left of the first by its place there."""
    model = tiny("mpnet", attention)
    batch, masks = batch_for(model), Masks.ones(prunekit.describe(model))
    masks.heads["self"][0, 1] = masks.heads["self"][1, 0] = masks.heads["self"][1, 3] = False
    small = prunekit.prune(model, masks)
    torch.testing.assert_close(
        logits(small, batch), without_heads_by_hand(model, masks, batch), rtol=0, atol=1e-10
    )
    assert [one.remaining.tolist() for one in attentions(small)] == [[0, 2, 3], [1, 2], [0, 1, 2, 3]]
    again = Masks.ones(prunekit.describe(small))
    again.heads["self"][0, 1] = False  # head 2 of the whole model
    smaller = prunekit.prune(small, again)
    masks.heads["self"][0, 2] = False
    torch.testing.assert_close(
        logits(smaller, batch), without_heads_by_hand(model, masks, batch), rtol=0, atol=1e-10
    )
    assert attentions(smaller)[0].remaining.tolist() == [0, 3]
    table = "mpnet.encoder.relative_attention_bias.weight"
    assert torch.equal(smaller.get_parameter(table), model.get_parameter(table))


def test_the_bias_matters() -> None:
    """Another head's bias in place of its own changes the outputs."""
    small = prunekit.prune(model := tiny("mpnet"), uneven_masks(model))
    batch = batch_for(model)
    before = logits(small, batch)
    one = next(one for one in attentions(small) if len(one.remaining) < HEADS)
    [stranger, *_] = set(range(HEADS)) - set(one.remaining.tolist())
    one.remaining[-1] = stranger
    assert (logits(small, batch) - before).abs().max() > 1e-6


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_reloaded_model_knows_its_heads(attention: str, tmp_path: Path) -> None:
    model = tiny("mpnet", attention)
    small = prunekit.prune(model, uneven_masks(model))
    prunekit.save(small, tmp_path / "model")
    names = prunekit.load(tmp_path / "model").state_dict()
    assert not any("remaining" in name for name in names)
    for other in ATTENTIONS:
        loaded = prunekit.load(tmp_path / "model", attention=other, dtype=torch.float64)
        batch = batch_for(model)
        torch.testing.assert_close(logits(loaded, batch), logits(small, batch), rtol=0, atol=1e-10)
        assert [one.remaining.tolist() for one in attentions(loaded)] == [
            one.remaining.tolist() for one in attentions(small)
        ]


def test_a_model_of_transformers_is_gated_and_pruned_as_it_is() -> None:
    """Somebody else's ``from_pretrained``: it is left alone, its copy gets attention that can be narrower."""
    model = stock(tiny("mpnet"))
    batch, masks = batch_for(model), uneven_masks(model)
    expected = logits(model, batch)
    with prunekit.gated(model, masks):
        gated = logits(model, batch)
    small = prunekit.prune(model, masks)
    torch.testing.assert_close(logits(small, batch), gated, rtol=0, atol=1e-10)
    assert {type(one) for one in attentions(model)} == {MPNetSelfAttention}
    assert torch.equal(logits(model, batch), expected)
    again = copy.deepcopy(pickle.loads(pickle.dumps(small)))
    assert torch.equal(logits(again, batch), logits(small, batch))


def test_soft_gates_that_leave_heads_out_are_differentiable(attention: str = "sdpa") -> None:
    """CoFi's step without the units that are off: gradients by the gates and by the shared table."""
    model = tiny("mpnet", attention)
    batch = batch_for(model)
    gates = soft_masks(model)
    gates.heads["self"][0, 1] = gates.heads["self"][2, :3] = 0.0
    gates.layers["self"][1] = 0.0
    table = model.get_parameter("mpnet.encoder.relative_attention_bias.weight")
    found = []
    for slim in (False, True):
        leaf = gates.heads["self"].clone().requires_grad_()
        masks = Masks({"self": leaf}, gates.neurons, gates.layers, gates.hidden)
        if slim:
            loss = SlimModel(model)(masks, batch).logits.square().sum()
        else:
            with prunekit.gated(model, masks):
                loss = model(**batch).logits.square().sum()
        by_gate, by_table = torch.autograd.grad(loss, [leaf, table])
        found.append((loss.detach(), by_gate[leaf != 0], by_table))
    for own, other in zip(*found, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-9)


def test_attention_can_be_changed_on_the_spot() -> None:
    model = tiny("mpnet", "sdpa")
    expected = logits(model, batch_for(model))
    for attention in ("eager", "sdpa"):
        set_attention(model, attention)
        assert model.config._attn_implementation == attention
        torch.testing.assert_close(logits(model, batch_for(model)), expected, rtol=0, atol=1e-10)
    set_attention(model, "eager")
    maps = model(**batch_for(model), output_attentions=True).attentions
    assert len(maps) == LAYERS and all(torch.allclose(one.sum(-1), torch.ones_like(one[..., 0])) for one in maps)


def test_the_latency_of_a_layer_has_its_bias(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a model that transformers loaded; every attention that is timed is given the scores of all heads."""
    given: list[tuple[int, ...]] = []
    whole = BiasedAttention.forward

    def watched(self: Any, x: Tensor, mask: Any = None, position_bias: Any = None, **kwargs: Any) -> Any:
        given.append((self.q.out_features, *position_bias.shape))
        return whole(self, x, mask, position_bias, **kwargs)

    monkeypatch.setattr(BiasedAttention, "forward", watched)
    model = stock(tiny("mpnet", dtype=torch.float32))
    latency_table(model, 2, 8, tmp_path, stride=24, warmup=0, repeats=1)
    size = 16 // HEADS
    assert {one[0] for one in given} == {size * heads for heads in range(1, HEADS + 1)}
    assert {one[1:] for one in given} == {(1, HEADS, 8, 8)}


def test_another_number_of_buckets_is_refused(tmp_path: Path) -> None:
    """transformers reads 32 of them whatever the configuration says."""
    config = tiny("mpnet").config
    config.relative_attention_num_buckets = 64
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    with pytest.raises(UserError, match=r"^mpnet: relative_attention_num_buckets is 64; only 32 is supported$"):
        prunekit.describe(model)
    assert "relative_attention_num_buckets" not in shape_of("mpnet")


def test_the_equations_know_the_heads_that_are_left() -> None:
    model = tiny("mpnet")
    masks = Masks.ones(prunekit.describe(model))
    masks.heads["self"][1, [0, 2]] = False
    block = blocks(prunekit.prune(model, masks))[1]
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    bias = block.bias(x)
    assert bias is not None and bias.shape == (1, 2, 6, 6)
    whole: Any = model.base_model
    torch.testing.assert_close(bias, whole.encoder.compute_position_bias(x)[:1, [1, 3]])
    assert blocks(tiny("bert"))[1].bias(x) is None
