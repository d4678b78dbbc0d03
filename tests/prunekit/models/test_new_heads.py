"""Models that fine-tuning starts from: a pretrained encoder with a new head, or random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from prunekit.models.blocks import describe
from prunekit.models.checkpoints import attach_head, build, save
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.damage import QUERY, change_weights, drop
from tests.support.families import FAMILY_NAMES, HEADS, HIDDEN, base_of, shape_of, tiny
from tests.support.masks import uneven_masks


class TestAttachHead:
    @pytest.mark.parametrize("family", FAMILY_NAMES)
    def test_only_the_head_is_created(self, family: str, tmp_path: Path) -> None:
        base = base_of(tiny(family))
        save(base, tmp_path)
        model, created = attach_head(tmp_path, 5, seed=1)
        assert created and all("classifier" in name or "pooler" in name for name in created)
        assert model.config.num_labels == 5 and model.dtype == torch.float32 and not model.training
        for name, tensor in base.float().state_dict().items():
            assert name.startswith("pooler") or torch.equal(model.base_model.state_dict()[name], tensor)

    def test_the_seed_decides_the_head(self, tmp_path: Path) -> None:
        save(BertModel(BertConfig(**shape_of("bert"))), tmp_path)
        state = torch.get_rng_state()
        first, again, other = (
            attach_head(tmp_path, 2, seed=seed)[0].get_parameter("classifier.weight") for seed in (1, 1, 2)
        )
        assert torch.equal(first, again) and not torch.equal(first, other)
        assert torch.equal(torch.get_rng_state(), state)

    def test_a_lost_encoder_weight_is_an_error(self, tmp_path: Path) -> None:
        save(tiny("bert"), tmp_path)
        change_weights(tmp_path, drop(QUERY))
        with pytest.raises(UserError, match=f"{QUERY}; only a task head may be missing"):
            attach_head(tmp_path, 3)

    def test_a_head_with_other_labels_is_an_error(self, tmp_path: Path) -> None:
        save(tiny("bert"), tmp_path)
        with pytest.raises(UserError, match=r"classifier.\w+ has shape \(3,.*the model needs \(2,"):
            attach_head(tmp_path, 2)

    def test_pruned_models_keep_their_head(self, tmp_path: Path) -> None:
        dense = tiny("bert")
        save(prune(dense, uneven_masks(dense)), tmp_path / "pruned")
        model, created = attach_head(tmp_path / "pruned", 3)
        assert created == [] and describe(model).heads < 3 * HEADS
        with pytest.raises(UserError, match="its task head has 3 labels, the task 2"):
            attach_head(tmp_path / "pruned", 2)
        base = base_of(tiny("bert"))
        save(prune(base, Masks.ones(describe(base))), tmp_path / "base")
        with pytest.raises(UserError, match="a pruned BertModel without a task head"):
            attach_head(tmp_path / "base", 3)


class TestBuild:
    @pytest.mark.parametrize("family", FAMILY_NAMES)
    def test_every_family(self, family: str) -> None:
        shape = shape_of(family)
        del shape["num_labels"]
        model, again, other = (build(family, shape, 4, seed=seed, attention="eager") for seed in (0, 0, 1))
        layout = describe(model)
        assert (layout.hidden, layout.of_kind("self")[0].heads) == (HIDDEN, HEADS)
        assert model.config.num_labels == 4 and not model.training
        assert model.config._attn_implementation == "eager"
        states = [m.state_dict() for m in (model, again, other)]
        assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
        assert any(not torch.equal(tensor, states[2][name]) for name, tensor in states[0].items())

    @pytest.mark.parametrize(
        ("family", "shape", "told"),
        [
            ("gpt2", {}, "family 'gpt2' is not supported; supported are bert"),
            ("bert", {"hiden_size": 8}, "unknown size 'hiden_size'; did you mean hidden_size"),
            ("bert", {"hidden_size": "big"}, "is no bert model .*expected int"),
            ("bert", {"hidden_size": 10, "num_attention_heads": 3}, "hidden size 10 and 3 heads"),
            ("albert", {"hidden_size": 10, "num_attention_heads": 3}, "hidden size 10 and 3 heads"),
            ("bert", {"hidden_act": "gelllu"}, "is no bert model"),
        ],
    )
    def test_bad_shapes_are_named(self, family: str, shape: dict[str, Any], told: str) -> None:
        with pytest.raises(UserError, match=told):
            build(family, shape, 2)
