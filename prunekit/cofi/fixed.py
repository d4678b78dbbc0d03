"""Distillation into a model whose shape is fixed: after pruning, and from the first step in the baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.cofi.distillation import alive_layers
from prunekit.cofi.lesson import Lesson, Values
from prunekit.cofi.recipe import Recipe
from prunekit.cofi.sparsity import PrunableSize
from prunekit.cofi.stages import Progress, Stage, Surroundings, run
from prunekit.data.batches import Batch, model_inputs
from prunekit.models.blocks import call_order
from prunekit.models.families.table import family_of
from prunekit.models.masks import Masks
from prunekit.support.devices import autocast
from prunekit.training.loop import decay_groups

Score = Callable[[Any], float]
"""Of a model in eval mode; higher is better."""
Decay = Callable[[int, int], None]


@dataclass
class Pruned:
    """What came of it."""

    model: Any
    """Physically smaller, fine-tuned, in eval mode."""
    masks: Masks | None = None
    """Of the whole student, as they were removed: soft where a unit stays. None where it never was a larger one."""
    sparsity: dict[str, float] = field(default_factory=dict)
    """``counted`` of the model; of learned gates also ``expected``, and ``counted_as_learned``: before as many units
    were removed as the target asks for."""
    stages: dict[str, Progress] = field(default_factory=dict)
    missed: str = ""
    """Why the target was missed, if it was."""


def train_fixed(
    teacher: Any, model: Any, masks: Masks | None, recipe: Recipe, score: Score, around: Surroundings
) -> Pruned:
    """Distil a teacher into a model in place, for as many epochs as all stages of CoFi have together.

    Args:
        masks: by which the model was cut from one of the teacher's shape; its embeddings then stay as they are. None
            for a model of its own, whose embeddings are trained.
    """
    if masks is None:
        lesson, alive = Lesson(teacher, model, recipe, around.examples, around.device), None
        sparsity = {"counted": 1 - PrunableSize.of(model).total / PrunableSize.of(teacher).total}
    else:
        freeze_embeddings(model)
        lesson, alive = Lesson(teacher, teacher, recipe, around.examples, around.device), masks
        sparsity = {"counted": float(PrunableSize.of(teacher).sparsity(masks.kept()))}
    how = recipe.student
    epochs = {"train": how.distil_epochs + how.prune_epochs, "finetune": how.finetune_epochs}
    done = fixed_stages(model, alive, lesson, score, around, 0, epochs)
    return Pruned(model.eval(), masks, sparsity, done)


def fixed_stages(
    model: Any, masks: Masks | None, lesson: Lesson, score: Score, around: Surroundings, offset: int,
    epochs: dict[str, int],
) -> dict[str, Progress]:  # fmt: skip
    """Train a model in place, stage by stage; of the last one its best weights stay.

    Args:
        masks: by which it was cut; None for a whole model.
        offset: steps of the stages before.
        epochs: by stage, in order: ``train`` at the learning rate that decays to 0, ``finetune`` at the constant one.
    """
    how, done = lesson.recipe.student, {}
    order = call_order(model)
    alive = torch.ones(len(order), dtype=torch.bool)
    if masks is not None:
        assert masks.hidden is not None
        lesson.layers.keep(masks.hidden)
        alive = alive_layers(masks, lesson.recipe.matching)[order]

    def scored() -> float:
        found = score(model.eval())
        model.train()
        return found

    for name, number in epochs.items():
        if number:
            last = name == list(epochs)[-1]
            rate = how.learning_rate if name == "train" else how.finetune_learning_rate
            optimizer, decay = student_optimizer(model, lesson.layers, rate)
            stage = Stage(
                name, number, how.batch_size, {"model": model.train(), "layers": lesson.layers},
                {"model_optimizer": optimizer}, students_call(model, lesson, alive), trained(model),
                before_step=decay if name == "train" else lambda step, total: None,
                evaluate_every=how.evaluate_every, score=scored if last else None, notes=lesson.notes,
            )  # fmt: skip
            done[name] = run(stage, around, offset)
            offset += done[name].step
    return done


def students_call(model: Any, lesson: Lesson, alive: Tensor) -> Callable[[Batch, int], tuple[Tensor, Values]]:
    """The loss of a stage without gates."""

    def loss(batch: Batch, step: int) -> tuple[Tensor, Values]:
        with autocast(batch["input_ids"].device, lesson.recipe.student.precision):
            output = model(**model_inputs(batch), output_hidden_states=True)
        return lesson(batch, output, alive)

    return loss


def student_optimizer(model: Any, layers: nn.Module, rate: float) -> tuple[torch.optim.AdamW, Decay]:
    """AdamW over the student and the map of its layers, and what lets its rate decay to 0 linearly."""
    parameters = [*trained(model), *layers.parameters()]
    optimizer = torch.optim.AdamW(decay_groups(parameters, 0.01), lr=rate, fused=True)

    def decay(step: int, total: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate * (total - step) / total

    return optimizer, decay


def trained(model: Any) -> list[nn.Parameter]:
    """Parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def freeze_embeddings(model: Any) -> None:
    """They stay as they are, as in the released code; what brings them to the hidden size stays, too."""
    paths = family_of(model.config).embeddings
    for name, module in model.base_model.named_modules():
        if name in paths:
            module.requires_grad_(False)
