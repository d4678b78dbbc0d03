"""Whole output projections, fitted sublayer by sublayer, against ridge regression on the written-out problem."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.data.batches import Batch
from prunekit.models.blocks import blocks, describe
from prunekit.models.masks import Masks
from prunekit.stages.refit.least_squares import DAMPING
from prunekit.stages.refit.replaced import module_names, replaced
from prunekit.stages.refit.tuning import tune
from prunekit.support.errors import UserError
from tests.support.families import batch_for, tiny


def some_masks(model: PreTrainedModel) -> Masks:
    """Two thirds of the units, a layer without heads."""
    masks = Masks.ones(describe(model))
    masks.heads["self"][0, 1:3] = False
    masks.heads["self"][1] = False
    masks.neurons[0, ::2] = False
    masks.neurons[2, :9] = False
    return masks


def seen(model: PreTrainedModel, batches: list[Batch], layer: int, sublayer: str, first: bool) -> tuple[Tensor, Tensor]:
    """Of all tokens: what goes into the output projection of a sublayer, and the sum before the LayerNorm after it."""
    block, inputs, sums = blocks(model)[layer], [], []
    projection, norm = (
        (block.o, block.attention_norm) if sublayer == "attention" else (block.ffn_out, block.ffn_norm)
    )
    hooks = [
        projection.register_forward_pre_hook(lambda _, given: inputs.append(given[0])),
        norm.register_forward_pre_hook(lambda _, given: sums.append(given[0])),
    ]
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    for hook in hooks:
        hook.remove()

    def tokens(parts: list[Tensor]) -> Tensor:
        chosen = zip(parts, batches, strict=True)
        return torch.cat([p[:, 0] if first else p[batch["attention_mask"].bool()] for p, batch in chosen])

    return tokens(inputs), tokens(sums)


@pytest.mark.parametrize("family", ["bert", pytest.param("distilbert", marks=pytest.mark.slow)])
def test_every_sublayer_is_ridge_regression_after_those_before(family: str) -> None:
    model = tiny(family)
    batches = [batch_for(model, 6, 8, seed=0), batch_for(model, 5, 9, seed=1)]
    masks = some_masks(model)
    tuned = tune(model, masks, batches, refit="weights")
    names, last = module_names(model), len(blocks(model)) - 1
    weights: dict[str, torch.Tensor] = {}
    for row in tuned.report:
        layer, sublayer = row["layer"], row["sublayer"]
        if row["status"] != "tuned":
            assert row["units"] == 0
            continue
        first = (layer, sublayer) == (last, "ffn")
        with replaced(model, weights):
            small = prunekit.prune(model, masks)
        x, now = (values.numpy() for values in seen(small, batches, layer, sublayer, first))
        _, wanted = seen(model, batches, layer, sublayer, first)
        ridge = np.sqrt(DAMPING * (x**2).sum() / x.shape[1])
        left = np.concatenate([x, ridge * np.eye(x.shape[1])])
        right = np.concatenate([wanted.numpy() - now, np.zeros((x.shape[1], now.shape[1]))])
        change = np.linalg.lstsq(left, right, rcond=None)[0].T
        block = blocks(model)[layer]
        module, mask, size = (
            (block.o, masks.heads["self"][layer], block.head_size)
            if sublayer == "attention"
            else (block.ffn_out, masks.neurons[layer], 1)
        )
        columns = mask.bool().repeat_interleave(size)
        fitted = tuned.weights[f"{names[module]}.weight"]
        own = module.get_parameter("weight").detach()[:, columns].numpy()
        np.testing.assert_allclose(fitted[:, columns].numpy(), own + change, atol=1e-9)
        assert not fitted[:, ~columns].any()
        before, after = np.linalg.norm(right[: len(x)]), np.linalg.norm(right[: len(x)] - x @ change.T)
        assert row["error_before"] == pytest.approx(before / wanted.norm())
        assert row["error_after"] == pytest.approx(after / wanted.norm())
        assert row["error_after"] < row["error_before"]
        weights[f"{names[module]}.weight"] = fitted
    assert weights.keys() == tuned.weights.keys() and len(weights) >= 4


def test_whole_projections_fit_better_than_scales() -> None:
    model = tiny("bert")
    batches = [batch_for(model, 12, 9, seed=seed) for seed in range(4)]
    masks = some_masks(model)
    scales, whole = (tune(model, masks, batches, refit=refit).report for refit in ("scales", "weights"))
    [first] = [at for at, row in enumerate(scales) if row["status"] == "tuned"][:1]
    assert whole[first]["error_before"] == pytest.approx(scales[first]["error_before"])
    assert whole[first]["error_after"] < scales[first]["error_after"]


def test_the_released_variant_has_none() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match="released has scales only"):
        tune(model, some_masks(model), [batch_for(model)], refit="weights", variant="released")
