"""What the verbs take at a model's true shape: seconds and memory of measured steps, on random weights and inputs.

Nothing is downloaded and nothing is scored. Inputs have the task's longest length, so real data, whose rows are
shorter, take less. From what one step or one row takes follow the seconds of one run of some verbs with the settings
that they have at this scale; a teacher comes on top of each once. ``not_estimated`` names the other verbs.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from experiments.benchmarks.cofi_step import FastLoss, Variant, gates_at
from experiments.benchmarks.finetune import own_training
from experiments.benchmarks.paired import BenchmarkCase, Results, Row
from experiments.benchmarks.trainee import Trainee
from experiments.cli.composition import CONF
from experiments.reproduce import settings_of
from prunekit.cofi.distillation import DistillationObjective
from prunekit.cofi.recipe import Recipe, StudentConfig
from prunekit.cofi.sparsity import PrunableSize
from prunekit.config.sections import Experiment
from prunekit.data.batches import Batch, Examples, evaluation_batches, to_device
from prunekit.data.checked_rows import Rows
from prunekit.evaluation.evaluate import evaluate
from prunekit.forward.ablation import ablate_heads
from prunekit.heads.scores import head_importance
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.runs.schema.verbs import VERBS
from prunekit.stages.refit.tuning import tune
from prunekit.stages.score.gradients import mask_gradients
from prunekit.support.devices import autocast
from prunekit.support.timing import peak_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EVALUATION_ROWS = 9815
"""Of a split that is evaluated whole: MNLI-m."""
ROWS = {"evaluation": 64, "importance": 16, "ablation": 2, "gradients": 16, "tuning": 16}
"""That are measured."""


def compare(case: BenchmarkCase) -> Results:
    """No comparisons: measured steps are a table of their own."""
    config: Any = case.run.config
    student = student_of(config)
    calls = steps_of(case.model, config, student, case.device, case.batch_size, case.seed)
    seconds: dict[str, float] = {}
    metrics: dict[str, Any] = {}
    rows: list[Row] = []
    with case.run.stage("benchmark", len(calls) * case.repeats) as advance:
        for name, (call, units) in calls.items():
            for repeat in range(case.repeats):
                begun = time.perf_counter()
                peak = peak_memory(call, case.device) / 1e6
                taken = (time.perf_counter() - begun) / units
                rows.append({"step": name, "repeat": repeat, "seconds": taken, "peak_megabytes": peak})
                advance(1)
            own = [row for row in rows if row["step"] == name]
            seconds[name] = metrics[f"seconds_one {name}"] = float(np.median([row["seconds"] for row in own]))
            metrics[f"peak_megabytes_{name}"] = max(row["peak_megabytes"] for row in own)
    case.run.table("steps", rows)
    found = totals(seconds, config, student, training_rows(config, case.size))
    metrics |= {f"seconds_of {verb}": value for verb, value in found.items()}
    return [], metrics | {"not_estimated": ", ".join(sorted(set(VERBS) - {*found, "benchmark"}))}


def student_of(config: Experiment) -> StudentConfig:
    """How ``prune_cofi`` trains a student at the same scale, of the same model and task."""
    chosen = {"scale": config.scale.name, "model": config.model.name, "task": config.task.name}
    there = [f"{group}={name}" for group, name in chosen.items() if (CONF / group / f"{name}.yaml").exists()]
    student: StudentConfig = settings_of("prune_cofi", there).student
    return student


def training_rows(config: Experiment, size: int) -> int:
    """That a teacher is trained on: as its recipe says, all of generated data, or ``size``."""
    return config.train.examples or (config.task.train_rows if config.task.source == "demo" else size)


def random_examples(model: PreTrainedModel, config: Experiment, rows: int, seed: int) -> Examples:
    """Random token ids of the longest length, and random labels."""
    generator = np.random.default_rng(seed)
    length, words = config.task.max_length, int(model.config.vocab_size)
    labels = generator.integers(0, max(1, len(config.task.labels)), rows)
    ids = generator.integers(5, words, (rows, length)).tolist()
    types = [[0] * length for _ in ids] if getattr(model.config, "type_vocab_size", 0) > 1 else None
    texts: list[tuple[str, ...]] = [("random", str(row)) for row in range(rows)]
    return Examples(Rows(config.task, "train", texts, labels, rows), ids, types, int(model.config.pad_token_id or 0))


def steps_of(
    model: PreTrainedModel,
    config: Experiment,
    recipe: StudentConfig,
    device: torch.device,
    batch_size: int,
    seed: int,
) -> dict[str, tuple[Callable[[], Any], int]]:
    """By name, what is measured, and how many steps or rows it is.

    Args:
        recipe: of a student of CoFi, whose teacher is asked at every step.
    """
    train = dataclasses.replace(config.train, epochs=1, keep="last", snapshots=[])
    batches: dict[str, list[Batch]] = {}
    examples: dict[str, Examples] = {}
    for name, rows in ROWS.items():
        examples[name] = random_examples(model, config, rows, seed)
        batches[name] = [to_device(batch, device) for batch in evaluation_batches(examples[name], batch_size)]
    training = random_examples(model, config, train.batch_size, seed)
    distilled = random_examples(model, config, recipe.batch_size, seed)
    masks = Masks.ones(describe(model))
    masks.neurons[:, ::2] = False
    student = copy.deepcopy(model)
    own = dataclasses.replace(recipe, teacher_gigabytes=0.0)
    objective = DistillationObjective(model, student, Recipe(sparsity=0.95, student=own), distilled, device)
    loss = FastLoss(objective, PrunableSize.of(model))

    def student_loss(trainee: Trainee, batch: Batch, step: int) -> Tensor:
        with autocast(device, recipe.precision):
            return loss(trainee, batch, step)

    variant = Variant(
        student=student, layers=objective.layers.to(model.dtype), loss=student_loss, gates=gates_at(model, 0.0, seed),
    )  # fmt: skip
    variant.begin(seed)
    student_batch = [to_device(distilled.batch(range(len(distilled))), device)]
    return {
        "step of training": (lambda: own_training(copy.deepcopy(model), train, training, device), 1),
        "row of evaluation": (
            lambda: evaluate(config.task, model, examples["evaluation"], device=device, batch_size=batch_size),
            ROWS["evaluation"],
        ),
        "row of importance": (lambda: head_importance(model, batches["importance"]), ROWS["importance"]),
        "row of ablation": (lambda: ablate_heads(model, batches["ablation"]), ROWS["ablation"]),
        "row of gradients": (lambda: mask_gradients(model, batches["gradients"]), ROWS["gradients"]),
        "row of tuning": (lambda: tune(model, masks, batches["tuning"]), ROWS["tuning"]),
        "step of CoFi": (lambda: variant.steps(student_batch), 1),
    }  # fmt: skip


def totals(
    seconds: dict[str, float], config: Experiment, student: StudentConfig, rows: int
) -> dict[str, float]:
    """Seconds of one run of each verb, by its name, without its teacher.

    Args:
        seconds: of one step or row.
        student: how one is trained, some of the rows being held out from it.
        rows: that a teacher is trained on.
    """
    scale, train = config.scale, config.train
    evaluation = (scale.evaluation_examples or EVALUATION_ROWS) * seconds["row of evaluation"]
    points = round(1 / scale.grid) + 1
    steps = math.ceil(rows / train.batch_size)
    distilled = max(1, rows - student.held_out) if student.select_on == "train_slice" else rows
    return {
        "finetune": train.epochs * steps * seconds["step of training"]
        + (train.evaluation_examples or EVALUATION_ROWS) * seconds["row of evaluation"],
        "prune_heads": points * evaluation
        + (scale.importance_examples or rows) * seconds["row of importance"],
        "ablate_heads": (scale.evaluation_examples or EVALUATION_ROWS) * seconds["row of ablation"],
        "prune_fisher": scale.calibration_examples * (seconds["row of gradients"] + seconds["row of tuning"])
        + 2 * evaluation,
        "prune_cofi": student.steps(distilled, student.epochs) * seconds["step of CoFi"] + 2 * evaluation,
    }  # fmt: skip
