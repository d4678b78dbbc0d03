"""Head scores against finite differences, against one example at a time, and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.data.losses import task_loss
from prunekit.forward.ablation import ablate_heads
from prunekit.heads.scores import head_importance, random_scores
from prunekit.models.blocks import blocks
from prunekit.models.masks import Masks
from prunekit.stages.score.gradients import mask_gradients
from prunekit.stages.score.head_magnitude import head_magnitude
from prunekit.support.errors import UserError
from tests.support.families import (
    HEADS,
    assert_left_as_it_was,
    labelled_batches,
    logits,
    one_by_one,
    tiny,
)

Batch = dict[str, Tensor]


def inputs(batch: Batch) -> Batch:
    return {name: value for name, value in batch.items() if name not in ("labels", "index")}


def per_example(model: PreTrainedModel, batches: list[Batch], *, by_token: bool = False) -> Tensor:
    """Sum over examples of |dL/dgate|, an ordinary backward pass through the gates for each."""
    ones = Masks.ones(prunekit.describe(model), torch.float64)
    total = torch.zeros_like(ones.heads["self"])
    for row in one_by_one(batches):
        leading = (1, row["input_ids"].shape[1]) if by_token else ()
        gate = ones.heads["self"].expand(*leading, -1, -1).clone().requires_grad_()
        with prunekit.gated(model, Masks({"self": gate}, ones.neurons, ones.layers)):
            task_loss(model(**inputs(row)).logits, row["labels"]).sum().backward()
        assert gate.grad is not None
        total += gate.grad.abs().reshape(-1, *total.shape).sum(0)
    return total


def test_importance_of_every_family(model: PreTrainedModel) -> None:
    batches = labelled_batches(model)
    scores = head_importance(model, batches, normalise=False)["self"]
    assert scores.dtype == torch.float64
    torch.testing.assert_close(scores, per_example(model, batches) / 8, rtol=1e-9, atol=1e-12)


def test_importance_by_finite_differences() -> None:
    model = tiny("bert")
    batches = labelled_batches(model)
    step, total = 1e-5, torch.zeros(3, HEADS, dtype=torch.float64)

    def loss(row: Batch, layer: int, head: int, gate: float) -> float:
        masks = Masks.ones(prunekit.describe(model), torch.float64)
        masks.heads["self"][layer, head] = gate
        with prunekit.gated(model, masks):
            return task_loss(logits(model, inputs(row)), row["labels"]).item()

    for row in one_by_one(batches):
        for layer, head in torch.ones(3, HEADS).nonzero().tolist():
            slope = (loss(row, layer, head, 1 + step) - loss(row, layer, head, 1 - step)) / (2 * step)
            total[layer, head] += abs(slope)
    scores = head_importance(model, batches, normalise=False)["self"]
    torch.testing.assert_close(scores, total / 8, rtol=1e-5, atol=1e-8)


def test_regression() -> None:
    model = tiny("roberta", num_labels=1)
    batches = labelled_batches(model)
    scores = head_importance(model, batches, normalise=False)["self"]
    torch.testing.assert_close(scores, per_example(model, batches) / 8, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_released_takes_the_absolute_value_per_token(family: str) -> None:
    model = tiny(family)
    batches = labelled_batches(model)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    expected = per_example(model, batches, by_token=True)
    expected /= torch.tensor([tokens, tokens, 8], dtype=torch.float64)[:, None]
    scores = head_importance(model, batches, variant="released", normalise=False)["self"]
    torch.testing.assert_close(scores, expected, rtol=1e-9, atol=1e-12)


def test_released_is_the_paper_s_score_where_only_the_first_token_counts() -> None:
    """In the last layer no other token has a gradient; before it, absolute values can only add up to more."""
    model = tiny("electra")
    batches = labelled_batches(model)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    paper = head_importance(model, batches, normalise=False)["self"]
    released = head_importance(model, batches, variant="released", normalise=False)["self"]
    torch.testing.assert_close(released[-1], paper[-1])
    assert (released[:-1] * tokens > paper[:-1] * 8).all()


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_batches_padding_and_order_do_not_matter(variant: str) -> None:
    model = tiny("albert")
    batches = labelled_batches(model)
    together = head_importance(model, batches, variant=variant)["self"]
    apart = head_importance(model, one_by_one(batches)[::-1], variant=variant)["self"]
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=0)


def test_normalisation_gives_every_layer_the_norm_1() -> None:
    model = tiny("bert")
    raw = head_importance(model, labelled_batches(model), normalise=False)["self"]
    scores = head_importance(model, labelled_batches(model))["self"]
    for layer in range(3):
        norm = math.sqrt(sum(value**2 for value in raw[layer].tolist()))
        torch.testing.assert_close(scores[layer], raw[layer] / norm)


def test_a_pruned_model() -> None:
    masks = Masks.ones(prunekit.describe(tiny("bert")))
    masks.heads["self"][0, [0, 2]] = False
    masks.heads["self"][2] = False
    model = prunekit.prune(tiny("bert"), masks)
    scores = head_importance(model, labelled_batches(model), normalise=False)["self"]
    exists = Masks.ones(prunekit.describe(model)).heads["self"]
    assert torch.equal(scores.isnan(), ~exists)
    expected = per_example(model, labelled_batches(model)) / 8
    torch.testing.assert_close(scores[exists], expected[exists], rtol=1e-9, atol=1e-12)
    assert torch.equal(head_magnitude(model)["self"].isnan(), ~exists)
    assert torch.equal(random_scores(model, 0)["self"].isnan(), ~exists)
    normalised = head_importance(model, labelled_batches(model))["self"]
    assert normalised[exists].isfinite().all()


def test_model_is_left_as_it_was_and_progress_counts_rows() -> None:
    assert_left_as_it_was(
        lambda model, progress: head_importance(model, iter(labelled_batches(model)), progress=progress)
    )


def test_bad_input() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match="importance variant 'papr': not known, there are paper, released"):
        head_importance(model, labelled_batches(model), variant="papr")
    with pytest.raises(UserError, match="no rows"):
        head_importance(model, [])
    batches = labelled_batches(model)
    embeddings = model.get_input_embeddings().get_parameter("weight")
    batches[0]["input_ids"][batches[0]["input_ids"] == 30] = 31
    batches[1]["input_ids"][0, 1] = 30
    with torch.no_grad():
        embeddings[30] = torch.nan
    with pytest.raises(UserError, match=r"loss of batch 1 \(from 0\) is not finite"):
        head_importance(model, batches)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_that_computes_something_else_is_refused() -> None:
    model = tiny("bert")
    blocks(model)[1].module.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    with pytest.raises(RuntimeError, match="do not give the model's own logits"):
        head_importance(model, labelled_batches(model))


@pytest.mark.parametrize(("dtype", "close"), [(torch.bfloat16, 0.04), (torch.float16, 0.01)])
def test_half_precision_rounds_and_still_tells_another_model(dtype: torch.dtype, close: float) -> None:
    model, exact = tiny("albert", dtype=dtype), tiny("albert")
    batches = labelled_batches(exact)
    indexed = [batch | {"index": torch.arange(len(batch["labels"])) + 10 * i} for i, batch in enumerate(batches)]
    for estimate in (
        lambda model: head_importance(model, batches, normalise=False)["self"],
        lambda model: mask_gradients(model, batches).heads.double(),
        lambda model: ablate_heads(model, indexed, modes=["one_off"]).logits["one_off"].double(),
    ):
        expected = estimate(exact)
        assert (estimate(model) - expected).norm() < close * expected.norm()
    blocks(model)[1].module.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    with pytest.raises(RuntimeError, match="do not give the model's own logits"):
        head_importance(model, batches)


def test_magnitude_by_hand() -> None:
    model = tiny("distilbert")
    scores = head_magnitude(model)["self"]
    rows = slice(4, 8)  # head 1 of size 4
    squares = torch.zeros((), dtype=torch.float64)
    for name in ("q_lin", "k_lin", "v_lin", "out_lin"):
        weight = model.get_parameter(f"distilbert.transformer.layer.1.attention.{name}.weight")
        squares += (weight[:, rows] if name == "out_lin" else weight[rows]).square().sum()
    assert scores[1, 1].item() == pytest.approx(math.sqrt(squares.item()))


def test_random_scores_are_seeded() -> None:
    model = tiny("bert")
    first = random_scores(model, 0)["self"]
    assert first.shape == (3, HEADS)
    assert torch.equal(first, random_scores(model, 0)["self"])
    assert not torch.equal(first, random_scores(model, 1)["self"])
