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
from prunekit.data.answers import Spans, answer_places, best_spans, question_scores, resampled_mean, texts_at
from prunekit.data.batches import Batch, Examples, evaluation_batches, iterate, model_inputs
from prunekit.data.bleu import bleu_band, sentence_counts, translation_scores
from prunekit.data.kinds.questions import Windows
from prunekit.data.kinds.tags import Sentences
from prunekit.data.kinds.translation import Pairs
from prunekit.data.tags.entities import Numbers, tag_band, tag_counts, tag_scores
from prunekit.evaluation.row_answers import RowAnswers, of_labels, of_sentences, of_spans
from prunekit.forward.checked_batches import checked_batches
from prunekit.forward.translate import texts, translate
from prunekit.models.blocks import describe
from prunekit.support.devices import autocast
from prunekit.support.fingerprints import weights_fingerprint
from prunekit.support.finite import require_finite
from prunekit.support.statistics import Band, accuracy_band, bootstrap_band

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Advance = Callable[[int], None]
Read = Callable[[Any, Batch], Sequence[Tensor]]


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


@dataclass(frozen=True)
class Request:
    """How a model is evaluated."""

    device: torch.device
    batch_size: int
    beams: int
    """Of translation."""
    precision: str
    on_rows: Advance


Evaluation = Callable[[TaskConfig, "PreTrainedModel", Examples, Request], Evaluated]


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
        UserError: there are no examples.
    """
    how = Request(device, batch_size, beams, precision, on_rows)
    return EVALUATIONS[task.kind](task, model, examples, how)


def _of_rows(task: TaskConfig, model: PreTrainedModel, examples: Examples, how: Request) -> Evaluated:
    """Of classification and regression."""
    batches = evaluation_batches(examples, how.batch_size)
    logits = predict(model, batches, device=how.device, precision=how.precision, on_rows=how.on_rows)
    return evaluated_logits(task, logits, examples.labels, examples.rows.fingerprint())


def evaluated_logits(task: TaskConfig, logits: np.ndarray, labels: np.ndarray, rows: str) -> Evaluated:
    """Of classification and regression, from what a model answered.

    Args:
        logits: (example, label). labels: (example,).
        rows: their fingerprint.
    """
    values = score(task, logits, labels)
    predicted, metric = metrics.predictions(logits, task.regression), metrics.METRICS[task.metric]
    given = of_labels(task.kind, rows, labels, predicted)
    if metric.is_accuracy:
        correct = predicted == labels
        return _banded(values, accuracy_band(correct), correct.astype(float), given)
    return _banded(values, bootstrap_band(metric.resampled, predicted, labels), None, given)


def _of_questions(task: TaskConfig, model: PreTrainedModel, examples: Examples, how: Request) -> Evaluated:
    assert isinstance(examples, Windows)
    batches = evaluation_batches(examples, how.batch_size)
    spans = _best_spans(task, model, examples, batches, how.device, how.precision, how.on_rows)
    places = answer_places(examples, spans)
    scores = question_scores(examples.rows, texts_at(examples.rows, places))
    per_row = scores[task.metric]
    means = {name: float(scores[name].mean()) for name in task.metrics}
    given = of_spans(examples.rows.fingerprint(), places, scores)
    return _banded(means, bootstrap_band(resampled_mean, per_row, per_row), per_row, given)


def _of_translation(task: TaskConfig, model: PreTrainedModel, examples: Examples, how: Request) -> Evaluated:
    assert isinstance(examples, Pairs)
    hypotheses = texts(examples, translate(
        model, examples, device=how.device, beams=how.beams, batch_size=how.batch_size, precision=how.precision,
        on_rows=how.on_rows,
    ))  # fmt: skip
    return evaluated_texts(task, hypotheses, examples.labels.tolist(), examples.rows.fingerprint())


def evaluated_texts(
    task: TaskConfig, hypotheses: Sequence[str], references: Sequence[str], rows: str
) -> Evaluated:
    """Of translation, from what a model answered, sentence by sentence.

    Args:
        rows: their fingerprint.
    """
    values = translation_scores(hypotheses, references, task.metrics)
    counts = {name: sentence_counts(name, hypotheses, references) for name in task.metrics}
    given = of_sentences(rows, [counts])
    return _banded(values, bleu_band(task.metric, hypotheses, references), None, given)


def _of_tags(task: TaskConfig, model: PreTrainedModel, examples: Examples, how: Request) -> Evaluated:
    assert isinstance(examples, Sentences)
    batches = evaluation_batches(examples, how.batch_size)
    widest = max(batch["input_ids"].shape[1] for batch in batches)

    def read(output: Any, batch: Batch) -> Sequence[Tensor]:
        logits, tokens = output.logits.float(), batch["attention_mask"].bool()
        padding = widest - logits.shape[1]
        sums = logits.sum(-1).masked_fill(~tokens, 0).sum(1)
        return [torch.nn.functional.pad(logits.argmax(-1), (0, padding)), sums]

    predicted, sums = _in_order(model, batches, read, how.device, how.precision, how.on_rows)
    require_finite(sums.numpy())
    return evaluated_tags(task, examples, examples.given(predicted.numpy()))


def evaluated_tags(task: TaskConfig, examples: Examples, given: Numbers) -> Evaluated:
    """Of tags, from what a model answered.

    Args:
        given: the number of every word's tag, by sentence, as :meth:`prunekit.data.kinds.tags.Sentences.given` has it.
    """
    counts = {name: tag_counts(name, task.labels, examples.labels, given) for name in task.metrics}
    own = of_sentences(examples.rows.fingerprint(), [counts], task.kind)
    return _banded(tag_scores(counts), tag_band(task.metric, counts[task.metric]), None, own)


EVALUATIONS: dict[str, Evaluation] = {
    "classification": _of_rows, "regression": _of_rows, "questions": _of_questions, "tags": _of_tags,
    "translation": _of_translation,
}  # fmt: skip
"""By kind of task."""


def _banded(values: dict[str, float], band: Band, per_row: np.ndarray | None, answers: RowAnswers) -> Evaluated:
    return Evaluated(values, float(band.low), float(band.high), per_row, answers)


def predict(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    device: torch.device,
    precision: str = "float32",
    on_rows: Advance = lambda rows: None,
) -> np.ndarray:
    """Logits of all examples in the order of the data: (example, label), float32."""
    logits = _in_order(model, batches, lambda output, _: [output.logits.float()], device, precision, on_rows)[0].numpy()
    require_finite(logits)
    return logits


def _best_spans(
    task: TaskConfig,
    model: PreTrainedModel,
    examples: Windows,
    batches: Sequence[Batch],
    device: torch.device,
    precision: str,
    on_rows: Advance,
) -> Spans:
    """The best span of every window, in their order."""
    first = torch.from_numpy(examples.first).to(device)
    after = first + torch.tensor([len(places) for places in examples.offsets], device=device)

    def read(output: Any, batch: Batch) -> Sequence[Tensor]:
        place = torch.arange(output.start_logits.shape[1], device=device)
        window = batch["index"][:, None]
        context = (place >= first[window]) & (place < after[window])
        found = best_spans(output.start_logits.float(), output.end_logits.float(), context, task.answer_length)
        sums = (output.start_logits.float() + output.end_logits.float()).masked_fill(batch["attention_mask"] == 0, 0)
        return [found.score, found.start, found.end, found.nothing, sums.sum(1)]

    *found, sums = _in_order(model, batches, read, device, precision, on_rows)
    require_finite(sums.numpy(), examples.row_of)
    return Spans(*found)


def _in_order(
    model: PreTrainedModel, batches: Sequence[Batch], read: Read, device: torch.device, precision: str, on_rows: Advance
) -> list[Tensor]:
    """What ``read`` takes from the model's outputs, (batch, ...) each, for all examples in the order of the data."""
    model.eval()
    parts, index = [], []
    with torch.inference_mode(), autocast(device, precision):
        for batch in iterate(checked_batches(model, batches, targets=False), device):
            parts.append(read(model(**model_inputs(batch)), batch))
            index.append(batch["index"])
            on_rows(len(batch["index"]))
    order = torch.cat(index).cpu().argsort()
    return [torch.cat(part).cpu()[order] for part in zip(*parts, strict=True)]


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
