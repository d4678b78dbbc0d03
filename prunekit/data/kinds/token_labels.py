"""A label for every token of some text, (batch, token), -100 where there is none: what translation and tags share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prunekit.data.batches import Batch
from prunekit.data.kinds.base import TaskKind
from prunekit.data.losses import NO_TOKEN, at_least_float32, target_losses


class TokenLabels(TaskKind):
    """The loss of an example is the sum over its labels: -log p of all of them."""

    by_token = True

    def owns(self, batch: Batch) -> bool:
        return "labels" in batch and batch["labels"].dim() == 2

    def example_losses(self, output: Any, batch: Batch) -> Tensor:
        """The sum over the tokens that have a label."""
        return target_losses(output.logits, batch["labels"])

    def training_loss(self, output: Any, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """The mean over the tokens that have a label."""
        logits = at_least_float32(output.logits)
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=NO_TOKEN, label_smoothing=label_smoothing
        )

    def mean_loss(self, output: Any, batch: Batch) -> Tensor:
        return self.training_loss(output, batch)
