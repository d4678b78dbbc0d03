"""Every row of the architecture table resolves and computes what its model computes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, LlamaConfig, PreTrainedModel
from transformers.models.gpt2 import GPT2Model

import prunekit
from prunekit.models.blocks import Block, blocks, call_order, describe, set_probability_dropout
from prunekit.models.families.table import ENCODERS, classify, family_of
from prunekit.models.input_tables import positions
from prunekit.support.errors import UserError
from tests.support.families import (
    COPIES,
    FAMILY_NAMES,
    HEADS,
    HIDDEN,
    LABELS,
    NEURONS,
    PAD,
    base_of,
    batch_for,
    logits,
    tiny,
)
from tests.support.masks import uneven_masks


def first_input(model: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Hidden states and attention mask as the first layer gets them, the mask with what is added to the scores."""
    seen: list[tuple[Tensor, ...]] = []
    with blocks(model)[call_order(model)[0]].module.register_forward_pre_hook(
        lambda _module, inputs: seen.append(inputs)
    ):
        logits(model, batch)
    x, mask, *bias = seen[0]
    for scores in bias:
        if scores is None:  # a place that other families have for something else
            continue
        mask = torch.where(mask, scores, -torch.inf) if mask.dtype == torch.bool else mask + scores
    return x, mask


def attention_output(block: Block, x: Tensor, mask: Tensor) -> Tensor:
    """Multi-head attention written out from the block's modules."""
    assert block.q is not None and block.k is not None and block.v is not None
    q, k, v = (
        projection(x).unflatten(-1, (block.heads, block.head_size)).transpose(1, 2)
        for projection in (block.q, block.k, block.v)
    )
    context = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return block.o(context.transpose(1, 2).flatten(-2))


def test_blocks_compute_the_model(model: PreTrainedModel) -> None:
    batch = batch_for(model)
    x, mask = first_input(model, batch)
    found = blocks(model)
    with torch.no_grad():
        for index in call_order(model):
            block = found[index]
            y = block.attention_norm(x + attention_output(block, x, mask))
            x = block.ffn_norm(y + block.ffn_out(block.activation(block.ffn_in(y))))
        from_first_token = classify(model, x[:, :1])
    torch.testing.assert_close(from_first_token, logits(model, batch), rtol=0, atol=1e-10)


def test_attention_dropout_is_set_everywhere(model: PreTrainedModel) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    batch, expected = batch_for(model), logits(model, batch_for(model))
    model.train()
    set_probability_dropout(model, 0.5)
    assert not torch.allclose(logits(model, batch), expected)
    set_probability_dropout(model, 0.0)
    torch.testing.assert_close(logits(model, batch), expected, rtol=0, atol=1e-10)


def test_layout(model: PreTrainedModel) -> None:
    layout = describe(model)
    physical = 2 if model.config.model_type == "albert" else 3
    assert layout.kinds == ("self",)
    assert [shape.heads for shape in layout.of_kind("self")] == [HEADS] * physical
    assert [shape.neurons for shape in layout.ffn] == [NEURONS] * physical
    assert {shape.head_size for shape in layout.attention} == {HIDDEN // HEADS}
    assert layout.calls == model.config.num_hidden_layers
    assert f"{model.config.model_type}: hidden size {HIDDEN}" in str(layout)


def test_base_models_have_the_same_blocks(model: PreTrainedModel) -> None:
    for own, same in zip(blocks(model), blocks(base_of(model)), strict=True):
        assert own.o is same.o and own.ffn_out is same.ffn_out


def test_shared_layers_list_their_calls() -> None:
    model = tiny("albert", num_hidden_layers=6, num_hidden_groups=2, inner_group_num=2)
    assert call_order(model) == [0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3]
    assert [block.calls for block in blocks(model)] == [(0, 2, 4), (1, 3, 5), (6, 8, 10), (7, 9, 11)]


def test_shared_layers_are_called_in_that_order() -> None:
    model = tiny("albert", num_hidden_layers=4, num_hidden_groups=2, inner_group_num=2)
    called: list[int] = []
    for index, block in enumerate(blocks(model)):
        block.module.register_forward_hook(lambda *_, index=index: called.append(index))
    logits(model, batch_for(model))
    assert called == call_order(model)


def test_other_families_are_refused_with_the_list() -> None:
    model = GPT2Model(GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=10))
    with pytest.raises(UserError, match=r"'gpt2' is not supported; supported are bert, roberta, electra"):
        describe(model)


@pytest.mark.parametrize("config", [GPT2Config, LlamaConfig])
def test_decoder_only_models_are_refused_with_the_reason(config: Any) -> None:
    with pytest.raises(UserError, match=r"bart \((gpt2|llama) is a decoder-only language model, these are"):
        family_of(config())


@pytest.mark.parametrize("family", COPIES)
def test_copies_of_roberta_compute_and_lose_what_roberta_does(family: str) -> None:
    model, original = tiny(family), tiny("roberta")
    weights = {name.removeprefix("roberta."): value for name, value in original.state_dict().items()}
    prefix = f"{model.base_model_prefix}."
    model.load_state_dict({
        name: weights[name.removeprefix(prefix)] for name in model.state_dict()
    })  # fmt: skip
    batch, masks = batch_for(model), uneven_masks(model)
    torch.testing.assert_close(logits(model, batch), logits(original, batch), rtol=0, atol=1e-12)
    with prunekit.gated(original, masks):
        expected = logits(original, batch)
    torch.testing.assert_close(logits(prunekit.prune(model, masks), batch), expected, rtol=0, atol=1e-10)
    assert {**vars(ENCODERS[family]), "model_type": "roberta"} == vars(ENCODERS["roberta"])


@pytest.mark.parametrize("family", ENCODERS)
def test_positions_are_as_many_as_the_model_takes(family: str) -> None:
    model = tiny(family)
    most = positions(model)
    ids = torch.full((1, most + 1), PAD + 1)
    assert logits(model, {"input_ids": ids[:, 1:]}).isfinite().all()
    with pytest.raises((IndexError, RuntimeError)):
        logits(model, {"input_ids": ids})


@pytest.mark.parametrize("family", ["bert", "roberta", "electra"])
def test_decoders_are_refused(family: str) -> None:
    with pytest.raises(UserError, match="is_decoder is set"):
        describe(tiny(family, is_decoder=True))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_classify_needs_a_head(family: str) -> None:
    model = base_of(tiny(family))
    with pytest.raises(UserError, match="has no sequence-classification head; `finetune` creates one"):
        classify(model, torch.zeros(1, 1, HIDDEN))


def test_classify_has_one_logit_per_label(model: PreTrainedModel) -> None:
    with torch.no_grad():
        assert classify(model, torch.zeros(2, 1, HIDDEN, dtype=torch.float64)).shape == (2, LABELS)


def test_transformers_ignores_head_mask(model: PreTrainedModel) -> None:
    """The trap that the gates are there for: nobody may rely on ``head_mask=``."""
    batch = batch_for(model)
    off = torch.zeros(model.config.num_hidden_layers, HEADS)
    with torch.no_grad():
        torch.testing.assert_close(model(**batch, head_mask=off).logits, logits(model, batch), rtol=0, atol=0)


def test_importing_prunekit_is_light() -> None:
    code = "import sys, prunekit; dir(prunekit); sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="prnue"):
        prunekit.prnue  # noqa: B018
