"""Scores of heads in encoder-decoders: by finite differences, one pair at a time, and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedModel

import prunekit
from prunekit.data.losses import target_losses
from prunekit.heads.scores import head_importance, random_scores
from prunekit.models.blocks import attention_blocks, describe
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.score.head_magnitude import head_magnitude
from prunekit.support.errors import UserError
from tests.support.families import ATTENTIONS
from tests.support.masks import hook_count
from tests.support.translators import HEADS, ROWS, TRANSLATORS, pairs_for, translator, uneven, word_logits

Batch = dict[str, Tensor]


@pytest.fixture(params=[f"{family}-{attention}" for family in TRANSLATORS for attention in ATTENTIONS])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return translator(*request.param.split("-"))


def batches() -> list[Batch]:
    return [pairs_for(rows, source, target, seed=rows) for rows, source, target in ((4, 9, 7), (1, 5, 8), (3, 6, 6))]


def pairs_alone() -> list[Batch]:
    """Every pair as a batch of its own, without padding."""
    pairs = []
    for batch in batches():
        for row in range(len(batch["labels"])):
            source, target = batch["attention_mask"][row].sum(), (batch["labels"][row] != -100).sum()
            part = {name: batch[name][row : row + 1, :source] for name in ("input_ids", "attention_mask")}
            pairs.append({**part, "labels": batch["labels"][row : row + 1, :target]})
    return pairs


def log_likelihood(model: PreTrainedModel, pair: Batch, masks: Masks | None = None) -> Tensor:
    """Of the target of one pair, from the model's own mean loss over its tokens."""
    with prunekit.gated(model, masks or Masks.ones(describe(model))):
        return -model(**pair).loss * pair["labels"].shape[1]


def per_pair(model: PreTrainedModel, *, by_token: bool = False) -> dict[str, Tensor]:
    """Sums over pairs of |dL/dgate|, an ordinary backward pass through the gates for each."""
    ones, open_ = Masks.ones(describe(model), torch.float64), Masks.ones(describe(model))
    total = {kind: torch.zeros_like(mask) for kind, mask in ones.heads.items()}
    for pair in pairs_alone():
        gates = {}
        for kind, mask in ones.heads.items():
            tokens = pair["input_ids"] if kind == "enc-enc" else pair["labels"]
            leading = tokens.shape if by_token else ()
            gates[kind] = mask.expand(*leading, *mask.shape).clone().requires_grad_()
        log_likelihood(model, pair, Masks(gates, open_.neurons, open_.layers)).backward()
        for kind, gate in gates.items():
            assert gate.grad is not None
            total[kind] += gate.grad.abs().reshape(-1, *total[kind].shape).sum(0)
    return total


def test_losses_are_the_models_own(model: PreTrainedModel) -> None:
    for pair in pairs_alone():
        found = target_losses(word_logits(model, pair), pair["labels"])
        torch.testing.assert_close(found, -log_likelihood(model, pair).detach()[None], rtol=1e-10, atol=0)


def test_importance_equals_one_pair_at_a_time(model: PreTrainedModel) -> None:
    """So it depends on no batching, padding or order."""
    found, expected = head_importance(model, batches(), normalise=False), per_pair(model)
    assert {kind: tuple(scores.shape) for kind, scores in found.items()} == {k: (ROWS[k], HEADS[k]) for k in HEADS}
    for kind, scores in found.items():
        assert scores.dtype == torch.float64 and scores.min() > 0
        torch.testing.assert_close(scores, expected[kind] / 8, rtol=1e-9, atol=1e-12)
    turned = head_importance(model, batches()[::-1], normalise=False)
    torch.testing.assert_close(turned, found, rtol=1e-9, atol=1e-12)


def test_released_importance_has_a_gate_for_every_token_that_asks(model: PreTrainedModel) -> None:
    found = head_importance(model, batches(), variant="released", normalise=False)
    expected = per_pair(model, by_token=True)
    sources = sum(pair["input_ids"].shape[1] for pair in pairs_alone())
    targets = sum(pair["labels"].shape[1] for pair in pairs_alone())
    assert sources != targets
    for kind, scores in found.items():
        tokens = sources if kind == "enc-enc" else targets
        torch.testing.assert_close(scores, expected[kind] / tokens, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", HEADS)
def test_importance_by_finite_differences(model: PreTrainedModel, kind: str) -> None:
    pair, step = pairs_alone()[0], 1e-5
    scores = head_importance(model, [pair], normalise=False)[kind]
    for layer, head in ((0, 1), (1, 0), (-1, 1)):
        values = []
        for change in (step, -step):
            masks = Masks.ones(describe(model), torch.float64)
            masks.heads[kind][layer, head] += change
            values.append(float(log_likelihood(model, pair, masks).detach()))
        assert math.isclose(abs(values[0] - values[1]) / (2 * step), float(scores[layer, head]), rel_tol=1e-5)


def test_scores_of_a_layer_are_normalised(model: PreTrainedModel) -> None:
    for scores in head_importance(model, batches()).values():
        torch.testing.assert_close(scores.norm(dim=1), torch.ones(len(scores), dtype=torch.float64))


def test_scores_of_a_pruned_model(model: PreTrainedModel) -> None:
    small = prune(model, uneven(model))
    exists = Masks.ones(describe(small)).heads
    expected = per_pair(small)
    for kind, scores in head_importance(small, batches(), normalise=False).items():
        assert torch.equal(scores.isnan(), ~exists[kind])
        torch.testing.assert_close(scores.nan_to_num(), expected[kind] / 8, rtol=1e-9, atol=1e-12)
    for found in (head_magnitude(small), random_scores(small, 0)):
        assert all(torch.equal(found[kind].isnan(), ~exists[kind]) for kind in HEADS)


def test_a_model_without_heads_has_no_scores() -> None:
    masks = Masks.ones(describe(translator("marian")))
    for heads in masks.heads.values():
        heads[:] = False
    found = head_importance(prune(translator("marian"), masks), batches())
    assert {kind: tuple(scores.shape) for kind, scores in found.items()} == {kind: (ROWS[kind], 0) for kind in HEADS}


def test_the_model_is_left_as_it_was(model: PreTrainedModel) -> None:
    model.train()
    before = [parameter.requires_grad for parameter in model.parameters()]
    done: list[int] = []
    head_importance(model, batches(), progress=done.append)
    assert done == [4, 1, 3] and model.training and hook_count(model) == 0
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_magnitude_is_the_norm_of_a_heads_weights(model: PreTrainedModel) -> None:
    found = head_magnitude(model)
    for block in attention_blocks(model):
        rows = slice(block.head_size, 2 * block.head_size)
        assert block.q is not None and block.k is not None and block.v is not None
        weights = [p.weight[rows].flatten() for p in (block.q, block.k, block.v)]
        weights.append(block.o.get_parameter("weight")[:, rows].flatten())
        torch.testing.assert_close(found[block.kind][block.layer, 1], torch.cat(weights).norm())


def test_bad_models_and_data_are_named() -> None:
    with pytest.raises(UserError, match="MarianModel gives no words; load the whole translation model"):
        head_importance(translator("marian", head=AutoModel), batches())
    broken = translator("marian")
    broken.final_logits_bias[0, 7] = torch.nan
    with pytest.raises(UserError, match=r"the loss of batch 0 \(from 0\) is not finite"):
        head_importance(broken, batches())
