"""Distillation into a model whose shape is fixed: after pruning, and from the first step in the baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.cofi.distillation import DistillationObjective, alive_layers
from prunekit.cofi.recipe import Recipe
from prunekit.cofi.sparsity import PrunableSize, missed_by
from prunekit.data.batches import Batch, model_inputs
from prunekit.models.blocks import call_order
from prunekit.models.families.table import family_of
from prunekit.models.masks import Masks
from prunekit.support.devices import autocast
from prunekit.training.finetuning import decay_groups
from prunekit.training.loop import Context, Loss, Stage, StageState, Values, linear_decay, run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Score = Callable[["PreTrainedModel"], float]
"""Of a model in eval mode; higher is better."""
LOG_EVERY = 20
"""Steps between two logged lines."""


@dataclass
class Pruned:
    """What came of it."""

    model: PreTrainedModel
    """Physically smaller, fine-tuned, in eval mode."""
    masks: Masks | None = None
    """Of the whole student, as they were removed: soft where a unit stays. None where it never was a larger one."""
    sparsity: dict[str, float] = field(default_factory=dict)
    """``counted`` of the model; of learned gates also ``expected``, and ``counted_as_learned``: before as many units
    were removed as the target asks for."""
    stages: dict[str, StageState] = field(default_factory=dict)
    missed: str = ""
    """Why the target was missed, if it was."""


def train_fixed(
    teacher: PreTrainedModel,
    model: PreTrainedModel,
    masks: Masks | None,
    recipe: Recipe,
    score: Score,
    context: Context,
) -> Pruned:
    """Distil a teacher into a model in place, for as many epochs as all stages of CoFi have together.

    Args:
        masks: by which the model was cut from one of the teacher's shape; its embeddings then stay as they are. None
            for a model of its own, whose embeddings are trained.
    """
    if masks is None:
        objective, alive = DistillationObjective(teacher, model, recipe, context.examples, context.device), None
        sparsity = {"counted": 1 - PrunableSize.of(model).total / PrunableSize.of(teacher).total}
    else:
        freeze_embeddings(model)
        objective, alive = DistillationObjective(teacher, teacher, recipe, context.examples, context.device), masks
        sparsity = {"counted": float(PrunableSize.of(teacher).sparsity(masks.kept()))}
    how = recipe.student
    epochs = {"train": how.distil_epochs + how.prune_epochs, "finetune": how.finetune_epochs}
    done = fixed_stages(model, alive, objective, score, context, 0, epochs)
    return Pruned(model.eval(), masks, sparsity, done, missed_by(sparsity["counted"], recipe.sparsity))


def fixed_stages(
    model: PreTrainedModel,
    masks: Masks | None,
    objective: DistillationObjective,
    score: Score,
    context: Context,
    offset: int,
    epochs: dict[str, int],
) -> dict[str, StageState]:
    """Train a model in place, stage by stage; of the last one its best weights stay.

    Args:
        masks: by which it was cut; None for a whole model.
        offset: steps of the stages before.
        epochs: by stage, in order: ``train`` at the learning rate that decays to 0, ``finetune`` at the constant one.
    """
    how, done = objective.recipe.student, {}
    order = call_order(model)
    alive = torch.ones(len(order), dtype=torch.bool)
    if masks is not None:
        assert masks.hidden is not None
        objective.layers.keep(masks.hidden)
        alive = alive_layers(masks, objective.recipe.matching)[order]

    def scored() -> float:
        result = score(model.eval())
        model.train()
        return result

    for name, number in epochs.items():
        if number:
            last = name == list(epochs)[-1]
            rate = how.learning_rate if name == "train" else how.finetune_learning_rate
            optimizer = student_optimizer(model, objective.layers, rate)
            stage = student_stage(
                name, number, objective, context, offset,
                modules={"model": model.train(), "layers": objective.layers},
                optimizers={"model_optimizer": optimizer},
                loss=distillation_loss(model, objective, alive), clipped=trained(model),
                before_step=linear_decay(optimizer, rate) if name == "train" else lambda step, total: None,
                score=scored if last else None,
            )  # fmt: skip
            done[name] = run(stage, context)
            offset += done[name].step
    return done


def student_stage(
    name: str, epochs: int, objective: DistillationObjective, context: Context, offset: int, **how: Any
) -> Stage:
    """A stage of a student's training.

    Args:
        offset: steps of the stages before.
        how: whatever else a stage is told.
    """
    recipe = objective.recipe
    return Stage(
        name=name, steps=recipe.student.steps(len(context.examples), epochs), batch_size=recipe.student.batch_size,
        seed=recipe.seed, random_seed=recipe.seed + 1 + offset, first_step=offset, log_every=LOG_EVERY,
        evaluate_every=recipe.student.evaluate_every, notes=lambda step: objective.notes(name),
        identity={"stage": name}, checkpoint=f"{name}.safetensors", best=f"{name}-best.safetensors",
        lower="student.learning_rate", **how,
    )  # fmt: skip


def distillation_loss(model: PreTrainedModel, objective: DistillationObjective, alive: Tensor) -> Loss:
    """The loss of a stage without gates.

    Args:
        alive: bool, (layer,): which of the model's layers may match.
    """

    def loss(batch: Batch, step: int) -> tuple[Tensor, Values]:
        with autocast(batch["input_ids"].device, objective.recipe.student.precision):
            output = model(**model_inputs(batch), output_hidden_states=True)
        return objective(batch, output, alive)

    return loss


def student_optimizer(model: PreTrainedModel, layers: nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW over the student and the map of its layers."""
    parameters = [*trained(model), *layers.parameters()]
    return torch.optim.AdamW(decay_groups(parameters, 0.01), lr=rate, fused=True)


def trained(model: PreTrainedModel) -> list[nn.Parameter]:
    """Parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def freeze_embeddings(model: PreTrainedModel) -> None:
    """They stay as they are, as in the released code; what brings them to the hidden size stays, too."""
    paths = family_of(model.config).embeddings
    for name, module in model.base_model.named_modules():
        if name in paths:
            module.requires_grad_(False)
