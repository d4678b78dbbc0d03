"""``output_attentions=True`` has an entry a layer, also where a layer has no head left."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

import prunekit
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from tests.support.families import FAMILY_NAMES, batch_for, logits, tiny
from tests.support.translators import TRANSLATORS, translator


def without_first_layer(model: Any) -> Any:
    masks = Masks.ones(describe(model))
    for mask in masks.heads.values():
        mask[0] = False
    return prunekit.prune(model, masks)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_encoders(family: str) -> None:
    model = tiny(family, "eager")
    masks = Masks.ones(describe(model))
    masks.heads["self"][-1] = False
    masks.heads["self"][0, 1] = False
    small, batch = prunekit.prune(model, masks), batch_for(model)
    whole, maps = (one(**batch, output_attentions=True).attentions for one in (model, small))
    assert len(maps) == len(whole) == describe(model).calls
    assert torch.allclose(maps[0], whole[0][:, [0, 2, 3]])
    assert maps[-1].shape == (len(batch["input_ids"]), 0, *whole[-1].shape[2:])
    assert maps[-1].dtype == whole[-1].dtype


@pytest.mark.parametrize("family", TRANSLATORS)
def test_encoder_decoders(family: str) -> None:
    small = without_first_layer(translator(family, "eager"))
    source, target = torch.arange(4, 12).reshape(1, 8), torch.arange(4, 9).reshape(1, 5)
    output = small(input_ids=source, decoder_input_ids=target, output_attentions=True)
    layout = describe(small)
    for kind, maps, sizes in (
        ("enc-enc", output.encoder_attentions, (8, 8)),
        ("enc-dec", output.cross_attentions, (5, 8)),
        ("dec-dec", output.decoder_attentions, (5, 5)),
    ):
        assert [tuple(one.shape) for one in maps] == [(1, shape.heads, *sizes) for shape in layout.of_kind(kind)]
    steps = small.generate(
        source, max_new_tokens=3, output_attentions=True, return_dict_in_generate=True
    ).decoder_attentions
    assert [step[0].shape[-1] for step in steps] == [1, 2, 3]  # as many keys as words so far


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_fused_attention_shows_none(family: str) -> None:
    small = without_first_layer(tiny(family, "sdpa"))
    shown = small(**batch_for(small), output_attentions=True).attentions
    assert shown == ((None,) * len(shown) if family == "mpnet" else ())  # transformers' MPNet asks every layer


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_layer_without_heads_can_be_pickled_and_pruned_again(family: str) -> None:
    small = without_first_layer(tiny(family, "eager"))
    batch = batch_for(small)
    again = prunekit.prune(pickle.loads(pickle.dumps(small)), Masks.ones(describe(small)))
    assert torch.equal(logits(again, batch), logits(small, batch))
    assert len(again(**batch, output_attentions=True).attentions) == describe(small).calls
