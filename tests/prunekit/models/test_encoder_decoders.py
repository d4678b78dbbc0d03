"""Encoder-decoders: what is in the table, gates, removal, costs, saving and strict loading, for all attention kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForSequenceClassification, MBartConfig, MBartModel, PreTrainedModel

import prunekit
from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.sparsity import PrunableSize
from prunekit.cofi.structures import whole_layers
from prunekit.forward.ablation import ablate_heads
from prunekit.models.blocks import attention_blocks, blocks, call_order, describe, ffn_blocks, set_probability_dropout
from prunekit.models.checkpoints import attach_head, build, load, save
from prunekit.models.empty_sublayers import HeadlessAttention
from prunekit.models.masks import Masks
from prunekit.models.pruned_format import PRUNED_WEIGHTS
from prunekit.models.surgery import prune
from prunekit.stages.refit.tuning import tune
from prunekit.stages.score.gradients import mask_gradients
from prunekit.stages.score.unit_scores import unit_scores
from prunekit.stages.search.latency import latency_table
from prunekit.support.errors import UserError
from tests.support.families import ATTENTIONS, HIDDEN
from tests.support.masks import hook_count, row_of, soft_masks
from tests.support.translators import (
    DECODER_LAYERS,
    ENCODER_LAYERS,
    HEADS,
    NEURONS,
    ROWS,
    TRANSLATORS,
    gated_words,
    pairs_for,
    translator,
    uneven,
    word_logits,
)

KINDS = tuple(HEADS)


@pytest.fixture(params=[f"{family}-{attention}" for family in TRANSLATORS for attention in ATTENTIONS])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return translator(*request.param.split("-"))


def assert_same_words(found: PreTrainedModel, expected: PreTrainedModel) -> None:
    words = word_logits(expected, pairs_for())
    torch.testing.assert_close(word_logits(found, pairs_for()), words, rtol=0, atol=1e-10)


def one_off(model: PreTrainedModel, unit: str) -> Iterator[Masks]:
    """For every row of a unit's tensor, masks without one of its units."""
    rows = ROWS.get(unit.split()[0], len(NEURONS))
    for row in range(rows):
        masks = Masks.ones(describe(model))
        match unit.split():
            case ["neurons"]:
                masks.neurons[row, 5] = False
            case ["neurons", "all"]:
                masks.neurons[row] = False
            case ["ffn"]:
                masks.layers["ffn"][row] = False
            case [kind]:
                masks.heads[kind][row, 1] = False
            case [kind, "all"]:
                masks.heads[kind][row] = False
            case [kind, "sublayer"]:
                masks.layers[kind][row] = False
        yield masks


UNITS = [*KINDS, *(f"{kind} {part}" for kind in KINDS for part in ("all", "sublayer")), "neurons", "neurons all", "ffn"]


class TestTheTable:
    def test_layout(self, model: PreTrainedModel) -> None:
        layout = describe(model)
        assert layout.kinds == KINDS and not layout.is_encoder
        for kind in KINDS:
            assert [shape.heads for shape in layout.of_kind(kind)] == [HEADS[kind]] * ROWS[kind]
            assert {shape.head_size for shape in layout.of_kind(kind)} == {HIDDEN // HEADS[kind]}
        assert [shape.neurons for shape in layout.ffn] == NEURONS
        assert layout.calls == ENCODER_LAYERS + DECODER_LAYERS
        assert "enc-dec heads of size 8, by layer: 2, 2, 2" in str(layout)
        assert "neurons, by layer (encoder, then decoder): 24, 24, 20, 20, 20" in str(layout)

    def test_masks(self, model: PreTrainedModel) -> None:
        masks = Masks.ones(describe(model))
        shapes = {kind: tuple(mask.shape) for kind, mask in masks.heads.items()}
        assert shapes == {kind: (ROWS[kind], HEADS[kind]) for kind in KINDS}
        assert masks.neurons.sum(1).tolist() == NEURONS
        assert {kind: len(mask) for kind, mask in masks.layers.items()} == {**ROWS, "ffn": len(NEURONS)}
        assert masks.hidden is None

    def test_every_module_is_found_once(self, model: PreTrainedModel) -> None:
        found = [m for b in attention_blocks(model) for m in (b.q, b.k, b.v, b.o)]
        found += [m for b in ffn_blocks(model) for m in (b.ffn_in, b.ffn_out)]
        stacks = [model.base_model.get_submodule(stack) for stack in ("encoder.layers", "decoder.layers")]
        assert {id(m) for m in found} == {id(m) for s in stacks for m in s.modules() if isinstance(m, nn.Linear)}
        assert len(found) == 4 * (ENCODER_LAYERS + 2 * DECODER_LAYERS) + 2 * len(NEURONS)
        assert [b.in_decoder for b in ffn_blocks(model)] == [False] * ENCODER_LAYERS + [True] * DECODER_LAYERS

    @pytest.mark.parametrize("family", TRANSLATORS)
    def test_base_models_have_the_same_sublayers(self, family: str) -> None:
        model = translator(family)
        for own, same in zip(attention_blocks(model), attention_blocks(model.base_model), strict=True):
            assert own.o is same.o

    def test_attention_dropout_is_set_everywhere(self, model: PreTrainedModel) -> None:
        batch, expected = pairs_for(), word_logits(model, pairs_for())
        for module in model.modules():
            for name in ("dropout", "activation_dropout"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
        model.train()
        set_probability_dropout(model, 0.5)
        assert not torch.allclose(word_logits(model, batch), expected)
        assert all(b.module.get_submodule(b.paths.attention).dropout == 0.5 for b in attention_blocks(model))
        set_probability_dropout(model, 0.0)
        torch.testing.assert_close(word_logits(model, batch), expected, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("family", TRANSLATORS)
    @pytest.mark.parametrize("field", ["normalize_before", "add_final_layer_norm"])
    def test_pre_norm_is_refused(self, family: str, field: str) -> None:
        model = translator(family)
        setattr(model.config, field, True)
        with pytest.raises(UserError, match=f"{family}: {field} is set; only models that normalise after the residual"):
            describe(model)

    @pytest.mark.parametrize("family", TRANSLATORS)
    def test_half_models_are_refused(self, family: str) -> None:
        with pytest.raises(UserError, match="is_decoder is set; only whole encoder-decoders of this family"):
            describe(translator(family, is_decoder=True))

    def test_other_families_are_refused(self) -> None:
        config = MBartConfig(vocab_size=10, d_model=16, encoder_layers=1, decoder_layers=1, pad_token_id=1)
        with pytest.raises(UserError, match=r"'mbart' is not supported; .* marian, bart$"):
            describe(MBartModel(config))


class TestGates:
    @pytest.mark.parametrize("dtype", [torch.bool, torch.float64])
    def test_of_one_change_nothing(self, model: PreTrainedModel, dtype: torch.dtype) -> None:
        expected = word_logits(model, pairs_for())
        found = gated_words(model, pairs_for(), Masks.ones(describe(model), dtype))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)

    def test_with_a_batch_dimension_equal_single_gates_row_by_row(self, model: PreTrainedModel) -> None:
        batch = pairs_for()
        masks = soft_masks(model, batch=4)
        together = gated_words(model, batch, masks)
        for row in range(4):
            alone = gated_words(model, batch, row_of(masks, row))
            torch.testing.assert_close(together[row], alone[row], rtol=0, atol=1e-10)

    def test_with_a_batch_dimension_equal_single_gates_of_a_pruned_model(self, model: PreTrainedModel) -> None:
        small = prune(model, uneven(model))
        masks = soft_masks(small, batch=4)
        together = gated_words(small, pairs_for(), masks)
        for row in range(4):
            alone = gated_words(small, pairs_for(), row_of(masks, row))
            torch.testing.assert_close(together[row], alone[row], rtol=0, atol=1e-10)

    def test_by_position_with_equal_rows_equal_plain_gates(self, model: PreTrainedModel) -> None:
        batch, masks = pairs_for(), soft_masks(model)
        expected = gated_words(model, batch, masks)
        for kind, heads in masks.heads.items():
            tokens = batch["input_ids"] if kind == "enc-enc" else batch["labels"]
            masks.heads[kind] = heads.expand(*tokens.shape, -1, -1)
        torch.testing.assert_close(gated_words(model, batch, masks), expected, rtol=0, atol=1e-10)

    def test_hooks_are_gone_afterwards(self, model: PreTrainedModel) -> None:
        with prunekit.gated(model, soft_masks(model)):
            assert hook_count(model) == 2 * (len(attention_blocks(model)) + len(ffn_blocks(model))) + 1
        assert hook_count(model) == 0

    @pytest.mark.parametrize("kind", ["enc-enc", "dec-dec"])
    def test_for_another_batch_are_named(self, kind: str) -> None:
        """Also where the input has a multiple of the gates' rows, as a decoder has under beam search."""
        model = translator("marian")
        masks = Masks.ones(describe(model))
        masks.heads[kind] = torch.rand(2, *masks.heads[kind].shape)
        with pytest.raises(UserError, match=rf"heads\['{kind}'\] has gates for a batch of \(2,\); .* input is \(4,\)"):
            gated_words(model, pairs_for(), masks)

    def test_on_hidden_dimensions_are_refused(self) -> None:
        model = translator("bart")
        masks = Masks.ones(describe(model))
        masks.hidden = torch.ones(HIDDEN)
        for refused in (lambda: gated_words(model, pairs_for(), masks), lambda: prune(model, masks)):
            with pytest.raises(UserError, match=r"masks.hidden: bart is an encoder-decoder, .* encoders only"):
                refused()


class TestRemoval:
    @pytest.mark.parametrize("unit", UNITS)
    def test_equals_a_gate_of_zero(self, model: PreTrainedModel, unit: str) -> None:
        batch = pairs_for()
        plain = word_logits(model, batch)
        for masks in one_off(model, unit):
            expected = gated_words(model, batch, masks)
            assert (expected - plain).abs().max() > 1e-6
            small = prune(model, masks)
            torch.testing.assert_close(word_logits(small, batch), expected, rtol=0, atol=1e-10)
            if unit in KINDS:
                assert describe(small).heads == describe(model).heads - 1
            assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())

    @pytest.mark.parametrize("unit", [*KINDS, "neurons", "ffn"])
    def test_of_all_units_everywhere(self, model: PreTrainedModel, unit: str) -> None:
        masks = Masks.ones(describe(model))
        {**masks.heads, "neurons": masks.neurons, "ffn": masks.layers["ffn"]}[unit].zero_()
        expected = gated_words(model, pairs_for(), masks)
        torch.testing.assert_close(word_logits(prune(model, masks), pairs_for()), expected, rtol=0, atol=1e-10)

    def test_of_units_of_every_kind_at_once(self, model: PreTrainedModel) -> None:
        masks = uneven(model)
        expected = gated_words(model, pairs_for(), masks)
        small = prune(model, masks)
        torch.testing.assert_close(word_logits(small, pairs_for()), expected, rtol=0, atol=1e-10)
        assert all(parameter.numel() for parameter in small.parameters())
        layout = describe(small)
        assert [shape.removed for shape in layout.of_kind("enc-dec")] == [False, False, True]
        assert [shape.heads for shape in layout.of_kind("enc-enc")] == [0, 3]
        assert [shape.neurons for shape in layout.ffn] == [7, 0, 13, 0, 0]
        assert [shape.removed for shape in layout.ffn] == [False, True, False, False, True]
        first = attention_blocks(small)[0]
        assert isinstance(first.module.get_submodule(first.paths.attention), HeadlessAttention)

    def test_folds_soft_gates(self, model: PreTrainedModel) -> None:
        masks = soft_masks(model)
        for heads in masks.heads.values():
            heads[0, 1] = 0
            heads[1] = 0
        masks.neurons[0, 3:9] = 0
        masks.neurons[-1] = 0
        expected = gated_words(model, pairs_for(), masks)
        torch.testing.assert_close(word_logits(prune(model, masks), pairs_for()), expected, rtol=0, atol=1e-10)

    def test_of_a_pruned_models_units(self, model: PreTrainedModel) -> None:
        small = prune(model, uneven(model))
        masks = soft_masks(small)
        masks.heads["dec-dec"][1] = 0
        expected = gated_words(small, pairs_for(), masks)
        again = prune(small, masks)
        torch.testing.assert_close(word_logits(again, pairs_for()), expected, rtol=0, atol=1e-10)
        assert again.config.prunekit["heads"] == {
            "enc-enc": ["", "1-3"], "enc-dec": ["", "1", ""], "dec-dec": ["", "", ""],
        }  # fmt: skip

    @pytest.mark.parametrize("family", TRANSLATORS)
    @pytest.mark.parametrize("attention", ATTENTIONS)
    def test_in_float32(self, family: str, attention: str) -> None:
        model = translator(family, attention, torch.float32)
        expected = gated_words(model, pairs_for(), uneven(model))
        difference = (word_logits(prune(model, uneven(model)), pairs_for()) - expected).abs().max()
        assert difference <= 1e-5 * expected.abs().max()

    def test_leaves_a_model_that_can_be_trained(self, model: PreTrainedModel) -> None:
        small = prune(model, uneven(model)).train()
        small(**pairs_for()).loss.backward()
        without = {name for name, p in small.named_parameters() if p.grad is None and p.requires_grad}
        assert without == set()

    def test_is_recorded_by_kind(self) -> None:
        record = prune(translator("marian"), uneven(translator("marian"))).config.prunekit
        assert json.loads(json.dumps(record)) == record
        assert record == {
            "version": 1,
            "heads": {"enc-enc": ["", "1-3"], "enc-dec": ["", "1", ""], "dec-dec": ["", "1", ""]},
            "neurons": ["0-2,20-23", "", "1-2,4-5,7-8,10-11,13-14,16-17,19", "", ""],
            "removed": {"enc-enc": [], "enc-dec": [2], "dec-dec": [2], "ffn": [1, 4]},
            "hidden": "0-15",
        }


class TestSaving:
    @pytest.mark.parametrize("pruned", [False, True])
    def test_round_trip(self, model: PreTrainedModel, pruned: bool, tmp_path: Path) -> None:
        if pruned:
            model = prune(model, uneven(model))
        save(model, tmp_path)
        attention = model.config._attn_implementation
        loaded = load(tmp_path, attention=attention, dtype=torch.float64)
        assert type(loaded) is type(model) and not loaded.training
        assert loaded.config._attn_implementation == attention
        assert_same_words(loaded, model)
        assert getattr(loaded.config, "prunekit", None) == getattr(model.config, "prunekit", None)
        assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight

    @pytest.mark.parametrize("changes", [{"share_encoder_decoder_embeddings": False}, {"tie_word_embeddings": False}])
    @pytest.mark.parametrize("pruned", [False, True])
    def test_embeddings_that_are_not_shared(self, changes: dict[str, Any], pruned: bool, tmp_path: Path) -> None:
        model = translator("marian", **changes)
        model = prune(model, uneven(model)) if pruned else model
        save(model, tmp_path)
        loaded = load(tmp_path, dtype=torch.float64)
        assert_same_words(loaded, model)

    @pytest.mark.parametrize("family", TRANSLATORS)
    def test_base_models_round_trip(self, family: str, tmp_path: Path) -> None:
        base = translator(family, head=AutoModel)
        small = prune(base, uneven(base))
        save(small, tmp_path)
        batch = pairs_for()
        inputs = {"input_ids": batch["input_ids"], "decoder_input_ids": batch["labels"].clamp_min(0)}
        with torch.no_grad():
            expected = small(**inputs).last_hidden_state
            found = load(tmp_path, dtype=torch.float64)(**inputs).last_hidden_state
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)

    def test_settings_of_generate_come_back(self, model: PreTrainedModel, tmp_path: Path) -> None:
        model.generation_config.num_beams = 3
        model.generation_config.max_length = 17
        small = prune(model, uneven(model))
        save(small, tmp_path)
        again = load(tmp_path).generation_config
        assert (again.num_beams, again.max_length, again.decoder_start_token_id) == (3, 17, 2)
        (tmp_path / "generation_config.json").write_text("{")
        with pytest.raises(UserError, match=r"generation_config.json \(.*not a valid JSON"):
            load(tmp_path)

    def test_pre_norm_is_refused(self, tmp_path: Path) -> None:
        save(translator("bart"), tmp_path)
        content = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**content, "normalize_before": True}))
        with pytest.raises(UserError, match=r"config.json: bart: normalize_before is set; only models that normalise"):
            load(tmp_path)

    def test_missing_weights_and_damaged_records_are_named(self, tmp_path: Path) -> None:
        small = prune(translator("marian"), uneven(translator("marian")))
        save(small, tmp_path)
        content = json.loads((tmp_path / "config.json").read_text())
        del content["prunekit"]["heads"]["enc-dec"]
        (tmp_path / "damaged").mkdir()
        (tmp_path / "damaged" / "config.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match="prunekit record: it has no entry for 'enc-dec'"):
            load(tmp_path / "damaged")
        tensors = load_file(tmp_path / PRUNED_WEIGHTS)
        name = "model.decoder.layers.1.encoder_attn.q_proj.weight"
        tensors.pop(name)
        save_file(tensors, tmp_path / PRUNED_WEIGHTS, metadata={"format": "pt"})
        with pytest.raises(UserError, match=f"{name} missing; the record in config.json needs it"):
            load(tmp_path)


class TestCost:
    @pytest.mark.parametrize("family", TRANSLATORS)
    @pytest.mark.parametrize("pruned", [False, True])
    @pytest.mark.parametrize(("source", "target"), [(9, 5), (4, 12), (1, 1)])
    def test_macs_equal_counted_ones(self, family: str, pruned: bool, source: int, target: int) -> None:
        model = translator(family, "eager")
        model = prune(model, uneven(model)) if pruned else model
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            ids = torch.full((1, source), 5), torch.full((1, target), 5)
            model.base_model(input_ids=ids[0], decoder_input_ids=ids[1], use_cache=False)
        assert prunekit.cost(model, source, target).macs == counter.get_total_flops() // 2 > 0

    def test_by_hand(self) -> None:
        cost = prunekit.cost(translator("bart"), 10, 6)
        attention = 4 * (HIDDEN * HIDDEN + HIDDEN)
        assert cost.attention == (ENCODER_LAYERS + 2 * DECODER_LAYERS) * attention
        assert cost.ffn == sum(2 * HIDDEN * neurons + neurons + HIDDEN for neurons in NEURONS)
        assert cost.embeddings == 50 * HIDDEN + 2 * (40 + 2) * HIDDEN + 2 * 2 * HIDDEN
        assert cost.other == (2 * ENCODER_LAYERS + 3 * DECODER_LAYERS) * 2 * HIDDEN  # the output layer is the embedding
        assert cost.parameters == cost.attention + cost.ffn + cost.embeddings + cost.other
        encoder = ENCODER_LAYERS * (4 * 10 * HIDDEN**2 + 2 * 10 * 10 * HIDDEN + 2 * 10 * HIDDEN * 24)
        own = 4 * 6 * HIDDEN**2 + 2 * 6 * 6 * HIDDEN
        cross = (2 * 6 + 2 * 10) * HIDDEN**2 + 2 * 6 * 10 * HIDDEN
        assert cost.macs == encoder + DECODER_LAYERS * (own + cross + 2 * 6 * HIDDEN * 20)

    def test_the_target_is_as_long_as_the_source_unless_told(self) -> None:
        model = translator("marian")
        assert prunekit.cost(model, 8) == prunekit.cost(model, 8, 8) != prunekit.cost(model, 8, 9)
        assert prunekit.cost(model, 8).parameters == sum(p.numel() for p in model.parameters())

    def test_bad_lengths_are_named(self) -> None:
        with pytest.raises(UserError, match="target_length: 0 is not a length"):
            prunekit.cost(translator("marian"), 4, 0)


def _batches() -> list[dict[str, Tensor]]:
    return [{**pairs_for(), "index": torch.arange(4)}]


def saved(model: PreTrainedModel, folder: Path) -> Path:
    save(model, folder)
    return folder


ENCODERS_ONLY: dict[str, Callable[[PreTrainedModel, Path], Any]] = {
    "layers": lambda model, _: blocks(model),
    "call order": lambda model, _: call_order(model),
    "ablation": lambda model, _: ablate_heads(model, _batches()),
    "Fisher information": lambda model, _: mask_gradients(model, _batches()),
    "importance of neurons": lambda model, _: unit_scores("magnitude", model),
    "latency tables": lambda model, folder: latency_table(model, 1, 8, folder),
    "mask tuning": lambda model, _: tune(model, Masks.ones(describe(model)), _batches()),
    "CoFi's gates": lambda model, _: Gates(model),
    "CoFi's size": lambda model, _: PrunableSize.of(model),
    "CoFi's baselines": lambda model, _: whole_layers(model, 0.5),
    "task heads": lambda model, folder: attach_head(saved(model, folder), 2),
}


class TestRefusals:
    @pytest.mark.parametrize("name", ENCODERS_ONLY)
    @pytest.mark.parametrize("family", TRANSLATORS)
    def test_what_works_with_encoders_only_says_so(self, family: str, name: str, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=f"^{family} is an encoder-decoder; this works with encoders only: bert, "):
            ENCODERS_ONLY[name](translator(family), tmp_path)

    def test_classifiers(self) -> None:
        with pytest.raises(UserError, match=r"model family 'bart' is not supported; supported are bert, .*albert$"):
            build("bart", {}, 2)
        model = translator("bart", head=AutoModelForSequenceClassification)
        with pytest.raises(UserError, match="encoders only"):
            prunekit.models.families.table.classify(model, torch.zeros(1, 1, HIDDEN))

    def test_a_target_for_an_encoder(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="target_length: bert is an encoder and has no target"):
            prunekit.cost(build("bert", {"num_hidden_layers": 1}, 2), 8, 8)


