"""Classes, and numbers: one output vector a row, from the first token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from prunekit.config.task import TaskConfig
from prunekit.data import metrics
from prunekit.data.batches import Batch, Examples
from prunekit.data.checked_rows import Rows, check_columns, checked_texts, notice
from prunekit.data.kinds.asked import ScoredAnswers
from prunekit.data.kinds.base import TaskKind
from prunekit.data.label_names import UNLABELLED, is_label, label_numbers
from prunekit.data.losses import at_least_float32, task_loss
from prunekit.data.metrics import METRICS
from prunekit.support.errors import RowError, UserError
from prunekit.support.statistics import accuracy_band, bootstrap_band


class Classification(TaskKind):
    """One of several labels. Unlabelled rows (-1, as SNLI marks pairs without agreement) are left out."""

    name: ClassVar[str] = "classification"

    def checked(self, task: TaskConfig, split: str, table: Any) -> Rows:
        where = f"{task.name} {split}"
        check_columns(task, where, table)
        texts = checked_texts(where, task.columns, table)
        source = getattr(getattr(table, "features", {}).get(task.label), "names", None) or ()
        numbers = np.asarray(label_numbers(task, where, table[task.label][:], source), dtype=np.int64)
        kept = np.flatnonzero(numbers != UNLABELLED)
        if len(kept) == 0:
            raise UserError(f"{where}: no row has a label (all are -1), evaluate on another split")
        if len(kept) < len(texts):
            notice(f"{where}: {len(texts) - len(kept)} of {len(texts)} rows have no label (-1) and are left out")
        numbers, texts = numbers[kept], [texts[row] for row in kept]
        missing = [name for number, name in enumerate(task.labels) if not (numbers == number).any()]
        if missing:
            names = " or ".join(map(repr, missing))
            notice(f"{where}: no row has the label {names}, are task.labels those of the data?")
        return Rows(task, split, texts, numbers, len(texts))

    def any_label(self, task: TaskConfig, column: Sequence[Any]) -> bool:
        return any(is_label(task, label) for label in column)

    def owns(self, batch: Batch) -> bool:
        return "labels" in batch and batch["labels"].dim() == 1 and not batch["labels"].is_floating_point()

    def example_losses(self, output: Any, batch: Batch) -> Tensor:
        return task_loss(at_least_float32(output.logits), batch["labels"])

    def training_loss(self, output: Any, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        return task_loss(at_least_float32(output.logits), batch["labels"], label_smoothing).mean()

    def predicted_labels(self, output: Any, batch: Batch) -> Batch:
        return batch | {"labels": output.logits.argmax(-1).detach()}

    def scores(self, task: TaskConfig, examples: Examples, answers: np.ndarray) -> ScoredAnswers:
        return _scores(task, answers, examples.labels, "class")

    def trivial_scores(self, task: TaskConfig, rows: Rows) -> dict[str, float]:
        """The same class for every row: accuracy of the majority, F1 of all positive, 0 by Matthews."""
        answers = [np.full_like(rows.labels, answer) for answer in range(len(task.labels))]
        return {name: max(METRICS[name].compute(answer, rows.labels) for answer in answers) for name in task.metrics}

    def output_names(self, task: TaskConfig) -> list[str]:
        return task.labels


class Regression(TaskKind):
    """A number; the loss is the squared error."""

    name: ClassVar[str] = "regression"

    def checked(self, task: TaskConfig, split: str, table: Any) -> Rows:
        where = f"{task.name} {split}"
        check_columns(task, where, table)
        texts = checked_texts(where, task.columns, table)
        values = [_number(label, where, row) for row, label in enumerate(list(table[task.label][:]))]
        if len(values) > 1 and len(set(values)) == 1:
            raise UserError(f"{where}: the label of every row is {values[0]}, evaluate on a split with different ones")
        return Rows(task, split, texts, np.asarray(values), len(texts))

    def any_label(self, task: TaskConfig, column: Sequence[Any]) -> bool:
        """One number for all rows says nothing."""
        if all(label is None or not str(label).strip() for label in column):
            return False
        values = {_value(label) for label in column}
        return len(column) == 1 or len(values) > 1 or not np.isfinite([*values]).all()

    def no_labels(self, texts: Sequence[tuple[str, ...]]) -> np.ndarray:
        return np.zeros(len(texts))

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

    def scores(self, task: TaskConfig, examples: Examples, answers: np.ndarray) -> ScoredAnswers:
        return _scores(task, answers, examples.labels, "score")

    def trivial_scores(self, task: TaskConfig, rows: Rows) -> dict[str, float]:
        """Any number: correlations with a constant are 0."""
        constant = np.full_like(rows.labels, rows.labels.mean())
        return {name: METRICS[name].compute(constant, rows.labels) for name in task.metrics}

    def output_names(self, task: TaskConfig) -> list[str]:
        return ["score"]


def _scores(task: TaskConfig, logits: np.ndarray, labels: np.ndarray, recorded: str) -> ScoredAnswers:
    """Of logits, (example, output), beside labels, (example,).

    Args:
        recorded: name of what is recorded of an answer.
    """
    values = metrics.evaluate(task.metrics, logits, labels, task.regression)
    predicted, metric = metrics.predictions(logits, task.regression), METRICS[task.metric]
    if metric.is_accuracy:
        correct = predicted == labels
        return ScoredAnswers(values, accuracy_band(correct), {recorded: predicted}, labels, correct.astype(float))
    return ScoredAnswers(values, bootstrap_band(metric.resampled, predicted, labels), {recorded: predicted}, labels)


def _number(label: Any, where: str, row: int) -> float:
    if label is None or not str(label).strip():
        raise RowError(where, row, "there is no label; leave the row out")
    value = _value(label)
    if not np.isfinite(value):
        raise RowError(where, row, f"label {label!r} should be a finite number; task.labels=[...] makes names classes")
    return value


def _value(label: Any) -> float:
    """NaN for what is no number."""
    try:
        return float("nan") if "_" in str(label) else float(label)  # Python reads 1_0 as 10
    except (TypeError, ValueError):
        return float("nan")
