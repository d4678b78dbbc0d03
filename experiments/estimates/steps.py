"""A step or a batch of what verbs do, at a model's true shape: its seconds, and the most memory meanwhile.

Weights, tokens and answers are random. Inputs have the task's longest length and batches the size that the verbs give
them, so that real data, whose rows are shorter, takes less of both. Each is measured with one copy of the weights more
than the verb needs.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from experiments.estimates.random_inputs import random_examples
from prunekit.cofi.pruning import Cofi
from prunekit.cofi.recipe import Recipe
from prunekit.config.sections import EvaluationConfig, TrainConfig
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Batch, Examples, evaluation_batches, to_device
from prunekit.evaluation.evaluate import evaluate
from prunekit.forward.ablation import GROUP_TOKENS, ablate_heads
from prunekit.forward.translate import translate
from prunekit.heads.scores import head_importance
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.stages.calibration import calibration_batches
from prunekit.stages.refit.tuning import tune
from prunekit.stages.score.gradients import mask_gradients
from prunekit.support.timing import peak_memory
from prunekit.training.finetuning import train, training_attention
from prunekit.training.loop import Context, StageRun

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH = 32
"""Rows of a batch of importance, of gradients and of mask tuning, as the verbs have them."""
Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """What is measured."""

    model: PreTrainedModel
    """On the device; its weights stay as they are."""
    task: TaskConfig
    train: TrainConfig
    evaluation: EvaluationConfig
    precision: str = "float32"
    """Of evaluation."""
    student: Recipe | None = None
    """How CoFi trains one; None where it does not."""
    seed: int = 0

    @property
    def device(self) -> torch.device:
        return self.model.device

    def examples(self, rows: int) -> Examples:
        return random_examples(self.model, self.task, rows, self.seed)

    def batches(self, rows: int) -> list[Batch]:
        """One batch of so many rows."""
        return [to_device(batch, self.device) for batch in evaluation_batches(self.examples(rows), rows)]


@dataclass(frozen=True)
class Measured:
    """What one step or one row takes."""

    seconds: float
    megabytes: float
    """The most in use meanwhile, of the process or its GPU."""


def measured(name: str, subject: MeasuredModel) -> Measured:
    """One call of a step of :data:`STEPS`. On a GPU one goes ahead that is not counted: it loads and chooses kernels.
    """
    call, units = STEPS[name](subject)
    if subject.device.type == "cuda":
        call()
        call, units = STEPS[name](subject)
    begun = time.perf_counter()
    peak = peak_memory(call, subject.device) / 1e6
    return Measured((time.perf_counter() - begun) / units, peak)


def _training(subject: MeasuredModel) -> tuple[Call, int]:
    model, device = copy.deepcopy(subject.model), subject.device
    recipe = dataclasses.replace(subject.train, epochs=1, keep="last", snapshots=[])
    examples = subject.examples(recipe.batch_size)

    def call() -> None:
        with training_attention(model, device, recipe):
            train(model, recipe, Context(examples=examples, device=device))

    return call, 1


def _evaluation(subject: MeasuredModel) -> tuple[Call, int]:
    how: dict[str, Any] = {"device": subject.device, "batch_size": subject.evaluation.batch_size}
    rows = subject.evaluation.batch_size
    examples: Any = subject.examples(rows)
    if subject.task.translation:
        beams = subject.evaluation.beams
        return lambda: translate(subject.model, examples, beams=beams, precision=subject.precision, **how), rows
    return lambda: evaluate(subject.task, subject.model, examples, precision=subject.precision, **how), rows


def _importance(subject: MeasuredModel) -> tuple[Call, int]:
    batches = subject.batches(BATCH)
    return lambda: head_importance(subject.model, batches), BATCH


def _ablation(subject: MeasuredModel) -> tuple[Call, int]:
    """Every head off and every head alone, of as many rows as are replayed together."""
    heads = max(shape.heads for shape in describe(subject.model).attention)
    rows = max(1, GROUP_TOKENS[subject.device.type] // heads // subject.task.max_length)
    batches = subject.batches(rows)
    return lambda: ablate_heads(subject.model, batches), rows


def _gradients(subject: MeasuredModel) -> tuple[Call, int]:
    first = calibration_batches(subject.examples(BATCH))[0]
    batches = [to_device(first, subject.device)]
    return lambda: mask_gradients(subject.model, batches), len(first["input_ids"])


def _tuning(subject: MeasuredModel) -> tuple[Call, int]:
    masks, batches = Masks.ones(describe(subject.model)), subject.batches(BATCH)
    masks.neurons[:, ::2] = False
    return lambda: tune(subject.model, masks, batches), BATCH


def _cofi(subject: MeasuredModel) -> tuple[Call, int]:
    """Of pruning, before anything is off, with a teacher that answers every batch anew: none takes longer."""
    if subject.student is None:
        raise ValueError("there is no student whose steps could be measured")
    how = dataclasses.replace(subject.student.student, teacher_gigabytes=0.0)
    student, device = copy.deepcopy(subject.model), subject.device
    examples = subject.examples(how.batch_size)
    recipe = dataclasses.replace(subject.student, student=how)
    context = Context(examples=examples, device=device)
    cofi = Cofi(subject.model, student, recipe, lambda model: 0.0, context)
    stage = StageRun(cofi.pruning_stage(0), context)

    def call() -> None:
        with training_attention(student, device, subject.train):
            stage.step(np.arange(len(examples)))

    return call, 1


STEPS: dict[str, Callable[[MeasuredModel], tuple[Call, int]]] = {
    "step of training": _training, "row of evaluation": _evaluation, "row of importance": _importance,
    "row of ablation": _ablation, "row of gradients": _gradients, "row of tuning": _tuning, "step of CoFi": _cofi,
}  # fmt: skip
"""By name: made ready, and how many steps or rows one call is."""
