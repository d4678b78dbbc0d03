"""Classes, and numbers: one output vector a row, from the first token."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from prunekit.config.task import TaskConfig
from prunekit.data.batches import Batch
from prunekit.data.checked_rows import Rows, check_columns, checked_texts
from prunekit.data.kinds.base import TaskKind
from prunekit.data.losses import at_least_float32, task_loss
from prunekit.support.errors import UserError


class Classification(TaskKind):
    """One of several labels. Unlabelled rows (-1, as SNLI marks pairs without agreement) are left out."""

    name: ClassVar[str] = "classification"

    def checked(self, task: TaskConfig, split: str, table: Any, *, labelled: bool = True) -> Rows:
        where = f"{task.name} {split}"
        check_columns(where, [*task.columns, task.label] if labelled else task.columns, table)
        texts = checked_texts(where, task.columns, table)
        if not labelled:
            return Rows(task, split, texts, np.zeros(len(texts), dtype=np.int64), len(texts))
        labelled_texts, numbers = [], []
        for row, label in enumerate(list(table[task.label][:])):
            number = task.labels.index(label) if isinstance(label, str) and label in task.labels else label
            if isinstance(number, str) and number.lstrip("-").isdigit():
                number = int(number)
            if not isinstance(number, int) or not -1 <= number < len(task.labels):
                names = ", ".join(f"{i}={name}" for i, name in enumerate(task.labels))
                raise UserError(f"{where}, row {row}: label {label!r} is out of range, right would be {names}")
            if number >= 0:
                labelled_texts.append(texts[row])
                numbers.append(number)
        if not labelled_texts:
            raise UserError(f"{where}: no row has a label (all are -1), evaluate on another split")
        return Rows(task, split, labelled_texts, np.asarray(numbers, dtype=np.int64), len(labelled_texts))

    def owns(self, batch: Batch) -> bool:
        return "labels" in batch and batch["labels"].dim() == 1 and not batch["labels"].is_floating_point()

    def example_losses(self, output: Any, batch: Batch) -> Tensor:
        return task_loss(at_least_float32(output.logits), batch["labels"])

    def training_loss(self, output: Any, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        return task_loss(at_least_float32(output.logits), batch["labels"], label_smoothing).mean()

    def predicted_labels(self, output: Any, batch: Batch) -> Batch:
        return batch | {"labels": output.logits.argmax(-1).detach()}

    def output_names(self, task: TaskConfig) -> list[str]:
        return task.labels


class Regression(TaskKind):
    """A number; the loss is the squared error."""

    name: ClassVar[str] = "regression"

    def checked(self, task: TaskConfig, split: str, table: Any, *, labelled: bool = True) -> Rows:
        where = f"{task.name} {split}"
        check_columns(where, [*task.columns, task.label], table)
        texts = checked_texts(where, task.columns, table)
        values = [_number(label, where, row) for row, label in enumerate(list(table[task.label][:]))]
        return Rows(task, split, texts, np.asarray(values), len(texts))

    def owns(self, batch: Batch) -> bool:
        return "labels" in batch and batch["labels"].is_floating_point()

    def example_losses(self, output: Any, batch: Batch) -> Tensor:
        return task_loss(at_least_float32(output.logits), batch["labels"])

    def predicted_labels(self, output: Any, batch: Batch) -> Batch:
        """
        Raises:
            UserError: the squared error to the own prediction is always 0.
        """
        raise UserError(
            "labels=predicted: a regression model is never wrong about its own prediction, use labels=gold"
        )

    def output_names(self, task: TaskConfig) -> list[str]:
        return ["score"]


def _number(label: Any, where: str, row: int) -> float:
    try:
        value = float(label)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"{where}, row {row}: label {label!r} should be a finite number")
    return value
