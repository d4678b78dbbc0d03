"""Learned gates give masks for every family; what evaluation uses can be removed."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

import prunekit
from prunekit.cofi.learned_gates import Gates
from prunekit.config.choices import UNITS
from prunekit.support.errors import UserError
from tests.support.families import batch_for, logits, tiny
from tests.support.trainings import learned
from tests.support.translators import translator


def test_gated_and_removed_agree(model: PreTrainedModel) -> None:
    masks = learned(model).evaluated()
    masks.check(prunekit.describe(model), batched=False)
    assert any((mask == 0).any() for mask in (masks.heads["self"], masks.neurons, masks.hidden))  # type: ignore[union-attr]
    batch = batch_for(model)
    with prunekit.gated(model, masks):
        expected = logits(model, batch)
    torch.testing.assert_close(logits(prunekit.prune(model, masks), batch), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_a_draw_passes_gradients_to_every_group(family: str) -> None:
    model = tiny(family)
    gates = Gates(model, seed=3).double()
    for log_alpha in gates.log_alpha.values():
        log_alpha.data.zero_()  # where a draw is often neither 0 nor 1
    with prunekit.gated(model, gates.sampled(torch.Generator().manual_seed(0))):
        model(**batch_for(model)).logits.square().sum().backward()
    for name, log_alpha in gates.log_alpha.items():
        assert log_alpha.grad is not None and log_alpha.grad.abs().max() > 0, name


@pytest.mark.parametrize("unit", UNITS)
def test_groups_that_are_not_pruned_stay_open(unit: str) -> None:
    model = tiny("bert")
    masks, ones = learned(model, (unit,)).evaluated(), prunekit.Masks.ones(prunekit.describe(model))
    pairs = {
        "hidden": (masks.hidden, ones.hidden), "heads": (masks.heads["self"], ones.heads["self"]),
        "neurons": (masks.neurons, ones.neurons), "layers": (masks.layers["ffn"], ones.layers["ffn"]),
    }  # fmt: skip
    for name, (found, all_open) in pairs.items():
        assert found is not None and all_open is not None
        assert torch.equal(found, all_open.to(found)) == (name != unit)


def test_a_sublayer_is_off_where_that_is_more_likely() -> None:
    gates = Gates(tiny("bert"))
    gates.log_alpha["attention"].data = torch.tensor([-3.0, -1.7, 3.0])
    gates.log_alpha["ffn"].data = torch.tensor([3.0, -1.5, 0.0])
    masks = gates.evaluated()
    assert (masks.layers["self"] == 0).tolist() == [True, True, False]
    assert (masks.layers["ffn"] == 0).tolist() == [False, False, False]


def test_start_is_seeded_and_nearly_open() -> None:
    model = tiny("bert")
    first, same, other = (Gates(model, seed=seed) for seed in (1, 1, 2))
    for name, log_alpha in first.log_alpha.items():
        assert torch.equal(log_alpha, same.log_alpha[name])
        assert not torch.equal(log_alpha, other.log_alpha[name])
    first.constrain()
    kept = first.probabilities()
    assert kept.neurons.mean().item() == pytest.approx(0.832, abs=0.002)
    assert kept.heads["self"].min() > 0.997
    # groups draw from one stream: leaving one out does not change the others
    assert torch.equal(Gates(model, ("neurons",), seed=1).log_alpha["neurons"], same.log_alpha["neurons"])


def test_start_of_every_group() -> None:
    """Around 10, neurons around 0, with a deviation of 0.01."""
    model = tiny("bert", hidden_size=64, intermediate_size=512)
    for name, log_alpha in Gates(model).log_alpha.items():
        assert log_alpha.mean().item() == pytest.approx(0 if name == "neurons" else 10, abs=0.02), name
    neurons = Gates(model).log_alpha["neurons"]
    assert neurons.std().item() == pytest.approx(0.01, rel=0.1) and neurons.numel() == 3 * 512


def test_bad_input() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match="units: head given, there are hidden, layers, heads, neurons"):
        Gates(model, ("head",))
    with pytest.raises(UserError, match="units: none given"):
        Gates(model, ())
    with pytest.raises(UserError, match="marian is an encoder-decoder; this works with encoders only"):
        Gates(translator("marian"))
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][0, 0] = False
    with pytest.raises(UserError, match="it is pruned already"):
        Gates(prunekit.prune(model, masks))
