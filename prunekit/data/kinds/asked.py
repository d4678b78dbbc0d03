"""How a kind of task asks a model, and what it says of the answers: the rest is the same for all kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from prunekit.data.batches import Batch
from prunekit.support.statistics import Band

Read = Callable[[Any, Batch], Sequence[Tensor]]
"""From a model's output and the batch that it is of what is kept, (batch, ...) each."""


class Asked(Protocol):
    """A model that is asked a set of examples."""

    def outputs(self, read: Read) -> list[Tensor]:
        """What ``read`` takes of the model's outputs, (example, ...) each, in the order of the data, on the CPU; with
        zeros at the end of the second axis where batches differ in it."""

    def texts(self) -> list[str]:
        """What an encoder-decoder generates, a text an example."""


@dataclass(frozen=True)
class ScoredAnswers:
    """Of a model's answers to a set of rows."""

    metrics: dict[str, float]
    """The task's, by name."""
    band: Band
    """95 % of the task's first metric over the rows: Wilson's for accuracy, else bootstrap."""
    given: Mapping[str, np.ndarray]
    """What is recorded of the answers, (row, ...) by name, as :mod:`prunekit.config.task_kinds` has them."""
    gold: np.ndarray | None = None
    """Classes or numbers, (row,), where the answers alone do not say how good they are."""
    per_row: np.ndarray | None = None
    """What the first metric is the mean of, (row,) in [0, 1]; None where it is no mean over rows."""
