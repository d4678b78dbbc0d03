"""Predictions and scores of a classifier over batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from prunekit.config import TaskConfig
from prunekit.tasks import metrics
from prunekit.tasks.batches import Batch, iterate, model_inputs
from prunekit.training import autocast


def predict(
    model: torch.nn.Module,
    batches: Sequence[Batch],
    *,
    device: torch.device,
    precision: str = "float32",
    on_rows: Callable[[int], None] = lambda rows: None,
) -> np.ndarray:
    """Logits of all examples in the order of the data: (example, label), float32."""
    model.eval()
    logits, index = [], []
    with torch.inference_mode(), autocast(device, precision):
        for batch in iterate(batches, device):
            logits.append(model(**model_inputs(batch)).logits.float())
            index.append(batch["index"])
            on_rows(len(batch["index"]))
    places = torch.cat(index).cpu()
    ordered = torch.empty(len(places), logits[0].shape[-1])
    ordered[places] = torch.cat(logits).cpu()
    return ordered.numpy()


def score(task: TaskConfig, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The task's metrics by name."""
    return metrics.evaluate(task.metrics, logits, labels, task.regression)


def model_record(model: Any, name: str, path: str | None, weights: str) -> dict[str, Any]:
    """How the run record names a model."""
    from prunekit.blocks import describe

    layout = describe(model)
    return {
        "name": name, "path": path, "weights": weights, "family": model.config.model_type,
        "parameters": sum(p.numel() for p in model.parameters()),
        "layers": len(layout.attention), "heads": sum(block.heads for block in layout.attention),
    }  # fmt: skip
