"""The loss of each example, for every kind of task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prunekit.support.errors import UserError

NO_TOKEN = -100
"""Label where a target has no token."""


def task_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Loss of each example, (batch,): cross-entropy, or squared error where labels are real numbers."""
    if labels.is_floating_point():
        return (logits.squeeze(-1) - labels.to(logits.dtype)) ** 2
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)


def example_losses(output: Any, batch: dict[str, Tensor]) -> Tensor:
    """Loss of each example of a batch, (batch,), from the model's output: of a classifier or regression by
    ``labels``; of extractive question answering the mean over the first and the last token of the answer, by
    ``start_positions`` and ``end_positions``."""
    if "start_positions" in batch:
        start = task_loss(_at_least_float32(output.start_logits), batch["start_positions"])
        return (start + task_loss(_at_least_float32(output.end_logits), batch["end_positions"])) / 2
    return task_loss(_at_least_float32(output.logits), batch["labels"])


def training_loss(output: Any, batch: dict[str, Tensor], label_smoothing: float = 0.0) -> Tensor:
    """What a step of training minimises: the mean over examples, in translation over the targets' tokens.

    Args:
        label_smoothing: share of the probability that is spread evenly (Szegedy et al. 2016); regression and questions
            have none.
    """
    if "start_positions" in batch:
        return example_losses(output, batch).mean()
    logits, labels = _at_least_float32(output.logits), batch["labels"]
    if labels.dim() == 2:
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=NO_TOKEN, label_smoothing=label_smoothing
        )
    return task_loss(logits, labels, label_smoothing).mean()


def target_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p(target | source) of each example, (batch,), the sum over the target's tokens; not label-smoothed.

    Args:
        logits: (batch, token, word).
        labels: (batch, token), -100 where there is no token.
    """
    words = _at_least_float32(logits).transpose(1, 2)
    return torch.nn.functional.cross_entropy(words, labels, reduction="none", ignore_index=NO_TOKEN).sum(1)


def predicted_labels(output: Any, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The batch with the model's own most likely labels in place of the annotated ones.

    Raises:
        UserError: regression, where the squared error to the own prediction is always 0.
    """
    if "start_positions" in batch:
        start, end = output.start_logits.argmax(-1), output.end_logits.argmax(-1)
        return batch | {"start_positions": start.detach(), "end_positions": end.detach()}
    if batch["labels"].is_floating_point():
        raise UserError("labels=predicted: a regression model is never wrong about its own prediction, use labels=gold")
    return batch | {"labels": output.logits.argmax(-1).detach()}


def _at_least_float32(logits: Tensor) -> Tensor:
    """Losses are not taken in bfloat16."""
    return logits if logits.dtype == torch.float64 else logits.float()
