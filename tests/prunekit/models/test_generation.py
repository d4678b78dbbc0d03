"""Translations of gated, pruned and loaded models, with the cache of keys and values, greedy and by beam search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

import prunekit
from prunekit.models.blocks import describe
from prunekit.models.checkpoints import load, save
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.families import ATTENTIONS
from tests.support.masks import row_of, soft_masks
from tests.support.translators import HEADS, TRANSLATORS, pairs_for, translator, uneven

GREEDY, BEAMS = 1, 4


@pytest.fixture(params=[f"{family}-{attention}" for family in TRANSLATORS for attention in ATTENTIONS])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return translator(*request.param.split("-"))


def generated(model: Any, beams: int, rows: slice = slice(None), **options: Any) -> tuple[Tensor, Tensor]:
    """Tokens, (row, token), and the scores of all words at every step, (step, row and beam, word)."""
    batch = {name: tensor[rows] for name, tensor in pairs_for().items() if name != "labels"}
    found = model.generate(
        **batch, num_beams=beams, do_sample=False, max_length=14, return_dict_in_generate=True, output_scores=True,
        no_repeat_ngram_size=2, **options,
    )  # fmt: skip
    return found.sequences, torch.stack(found.scores)


def assert_same(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-9)


def without(model: PreTrainedModel, unit: str) -> Masks:
    """Masks that the cache must bear: without a head of a kind in the first and the last layer, all heads of the first,
    the whole first sublayer, or all of them everywhere."""
    kind, part = unit.split()
    masks = Masks.ones(describe(model))
    if part == "heads":
        masks.heads[kind][[0, -1], 0] = False
    elif part == "first":
        masks.heads[kind][0] = False
    elif part == "sublayer":
        masks.layers[kind][0] = False
    else:
        masks.heads[kind][:] = False
    return masks


@pytest.mark.parametrize("beams", [GREEDY, BEAMS])
def test_translations_are_worth_comparing(model: PreTrainedModel, beams: int) -> None:
    tokens, _ = generated(model, beams)
    assert len({tuple(row) for row in tokens.tolist()}) > 1 and len(tokens.unique()) > 4
    with prunekit.gated(model, uneven(model)):
        assert not torch.equal(generated(model, beams)[0], tokens)


# One word at a time has a cache of one row where beams have four: the other tests have both for some units.
@pytest.mark.parametrize("beams", [pytest.param(GREEDY, marks=pytest.mark.slow), BEAMS])
@pytest.mark.parametrize("unit", [
    pytest.param(f"{kind} {part}", marks=[pytest.mark.slow] * (part == "first"))  # the whole sublayer is near it
    for kind in HEADS for part in ("heads", "first", "sublayer", "all")
])  # fmt: skip
def test_gated_and_pruned_translate_alike(model: PreTrainedModel, unit: str, beams: int) -> None:
    masks = without(model, unit)
    with prunekit.gated(model, masks):
        expected = generated(model, beams)
    assert_same(generated(prune(model, masks), beams), expected)


@pytest.mark.parametrize("beams", [GREEDY, BEAMS])
def test_so_does_what_was_saved_and_loaded(model: PreTrainedModel, beams: int, tmp_path: Path) -> None:
    masks = uneven(model)
    with prunekit.gated(model, masks):
        expected = generated(model, beams)
    small = prune(model, masks)
    assert_same(generated(small, beams), expected)
    save(small, tmp_path)
    loaded = load(tmp_path, attention=model.config._attn_implementation, dtype=torch.float64)
    assert_same(generated(loaded, beams), expected)
    again = soft_masks(loaded)
    with prunekit.gated(loaded, again):
        expected = generated(loaded, beams)
    assert_same(generated(prune(loaded, again), beams), expected)


@pytest.mark.parametrize("beams", [pytest.param(GREEDY, marks=pytest.mark.slow), BEAMS])
@pytest.mark.parametrize("cache", [{"use_cache": False}, {"cache_implementation": "static", "disable_compile": True}])
def test_the_cache_changes_nothing(model: PreTrainedModel, cache: dict[str, Any], beams: int) -> None:
    for masks in (uneven(model), without(model, "dec-dec all"), without(model, "enc-dec all")):
        small = prune(model, masks)
        assert_same(generated(small, beams, **cache), generated(small, beams))


@pytest.mark.parametrize("beams", [GREEDY, BEAMS])
def test_every_beam_has_the_gates_of_its_example(model: PreTrainedModel, beams: int) -> None:
    masks = soft_masks(model, batch=4)
    with prunekit.gated(model, masks):
        together, _ = generated(model, beams)
    for row in range(4):
        with prunekit.gated(model, row_of(masks, row)):
            alone, _ = generated(model, beams, slice(row, row + 1))
        width = alone.shape[1]
        assert torch.equal(together[row, :width], alone[0])


@pytest.mark.parametrize("beams", [GREEDY, BEAMS])
def test_gates_for_another_batch_are_named(beams: int) -> None:
    model = translator("bart")
    with (
        pytest.raises(UserError, match=r"has gates for a batch of \(2,\); the model's input is \(4,\)"),
        prunekit.gated(model, soft_masks(model, batch=2)),
    ):
        generated(model, beams)
