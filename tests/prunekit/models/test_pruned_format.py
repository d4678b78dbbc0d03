"""Folders of pruned models: prunekit reads them to the last bit, transformers refuses what it would fill at random."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import (
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedModel,
)

import prunekit
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.models.pruned_format import PRUNED_WEIGHTS, WEIGHTS
from tests.support.families import FAMILY_NAMES, batch_for, logits, tiny
from tests.support.masks import uneven_masks
from tests.support.translators import TRANSLATORS, pairs_for, translator, uneven, word_logits


def without_sublayers(model: PreTrainedModel) -> PreTrainedModel:
    """Whole sublayers gone and nothing else, so that no tensor has another shape than transformers expects."""
    masks = Masks.ones(describe(model))
    for kind in masks.layers:
        masks.layers[kind][1] = False
    return prunekit.prune(model, masks)


def tiny_of(family: str, **options: Any) -> tuple[PreTrainedModel, Any]:
    if family in TRANSLATORS:
        return translator(family, **options), AutoModelForSeq2SeqLM
    return tiny(family, **options), AutoModelForSequenceClassification


@pytest.mark.parametrize("family", [*FAMILY_NAMES, *TRANSLATORS])
def test_transformers_refuses_instead_of_inventing_weights(family: str, tmp_path: Path) -> None:
    model, automatic = tiny_of(family)
    small = without_sublayers(model)
    prunekit.save(small, tmp_path / "small")
    for loader, error in ((AutoModel, ValueError), (automatic, ValueError), (type(small), OSError)):
        with pytest.raises(error, match=r"prunekit-|no file named"):
            loader.from_pretrained(tmp_path / "small")
    loaded = prunekit.load(tmp_path / "small", dtype=torch.float64)
    assert loaded.config.model_type == family
    prunekit.save(loaded, tmp_path / "again")
    for name in ("config.json", PRUNED_WEIGHTS):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "small" / name).read_bytes()


def test_what_transformers_loads_right_stays_as_it_is(tmp_path: Path) -> None:
    model = tiny("bert")
    for number, whole in enumerate((model, prunekit.prune(model, Masks.ones(describe(model))))):
        prunekit.save(whole, tmp_path / str(number))
        assert (tmp_path / str(number) / WEIGHTS).exists()
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / str(number)).eval()
        assert torch.equal(logits(plain, batch_for(model)), logits(model, batch_for(model)))


def test_fewer_units_alone_make_a_folder_a_pruned_one(tmp_path: Path) -> None:
    """All tensors have their names then, and some another shape."""
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.neurons[0, :3] = False
    small = prunekit.prune(model, masks)
    assert small.state_dict().keys() == model.state_dict().keys()
    prunekit.save(small, tmp_path)
    assert (tmp_path / PRUNED_WEIGHTS).exists() and not (tmp_path / WEIGHTS).exists()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "prunekit-bert"


def test_folders_of_earlier_versions_load(tmp_path: Path) -> None:
    small = without_sublayers(tiny("bert"))
    prunekit.save(small, tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["model_type"] == "prunekit-bert"
    (tmp_path / "config.json").write_text(json.dumps(content | {"model_type": "bert"}))
    (tmp_path / PRUNED_WEIGHTS).rename(tmp_path / WEIGHTS)
    loaded = prunekit.load(tmp_path, dtype=torch.float64)
    assert torch.equal(logits(loaded, batch_for(small)), logits(small, batch_for(small)))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_encoders_that_transformers_wrote(family: str, tmp_path: Path) -> None:
    model = tiny(family)
    small = prunekit.prune(model, uneven_masks(model))
    small.save_pretrained(tmp_path)
    loaded = prunekit.load(tmp_path, dtype=torch.float64)
    assert torch.equal(logits(loaded, batch_for(small)), logits(small, batch_for(small)))


@pytest.mark.parametrize("family", TRANSLATORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_translators_that_transformers_wrote(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = translator(family, dtype=dtype)
    for module in model.modules():
        if hasattr(module, "create_weight"):
            module.weight.data = module.create_weight()
    small = prunekit.prune(model, uneven(model))
    small.save_pretrained(tmp_path)
    loaded = prunekit.load(tmp_path, dtype=dtype)
    assert torch.equal(word_logits(loaded, pairs_for()), word_logits(small, pairs_for()))


def test_float64_is_not_rounded(tmp_path: Path) -> None:
    model = tiny("bert")
    small = prunekit.prune(model, uneven_masks(model))
    prunekit.save(small, tmp_path)
    loaded, expected = prunekit.load(tmp_path, dtype=torch.float64).state_dict(), small.state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


@pytest.mark.parametrize("family", [*FAMILY_NAMES, *TRANSLATORS])
def test_what_transformers_own_save_wrote_is_refused_by_it(family: str, tmp_path: Path) -> None:
    model, automatic = tiny_of(family)
    small = without_sublayers(model)
    small.save_pretrained(tmp_path / "small")
    assert (tmp_path / "small" / WEIGHTS).exists()  # by its name a Trainer goes on
    for loader in (AutoModel, automatic, type(small)):
        with pytest.raises((ValueError, StrictDataclassError), match=r"prunekit-|vocab_size"):
            loader.from_pretrained(tmp_path / "small")
    loaded = prunekit.load(tmp_path / "small", dtype=torch.float64)
    weights, expected = loaded.state_dict(), small.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected if "embed_positions" not in name)
    assert loaded.config.vocab_size == small.config.vocab_size and loaded.config.prunekit == small.config.prunekit
    loaded.save_pretrained(tmp_path / "again")
    first, again = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("small", "again"))
    assert first["prunekit"] == again["prunekit"] and first["vocab_size"] == again["vocab_size"]


def test_copies_save_themselves(tmp_path: Path) -> None:
    """Deep copies and pickled models; none is kept alive by its save."""
    small = without_sublayers(tiny("bert"))
    copies = [copy.deepcopy(small), pickle.loads(pickle.dumps(small))]
    for number, other in enumerate(copies):
        with torch.no_grad():
            other.get_parameter("classifier.bias").fill_(number)
        other.save_pretrained(tmp_path / str(number))
        loaded = prunekit.load(tmp_path / str(number), dtype=torch.float64)
        assert loaded.get_parameter("classifier.bias").tolist() == [number] * 3
    gc.disable()
    try:
        alive = weakref.ref(small)
        del small
        assert alive() is None
    finally:
        gc.enable()


def test_a_default_size_is_hidden_too(tmp_path: Path) -> None:
    small = without_sublayers(tiny("bert", vocab_size=BertConfig().vocab_size))
    small.save_pretrained(tmp_path / "small", max_shard_size="1GB")
    with pytest.raises(StrictDataclassError, match="vocab_size"):
        type(small).from_pretrained(tmp_path / "small")
    assert prunekit.load(tmp_path / "small").config.vocab_size == BertConfig().vocab_size


def test_a_model_that_kept_its_shape_is_saved_as_ever(tmp_path: Path) -> None:
    model = tiny("bert")
    prunekit.prune(model, Masks.ones(describe(model))).save_pretrained(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(logits(plain, batch_for(model)), logits(model, batch_for(model)))
