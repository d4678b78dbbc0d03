"""Sublayers that are gone with the LayerNorm after them, as the released code of CoFi has it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.cofi.learned_gates import Gates
from prunekit.models.blocks import blocks, call_order
from prunekit.models.empty_sublayers import SkippedNorm
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, batch_for, logits, tiny
from tests.support.masks import hook_count, row_of, soft_masks


def closed(model: PreTrainedModel, skip_norms: bool) -> Masks:
    """Gates of a half and of 1, which a folder keeps exactly; three sublayers closed, and two hidden dimensions."""
    soft = soft_masks(model)
    assert soft.hidden is not None

    def halved(gates: Tensor) -> Tensor:
        return torch.where(gates > 0.7, 1.0, 0.5).double()

    masks = Masks(
        {kind: halved(mask) for kind, mask in soft.heads.items()}, halved(soft.neurons),
        {kind: halved(mask) for kind, mask in soft.layers.items()}, halved(soft.hidden), skip_norms,
    )  # fmt: skip
    masks.layers["self"][[0, 1]] = 0
    masks.layers["ffn"][1] = 0
    assert masks.hidden is not None
    masks.hidden[[2, 7]] = 0
    return masks


@pytest.mark.parametrize("skip_norms", [False, True])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_gated_equals_removed_equals_reloaded(family: str, skip_norms: bool, tmp_path: Path) -> None:
    model = tiny(family)
    batch, masks = batch_for(model), closed(model, skip_norms)
    with prunekit.gated(model, masks):
        expected = logits(model, batch)
    assert hook_count(model) == 0
    with prunekit.gated(model, replace(masks, skip_norms=not skip_norms)):
        assert (logits(model, batch) - expected).abs().max() > 0.01
    small = prunekit.prune(model, masks)
    torch.testing.assert_close(logits(small, batch), expected, rtol=0, atol=1e-10)
    skipped = [isinstance(norm, SkippedNorm) for b in blocks(small) for norm in (b.attention_norm, b.ffn_norm)]
    assert sum(skipped) == (3 if skip_norms else 0)
    prunekit.save(small, tmp_path / "model")
    record = json.loads((tmp_path / "model" / "config.json").read_text())["prunekit"]
    assert record["version"] == (2 if skip_norms else 1)
    assert record.get("skipped") == ({"self": [0, 1], "ffn": [1]} if skip_norms else None)
    loaded = prunekit.load(tmp_path / "model", dtype=torch.float64)
    torch.testing.assert_close(logits(loaded, batch), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_a_layer_without_both_sublayers_is_not_there(family: str) -> None:
    """The same model, built without the layer."""
    model, batch = tiny(family), batch_for(tiny(family))
    masks = replace(Masks.ones(prunekit.describe(model)), skip_norms=True)
    masks.layers["self"][1] = masks.layers["ffn"][1] = False
    shorter = copy.deepcopy(model)
    assert call_order(model) == [0, 1, 2]
    layers = next(m for m in shorter.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == 3)
    del layers[1]
    with prunekit.gated(model, masks):
        torch.testing.assert_close(logits(model, batch), logits(shorter, batch), rtol=0, atol=1e-10)
    torch.testing.assert_close(logits(prunekit.prune(model, masks), batch), logits(shorter, batch), rtol=0, atol=1e-10)


def test_gates_of_a_batch() -> None:
    model = tiny("bert")
    batch = batch_for(model)
    masks = replace(soft_masks(model, batch=4), skip_norms=True)
    masks.layers["self"][[0, 2], 1] = 0
    masks.layers["ffn"][3, 0] = 0
    with prunekit.gated(model, masks):
        together = logits(model, batch)
    for row in range(4):
        with prunekit.gated(model, replace(row_of(masks, row), skip_norms=True)):
            one = logits(model, {name: value[row : row + 1] for name, value in batch.items()})
        torch.testing.assert_close(together[row : row + 1], one, rtol=0, atol=1e-10)


def test_pruned_again(tmp_path: Path) -> None:
    """What is gone stays gone, with or without its LayerNorm, and the record knows which."""
    model, batch = tiny("bert"), batch_for(tiny("bert"))
    first = Masks.ones(prunekit.describe(model))
    first.layers["ffn"][0] = False
    small = prunekit.prune(model, first)
    second = replace(Masks.ones(prunekit.describe(small)), skip_norms=True)
    second.layers["self"][2] = False
    with prunekit.gated(small, second):
        expected = logits(small, batch)
    again = prunekit.prune(small, second)
    torch.testing.assert_close(logits(again, batch), expected, rtol=0, atol=1e-10)
    assert again.config.prunekit["skipped"] == {"self": [2], "ffn": [0]}  # of all whose gate is 0
    third = Masks.ones(prunekit.describe(again))
    third.neurons[1, :5] = False
    prunekit.save(prunekit.prune(again, third), tmp_path / "model")
    with prunekit.gated(again, third):
        expected = logits(again, batch)
    loaded = prunekit.load(tmp_path / "model", dtype=torch.float64)
    torch.testing.assert_close(logits(loaded, batch), expected, rtol=0, atol=1e-10)


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    model = tiny("bert")
    prunekit.save(prunekit.prune(model, closed(model, skip_norms=True)), tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["prunekit"]["skipped"]["ffn"] = [2]
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"prunekit record: it is damaged \(ValueError: skipped .* among removed"):
        prunekit.load(tmp_path / "model")


def test_gates_of_the_released_variant_say_so() -> None:
    model = tiny("bert")
    for skip_norms in (False, True):
        gates = Gates(model, skip_norms=skip_norms)
        for masks in (gates.sampled(), gates.evaluated(), gates.probabilities(), gates.evaluated().kept()):
            assert masks.skip_norms == skip_norms
