"""Gradients that are not for the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def frozen_for_evaluation(model: PreTrainedModel) -> Iterator[None]:
    """Autograd without dropout and without gradients for weights; both as they were afterwards."""
    training = model.training
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(training)
        for parameter in trainable:
            parameter.requires_grad_(True)
