"""Importance, magnitude and random scores by plain arithmetic, and that one search serves all of them."""

from __future__ import annotations

import pytest
import torch

from prunekit.config.choices import NEED_GRADIENTS, UNIT_SCORES
from prunekit.models.blocks import blocks, describe
from prunekit.models.costs import cost
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.score.unit_scores import unit_scores
from prunekit.stages.search.mac_search import mac_search
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, HEADS, HIDDEN, tiny
from tests.support.masks import uneven_masks


def gradients_for(heads: torch.Size, neurons: torch.Size, rows: int = 5) -> UnitTensors:
    generator = torch.Generator().manual_seed(0)
    return UnitTensors(*(torch.randn(rows, *shape, generator=generator) for shape in (heads, neurons)))


def test_importance_and_fisher_are_means_over_examples() -> None:
    model = tiny("bert")
    exists = Masks.ones(describe(model))
    gradients = gradients_for(exists.heads["self"].shape, exists.neurons.shape)
    for name, power in (("importance", 1), ("fisher", 2)):
        scores = unit_scores(name, model, gradients)
        rows = gradients.heads[:, 1, 3].double().tolist(), gradients.neurons[:, 2, 5].double().tolist()
        expected = [sum(abs(value) ** power for value in row) / 5 for row in rows]
        found = [float(scores.heads[1, 3]), float(scores.neurons[2, 5])]
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_magnitude_sums_up_to_all_squared_weights(family: str) -> None:
    model = tiny(family)
    scores = unit_scores("magnitude", model)
    for block in blocks(model):
        attention, ffn = (
            sum(float(part.get_parameter("weight").detach().square().sum()) for part in parts if part is not None)
            for parts in ((block.q, block.k, block.v, block.o), (block.ffn_in, block.ffn_out))
        )
        assert float(scores.heads[block.layer].sum()) == pytest.approx(attention, rel=1e-12)
        assert float(scores.neurons[block.layer].sum()) == pytest.approx(ffn, rel=1e-12)
    first = blocks(model)[0]
    row = first.ffn_in.get_parameter("weight")[7].detach()
    column = first.ffn_out.get_parameter("weight")[:, 7].detach()
    assert float(scores.neurons[0, 7]) == pytest.approx(float((row**2).sum() + (column**2).sum()), rel=1e-12)


def test_random_is_seeded_and_has_the_scale_of_the_weights() -> None:
    model = tiny("bert", intermediate_size=2000)
    scores = unit_scores("random", model, seed=3)
    again, other = unit_scores("random", model, seed=3), unit_scores("random", model, seed=4)
    assert scores.heads.equal(again.heads) and scores.neurons.equal(again.neurons)
    assert not scores.heads.equal(other.heads)
    assert float(scores.heads.max()) < 4 * HIDDEN * HIDDEN / HEADS
    assert float(scores.neurons.mean()) == pytest.approx(HIDDEN, rel=0.05)


def test_random_drops_heads_and_neurons_alike() -> None:
    model = tiny("bert", num_attention_heads=8, num_hidden_layers=12, hidden_size=32, intermediate_size=128)
    shares = []
    for seed in range(5):
        masks = mac_search(unit_scores("random", model, seed=seed), model, 8, 0.5)
        shares.append((masks.heads_kept / 96, masks.neurons_kept / (12 * 128)))
    heads, neurons = torch.tensor(shares).mean(0).tolist()
    assert heads == pytest.approx(0.5, abs=0.1) and neurons == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("name", UNIT_SCORES)
def test_every_score_serves_the_search_of_a_pruned_model(name: str) -> None:
    model = prune(tiny("bert"), uneven_masks(tiny("bert")))
    exists = Masks.ones(describe(model))
    gradients = gradients_for(exists.heads["self"].shape, exists.neurons.shape)
    gradients.heads.mul_(exists.heads["self"])
    gradients.neurons.mul_(exists.neurons)
    scores = unit_scores(name, model, gradients if name in NEED_GRADIENTS else None)
    assert not scores.heads[~exists.heads["self"]].any() and not scores.neurons[~exists.neurons].any()
    assert scores.heads.dtype == scores.neurons.dtype == torch.float64
    small = prune(model, mac_search(scores, model, 8, 0.5))
    assert cost(small, 8).macs <= 0.5 * cost(model, 8).macs


def test_unknown_score_and_missing_gradients() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match="score=hessian: not known, there are fisher, importance, magnitude, random"):
        unit_scores("hessian", model)
    with pytest.raises(ValueError, match="computed from gradients"):
        unit_scores("fisher", model)
