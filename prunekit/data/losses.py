"""The losses that kinds of task are made of, example by example."""

from __future__ import annotations

import torch
from torch import Tensor

NO_TOKEN = -100
"""Label where a target has no token."""


def task_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Loss of each example, (batch,): cross-entropy, or squared error where labels are real numbers."""
    if labels.is_floating_point():
        return (logits.squeeze(-1) - labels.to(logits.dtype)) ** 2
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)


def target_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p(target | source) of each example, (batch,), the sum over the target's tokens; not label-smoothed.

    Args:
        logits: (batch, token, word).
        labels: (batch, token), -100 where there is no token.
    """
    words = at_least_float32(logits).transpose(1, 2)
    return torch.nn.functional.cross_entropy(words, labels, reduction="none", ignore_index=NO_TOKEN).sum(1)


def label_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Loss of each example, (batch,), by one label of it or by labels of its tokens, (batch, token)."""
    return target_losses(logits, labels) if labels.dim() == 2 else task_loss(logits, labels)


def at_least_float32(logits: Tensor) -> Tensor:
    """Losses are not taken in bfloat16."""
    return logits if logits.dtype == torch.float64 else logits.float()
