"""Every task head of a family is pruned like its encoder; what the table does not describe, every entry refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
    BertConfig,
    BertForMultipleChoice,
    BertForSequenceClassification,
    PreTrainedModel,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.bert.modeling_bert import BertModel, BertPreTrainedModel

import prunekit
from prunekit.models.families.table import ENCODERS, FAMILIES
from prunekit.stages.score.gradients import mask_gradients
from prunekit.support.errors import UserError
from tests.support.entries import entries, refused
from tests.support.families import COPIES, LABELS, batch_for, shape_of, tiny
from tests.support.masks import uneven_masks


def class_of(family: str, head: str) -> Any:
    return getattr(transformers, CONFIG_MAPPING[family].__name__.removesuffix("Config") + head)


def output(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """What a model gives first: of multiple choice, for two choices of every row."""
    if "MultipleChoice" in type(model).__name__:
        batch = {name: torch.stack([value, value.flip(0)], 1) for name, value in batch.items()}
    with torch.no_grad():
        return model(**batch)[0]


@pytest.mark.parametrize(
    ("family", "head"),
    [
        pytest.param(family, head, marks=[pytest.mark.slow] * (family in COPIES))
        for family, row in ENCODERS.items()
        for head in row.task_heads
    ],
)
def test_heads_are_gated_pruned_saved_and_loaded(family: str, head: str, tmp_path: Path) -> None:
    shape = shape_of(family) if head != "ForQuestionAnswering" else {**shape_of(family), "num_labels": 2}
    model = class_of(family, head)(CONFIG_MAPPING[family](**shape)).double().eval()
    masks, batch = uneven_masks(model), batch_for(model)
    assert masks.hidden is not None and not masks.hidden.all()
    if ENCODERS[family].task_heads[head] is None:
        with pytest.raises(
            UserError, match=r"masks.hidden: .* reads its embeddings again at its output; hidden .* from Model"
        ):
            prunekit.prune(model, masks)
        masks.hidden = None
    with prunekit.gated(model, masks):
        expected = output(model, batch)
    if head == "Model" and masks.hidden is not None:
        expected = expected[..., masks.hidden]
    small = prunekit.prune(model, masks)
    torch.testing.assert_close(output(small, batch), expected, rtol=0, atol=1e-10)
    prunekit.save(small, tmp_path)
    torch.testing.assert_close(
        output(prunekit.load(tmp_path, dtype=torch.float64), batch), expected, rtol=0, atol=1e-10
    )
    assert prunekit.cost(small, 8).parameters == sum(parameter.numel() for parameter in small.parameters())


def test_every_class_of_transformers_is_in_its_row() -> None:
    for family, row in FAMILIES.items():
        prefix = CONFIG_MAPPING[family].__name__.removesuffix("Config")
        classes = [
            name.removeprefix(prefix) for name in dir(transformers)
            if name.startswith(prefix + "For") or name in (prefix + "Model", prefix + "MTModel", prefix + "LMHeadModel")
        ]  # fmt: skip
        unknown = set(classes) - set(row.task_heads)
        assert unknown <= {"ForCausalLM"}, family  # whole decoders, of encoder-decoders


class TwoHeads(BertPreTrainedModel):
    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.own = nn.Linear(config.hidden_size, 2)
        self.post_init()


@pytest.mark.parametrize("entry", entries())
def test_unknown_heads_are_refused(entry: str) -> None:
    model = TwoHeads(BertConfig(**shape_of("bert"))).eval()
    refused(entry, model, r"TwoHeads: a task head that is not supported, supported are Model, .*give model.base_model$")
    assert prunekit.describe(model.base_model).heads == 12


@pytest.mark.parametrize("entry", ["head_importance", "mask_gradients", "ablate_heads"])
@pytest.mark.parametrize("head", [AutoModelForQuestionAnswering, BertForMultipleChoice])
def test_what_needs_a_classifier_says_so(entry: str, head: Any) -> None:
    model = tiny("bert", head=head) if head is not BertForMultipleChoice else head(BertConfig(**shape_of("bert")))
    refused(
        entry,
        model,
        r"has no sequence-classification head|these targets need sequence classification, the model is"
        r"|no start_positions",
    )


def test_one_label_a_row_is_refused_by_a_classifier_of_tokens() -> None:
    """As many tokens as labels: losses over the wrong axis would have the right shape."""
    model = tiny("bert", head=AutoModelForTokenClassification)
    batch = batch_for(model, length=LABELS)
    for entry in (mask_gradients, prunekit.head_importance):
        with pytest.raises(UserError, match=r"batch 0 \(from 0\): labels are int64 \(4,\), they should be .* a token"):
            entry(model, [batch | {"labels": torch.zeros(4, dtype=torch.long)}])


def test_labels_by_token_are_refused_by_other_models() -> None:
    model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
    batch = batch_for(model, length=LABELS)
    answers = {name: torch.zeros(4, dtype=torch.long) for name in ("start_positions", "end_positions")}
    del batch["token_type_ids"]
    with pytest.raises(UserError, match=r"no start_positions"):
        mask_gradients(model, [batch | {"labels": torch.zeros(4, LABELS, dtype=torch.long)}])
    assert mask_gradients(model, [batch | answers]).heads.shape[0] == 4


class OwnLoss(BertForSequenceClassification):
    pass


def test_a_class_derived_from_a_known_one(tmp_path: Path) -> None:
    model = OwnLoss(BertConfig(**shape_of("bert"))).double().eval()
    masks = uneven_masks(model)
    with pytest.raises(
        UserError, match=r"masks.hidden: OwnLoss is a class of its own; hidden dimensions can go from Model"
    ):
        prunekit.prune(model, masks)
    masks.hidden = None
    with prunekit.gated(model, masks):
        expected = output(model, batch_for(model))
    torch.testing.assert_close(output(prunekit.prune(model, masks), batch_for(model)), expected, rtol=0, atol=1e-10)
    with pytest.raises(UserError, match="OwnLoss: a class of its own, which cannot be loaded again"):
        prunekit.save(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_of_an_unknown_head(tmp_path: Path) -> None:
    model = tiny("bert")
    prunekit.save(model, tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace("BertForSequenceClassification", "BertPreTrainedModel"))
    with pytest.raises(UserError, match=r"architectures names BertPreTrainedModel, a task head that is not supported"):
        prunekit.load(tmp_path)
