"""Tiny problems for every method of the registry, and what they give."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prunekit.data.batches import Batch
from prunekit.methods.common.compression import compressions
from prunekit.methods.common.method import Compression
from prunekit.methods.common.registry import method_class
from prunekit.models.masks import Masks
from tests.support.families import LABELS, batch_for

LENGTH = 9
SHARED = ("albert",)
"""Families whose layers serve several depths: no stage that fits a layer to one depth's outputs is for them."""


def rows_for(model: Any, labelled: bool) -> list[Batch]:
    """Ten rows in two batches, padded; without labels where a method needs none."""
    batches = [batch_for(model, rows, LENGTH, seed=seed) for seed, rows in ((0, 6), (1, 4))]
    if labelled:
        for number, batch in enumerate(batches):
            batch["labels"] = torch.arange(len(batch["input_ids"])) * (number + 1) % LABELS
    return batches


def outcome(name: str, model: Any, constraint: float = 0.5, **how: Any) -> Compression:
    """The result of a method by its own stages, or without fitting where layers are shared."""
    if model.config.model_type in SHARED and "none" in method_class(name).refits:
        how.setdefault("refit", "none")
    batches = rows_for(model, method_class(name).labels)
    return compressions(model, batches, name, constraint, length=LENGTH, **how)[-1]


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        result: Tensor = model(**batch_for(model, 3, 7, seed=5)).logits
    return result


def same(one: Masks, other: Masks) -> bool:
    return torch.equal(one.heads["self"], other.heads["self"]) and torch.equal(one.neurons, other.neurons)
