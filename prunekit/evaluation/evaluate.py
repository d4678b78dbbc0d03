"""What a model answers over batches, and how good that is, for every kind of task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from prunekit.config.task import TaskConfig
from prunekit.data import metrics
from prunekit.data.batches import Batch, Examples, evaluation_batches, iterate, model_inputs
from prunekit.data.kinds import kind_of
from prunekit.data.kinds.asked import Read
from prunekit.data.kinds.translation import Pairs
from prunekit.evaluation.row_answers import RowAnswers, of_model
from prunekit.forward.checked_batches import checked_batches
from prunekit.forward.translate import texts, translate
from prunekit.models.blocks import describe
from prunekit.support.devices import autocast
from prunekit.support.fingerprints import weights_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Scored:
    """A model's scores on a set of rows."""

    metrics: dict[str, float]
    """The task's metrics by name."""
    low: float
    """Low end of the 95 % band of the task's first metric over the rows: Wilson's for accuracy, else bootstrap."""
    high: float
    """High end of that band."""
    per_row: np.ndarray | None
    """What the first metric is the mean of, (row,) in [0, 1]; None where it is no mean over rows."""


@dataclass(frozen=True)
class Evaluated(Scored):
    """A model's scores and answers."""

    answers: RowAnswers
    """Of this one model, from which the metrics can be computed again."""


def evaluate(
    task: TaskConfig,
    model: PreTrainedModel,
    examples: Examples,
    *,
    device: torch.device,
    batch_size: int = 64,
    beams: int = 5,
    precision: str = "float32",
    on_rows: Advance = lambda rows: None,
) -> Evaluated:
    """Score a model on a set of encoded rows.

    Args:
        examples: as :func:`prunekit.data.kinds.encode` returns them.
        beams: of translation.
        on_rows: called with the number of examples (of questions: windows) done since the last call.

    Raises:
        UserError: there are no examples, or outputs are not finite.
    """
    asked = _Asked(model, examples, device, batch_size, beams, precision, on_rows)
    return evaluated(task, examples, kind_of(task).answers(task, examples, asked))


def evaluated(task: TaskConfig, examples: Examples, answers: Any) -> Evaluated:
    """Score what a model answered.

    Args:
        answers: as :meth:`prunekit.data.kinds.base.TaskKind.answers` of the task's kind returns them.
    """
    own = kind_of(task).scores(task, examples, answers)
    given = of_model(task.kind, examples.rows.fingerprint(), own.gold, own.given)
    return Evaluated(own.metrics, float(own.band.low), float(own.band.high), own.per_row, given)


@dataclass(frozen=True)
class _Asked:
    """A model that is asked examples, for :class:`prunekit.data.kinds.asked.Asked`."""

    model: PreTrainedModel
    examples: Examples
    device: torch.device
    batch_size: int
    beams: int
    precision: str
    on_rows: Advance

    def outputs(self, read: Read) -> list[Tensor]:
        return outputs_in_order(
            self.model, evaluation_batches(self.examples, self.batch_size), read, device=self.device,
            precision=self.precision, on_rows=self.on_rows,
        )  # fmt: skip

    def texts(self) -> list[str]:
        assert isinstance(self.examples, Pairs)
        return texts(self.examples, translate(
            self.model, self.examples, device=self.device, beams=self.beams, batch_size=self.batch_size,
            precision=self.precision, on_rows=self.on_rows,
        ))  # fmt: skip


def outputs_in_order(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    read: Read,
    *,
    device: torch.device,
    precision: str = "float32",
    on_rows: Advance = lambda rows: None,
) -> list[Tensor]:
    """What ``read`` takes from the model's outputs, (example, ...) each, in the order of the data, on the CPU."""
    model.eval()
    parts, index = [], []
    with torch.inference_mode(), autocast(device, precision):
        for batch in iterate(checked_batches(model, batches, targets=False), device):
            parts.append(read(model(**model_inputs(batch)), batch))
            index.append(batch["index"])
            on_rows(len(batch["index"]))
    order = torch.cat(index).cpu().argsort()
    return [_joined(part).cpu()[order] for part in zip(*parts, strict=True)]


def _joined(parts: tuple[Tensor, ...]) -> Tensor:
    """One after the other, with zeros at the end of the second axis where they differ in it."""
    if parts[0].dim() == 1:
        return torch.cat(parts)
    widest = max(part.shape[1] for part in parts)
    behind = [0, 0] * (parts[0].dim() - 2)
    return torch.cat([torch.nn.functional.pad(part, [*behind, 0, widest - part.shape[1]]) for part in parts])


def score(task: TaskConfig, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The metrics of a task with one output a row, by name."""
    return metrics.evaluate(task.metrics, logits, labels, task.regression)


def model_record(model: PreTrainedModel, name: str, path: str | None, weights: str) -> dict[str, Any]:
    """How the run record names a model."""
    layout = describe(model)
    return {
        "name": name, "path": path, "weights": weights, "family": model.config.model_type,
        "parameters": sum(p.numel() for p in model.parameters()),
        "layers": len(layout.ffn), "heads": sum(block.heads for block in layout.attention),
        "fingerprint": weights_fingerprint(model),
    }  # fmt: skip
