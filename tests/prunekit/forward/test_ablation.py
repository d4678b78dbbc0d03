"""The replay engine against one run of the gated model per head."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.forward.ablation import MODES, Ablation, ablate_heads
from prunekit.models.blocks import blocks
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError
from tests.support.families import HEADS, LABELS, batch_for, logits, tiny

ROWS = 10


def batches_for(model: PreTrainedModel, sizes: tuple[int, ...] = (4, 1, 5)) -> list[dict[str, Tensor]]:
    """Padded batches whose rows come from all over the data."""
    places = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(1)).split(sizes)
    return [
        {**batch_for(model, rows=size, length=9 + seed, seed=seed), "index": index}
        for seed, (size, index) in enumerate(zip(sizes, places, strict=True))
    ]


def plain(model: PreTrainedModel, batches: list[dict[str, Tensor]], masks: Masks) -> Tensor:
    """Logits of the gated model, rows in the order of the data."""
    rows = torch.cat([batch["index"] for batch in batches])
    with prunekit.gated(model, masks):
        parts = [logits(model, {k: v for k, v in batch.items() if k != "index"}) for batch in batches]
    return torch.cat(parts)[rows.argsort()]


def check_every_head(
    model: PreTrainedModel, batches: list[dict[str, Tensor]], result: Ablation, tolerance: float
) -> None:
    ones = Masks.ones(prunekit.describe(model))
    torch.testing.assert_close(result.baseline, plain(model, batches, ones), atol=tolerance, rtol=0)
    for layer, head in ones.heads["self"].nonzero().tolist():
        for mode in result.logits:
            masks = Masks.ones(prunekit.describe(model))
            if mode == "all_but_one":
                masks.heads["self"][layer] = False
            masks.heads["self"][layer, head] = mode == "all_but_one"
            expected = plain(model, batches, masks)
            got = result.logits[mode][layer, head]
            torch.testing.assert_close(got, expected, atol=tolerance, rtol=0, msg=f"{mode} {layer} {head}")


def test_every_head_of_every_family(model: PreTrainedModel) -> None:
    batches = batches_for(model)
    result = ablate_heads(model, batches, max_tokens=50)
    layers = len(prunekit.describe(model).attention)
    assert set(result.logits) == set(MODES)
    assert result.logits["one_off"].shape == (layers, HEADS, ROWS, LABELS)
    assert result.baseline.dtype == torch.float64
    check_every_head(model, batches, result, 1e-10)
    assert (result.logits["one_off"] - result.baseline).abs().amax((2, 3)).min() > 1e-3


def test_float32() -> None:
    model = tiny("bert", dtype=torch.float32)
    batches = batches_for(model)
    result = ablate_heads(model, batches)
    assert result.baseline.dtype == torch.float32
    check_every_head(model, batches, result, 1e-4)


@pytest.mark.parametrize("family", ["bert", "distilbert", "albert"])
def test_models_that_are_pruned_already(family: str) -> None:
    """Uneven layers, one without heads, one without neurons, one without the attention sublayer's bias."""
    dense = tiny(family)
    masks = Masks.ones(prunekit.describe(dense))
    masks.heads["self"][0, [0, 2]] = False
    masks.heads["self"][1] = False
    masks.neurons[0] = False
    if family != "albert":
        masks.heads["self"][2, :3] = False
        masks.layers["self"][1] = False
        masks.layers["ffn"][2] = False
    model = prunekit.prune(dense, masks)
    batches = batches_for(model)
    result = ablate_heads(model, batches)
    check_every_head(model, batches, result, 1e-10)
    exists = Masks.ones(prunekit.describe(model)).heads["self"]
    assert torch.equal(result.logits["one_off"].isnan().any(-1).any(-1), ~exists)


def test_a_single_layer_and_a_single_head() -> None:
    model = tiny("bert", num_hidden_layers=1, num_attention_heads=1)
    batches = batches_for(model)
    result = ablate_heads(model, batches)
    check_every_head(model, batches, result, 1e-10)
    assert torch.allclose(result.logits["all_but_one"][0, 0], result.baseline)


def test_result_does_not_depend_on_batches_or_chunks() -> None:
    model = tiny("roberta")
    batches = batches_for(model)
    singles = [
        {name: value[row : row + 1] for name, value in batch.items()}
        for batch in batches
        for row in range(len(batch["index"]))
    ]
    first = ablate_heads(model, batches, max_tokens=10_000)
    second = ablate_heads(model, singles[::-1], max_tokens=1)
    torch.testing.assert_close(first.baseline, second.baseline, atol=1e-10, rtol=0)
    for mode in MODES:
        torch.testing.assert_close(first.logits[mode], second.logits[mode], atol=1e-10, rtol=0)


def test_model_is_left_as_it_was_and_progress_counts_all_rows() -> None:
    model = tiny("bert").train()
    done: list[int] = []
    result = ablate_heads(model, batches_for(model), modes=["one_off"], progress=done.append)
    assert sum(done) == ROWS
    assert list(result.logits) == ["one_off"]
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_bad_input() -> None:
    model = tiny("bert")
    batches = batches_for(model)
    with pytest.raises(UserError, match="ablation mode half: not known, there are one_off, all_but_one"):
        ablate_heads(model, batches, modes=["half"])
    turned = [*batches[:2], {**batches[2], "attention_mask": batches[2]["attention_mask"].flip(1)}]
    with pytest.raises(UserError, match="batch 2: padding must come after the tokens"):
        ablate_heads(model, turned)
    batches[1]["attention_mask"] = batches[1]["attention_mask"] * 0
    with pytest.raises(UserError, match=r"batch 1 \(from 0\): attention_mask leaves a row without a token"):
        ablate_heads(model, batches)


def test_a_model_that_computes_something_else_is_refused() -> None:
    model = tiny("bert")
    hook = blocks(model)[1].module.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    with pytest.raises(RuntimeError, match="do not give the model's own logits"):
        ablate_heads(model, batches_for(model))
    hook.remove()
    ablate_heads(model, batches_for(model))
