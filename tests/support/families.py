"""Tiny random models of every family of encoders in the table, and inputs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prunekit.models.families.table import ENCODERS
from prunekit.models.pretrained import from_shape

COPIES = ("xlm-roberta", "camembert", "data2vec-text")
"""Families with the layers, embeddings and heads of RoBERTa under another name."""
FAMILY_NAMES: list[Any] = [pytest.param(name, marks=pytest.mark.slow) if name in COPIES else name for name in ENCODERS]
"""For tests of every family; those of copies, which one test holds to RoBERTa's numbers, are slow."""
ATTENTIONS = ("eager", "sdpa")
VOCABULARY, PAD, HIDDEN, HEADS, NEURONS, LAYERS, LABELS = 50, 1, 16, 4, 24, 3, 3

_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": NEURONS,
    "max_position_embeddings": 40,
    "num_labels": LABELS,
    "pad_token_id": PAD,
}
_OWN: dict[str, dict[str, Any]] = {
    "electra": {"embedding_size": 8},
    "distilbert": {"hidden_dim": NEURONS},
    "albert": {"embedding_size": 8, "num_hidden_layers": 4, "num_hidden_groups": 2},
}


def shape_of(family: str) -> dict[str, Any]:
    """Arguments of the family's configuration for a tiny model."""
    shape = {**_SHAPE, **_OWN.get(family, {})}
    if family == "distilbert":
        del shape["intermediate_size"]
    return shape


def tiny(
    family: str,
    attention: str = "sdpa",
    dtype: torch.dtype = torch.float64,
    head: Any = AutoModelForSequenceClassification,
    exactly: dict[str, Any] | None = None,
    **changes: Any,
) -> PreTrainedModel:
    """A random model in eval mode whose every parameter, biases and LayerNorms included, matters.

    Args:
        head: the automatic class of the task model, as ``AutoModelForQuestionAnswering``.
        exactly: arguments of the configuration, in place of all that this module gives.
    """
    config = CONFIG_MAPPING[family](**(exactly or {**shape_of(family), **changes}))
    model: Any = from_shape(head.from_config, config, attention)
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            centre = 1.0 if isinstance(module, nn.LayerNorm) and name == "weight" else 0.0
            parameter.data = centre + 0.3 * torch.randn(parameter.shape, generator=generator)
    return cast(PreTrainedModel, model.to(dtype).eval())


def base_of(model: PreTrainedModel) -> PreTrainedModel:
    """The model without its task head."""
    return cast(PreTrainedModel, model.base_model)


def batch_for(model: PreTrainedModel, rows: int = 4, length: int = 9, seed: int = 0) -> dict[str, Tensor]:
    """A padded batch, with token types where the family has them."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(PAD + 1, VOCABULARY, (rows, length), generator=generator)
    lengths = torch.randint(3, length + 1, (rows, 1), generator=generator)
    lengths[0] = length
    positions = torch.arange(length)
    mask = positions < lengths
    batch = {"input_ids": ids.where(mask, PAD), "attention_mask": mask.long()}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        batch["token_type_ids"] = (positions >= lengths // 2).long() * mask
    return batch


def labelled_batches(model: PreTrainedModel, sizes: tuple[int, ...] = (4, 1, 3)) -> list[dict[str, Tensor]]:
    """Batches with labels, or answers for a model that has two outputs a token."""
    generator = torch.Generator().manual_seed(2)
    batches, start = [], 0
    for seed, size in enumerate(sizes):
        batch = batch_for(model, rows=size, length=8 + seed, seed=seed)
        if type(model).__name__.endswith("ForQuestionAnswering"):
            for name in ("start_positions", "end_positions"):
                batch[name] = torch.randint(3, (size,), generator=generator)
        elif model.config.num_labels == 1:
            batch["labels"] = torch.randn(size, generator=generator)
        else:
            batch["labels"] = torch.randint(LABELS, (size,), generator=generator)
        batches.append(batch | {"index": torch.arange(start, start + size)})
        start += size
    return batches


def logits(model: PreTrainedModel, batch: dict[str, Tensor]) -> Tensor:
    """Logits ``(row, label)`` without autograd."""
    with torch.no_grad():
        return model(**batch).logits


def one_by_one(batches: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """Every row as a batch of its own, without padding."""
    rows = []
    for batch in batches:
        for row, length in enumerate(batch["attention_mask"].sum(1).tolist()):
            rows.append({n: v[row : row + 1, :length] if v.dim() == 2 else v[row : row + 1] for n, v in batch.items()})
    return rows


def assert_left_as_it_was(estimate: Callable[[PreTrainedModel, Callable[[int], None]], Any]) -> None:
    """An estimate from rows of batches of 4, 1 and 3 tells its progress and leaves nothing behind in the model.

    Args:
        estimate: takes a model and what to call with the number of rows done.
    """
    model = tiny("bert").train()
    model.get_parameter("classifier.bias").requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    done: list[int] = []
    estimate(model, done.append)
    assert done == [4, 1, 3]
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
