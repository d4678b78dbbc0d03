"""CoFi's training: distillation, joint pruning to a sparsity, fine-tuning of the physically pruned model.

Xia et al. 2022, Sec. 3 and App. A. There is no loss on labels at any stage: the student learns from its teacher alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.cofi.distillation import DistillationObjective, alive_layers
from prunekit.cofi.fixed import (
    Pruned,
    Score,
    distillation_loss,
    fixed_stages,
    freeze_embeddings,
    student_optimizer,
    student_stage,
    trained,
)
from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.recipe import Recipe
from prunekit.cofi.slim import SlimModel
from prunekit.cofi.sparsity import Constraint, PrunableSize, check_reachable, fitted, missed_by
from prunekit.config.choices import SPARSITY_TOLERANCE
from prunekit.data.batches import Batch, model_inputs
from prunekit.models.blocks import call_order, describe
from prunekit.models.checkpoints import HEAD, has_head
from prunekit.models.families.table import encoder_of
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.cache import Cache, EntryKind
from prunekit.support.devices import autocast
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import model_fingerprint
from prunekit.training.loop import Context, Loss, Stage, StageState, Values, linear_decay, run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FULL_SCHEDULE = 3000
"""Steps of pruning from which on the gates' learning rate is the paper's 0.01; fewer raise it in proportion."""
WARM_UP = EntryKind("distilled", revision=1)


class Cofi:
    """A student's way through the stages of CoFi."""

    def __init__(
        self,
        teacher: PreTrainedModel,
        student: PreTrainedModel,
        recipe: Recipe,
        score: Score,
        context: Context,
        runs: Path | None = None,
    ) -> None:
        """
        Args:
            teacher: fine-tuned, in eval mode, on the device.
            student: of the same shape, on the device; changed in place.
            score: of a physically pruned model, on data that nothing else is trained on; higher is better.
            runs: folder of runs in whose cache the warm-up is; None keeps it with the other stages.

        Raises:
            UserError: teacher and student do not fit together, or a sparsity that the units cannot reach.
        """
        check_fit(teacher, student)
        freeze_embeddings(student)
        self.teacher, self.student = teacher, student
        self.recipe, self.score, self.context, self.runs = recipe, score, context, runs
        self.released = recipe.variant == "released"
        self.gates = Gates(student, recipe.units, recipe.seed, skip_norms=self.released).to(context.device)
        self.gates.constrain()
        self.size = PrunableSize.of(student, recipe.variant)
        check_reachable(recipe.sparsity, self.gates, self.size)
        self.objective = DistillationObjective(teacher, student, recipe, context.examples, context.device)
        how = recipe.student
        warmup = how.steps(len(context.examples), how.sparsity_epochs)
        start = self._expected() if how.start_sparsity is None else how.start_sparsity
        self.constraint = Constraint(recipe.sparsity, warmup, start).to(context.device)

    def run(self) -> Pruned:
        """Gates are learned: all three stages, or what is left of them."""
        done, how = self._warmed_up(), self.recipe.student
        done["prune"] = run(self.pruning_stage(_steps(done)), self.context)
        masks = self._removed()
        model = prune(self.student.eval(), masks)
        sparsity = {
            "expected": self._expected(), "counted": self._counted(masks),
            "counted_as_learned": self._counted(self.gates.evaluated()),
        }  # fmt: skip
        missed = self._why_missed(sparsity, chosen=done["prune"].best is not None)
        done |= self._fixed(model, masks, done, {"finetune": how.finetune_epochs})
        return Pruned(model.eval(), masks, sparsity, done, missed)

    def run_with(self, masks: Masks) -> Pruned:
        """The same, but for gates: after the warm-up the units of ``masks`` go at once."""
        done, how = self._warmed_up(), self.recipe.student
        masks = dataclasses.replace(masks, skip_norms=self.released)
        model = prune(self.student.eval(), masks)
        done |= self._fixed(model, masks, done, {"train": how.prune_epochs, "finetune": how.finetune_epochs})
        counted = self._counted(masks)
        return Pruned(model.eval(), masks, {"counted": counted}, done, missed_by(counted, self.recipe.sparsity))

    def _warmed_up(self) -> dict[str, StageState]:
        stage = self.distillation_stage()
        if not stage.steps:
            return {}
        with shared_warm_up(self.teacher, self.student, self.recipe, self.context, self.runs) as context:
            return {stage.name: run(stage, context)}

    def _fixed(
        self, model: PreTrainedModel, masks: Masks, done: dict[str, StageState], epochs: dict[str, int]
    ) -> dict[str, StageState]:
        """Train what is left of the student."""
        return fixed_stages(model, masks, self.objective, self.score, self.context, _steps(done), epochs)

    def distillation_stage(self) -> Stage:
        """The warm-up: all of the student, no gates."""
        how = self.recipe.student
        optimizer = student_optimizer(self.student, self.objective.layers, how.learning_rate)
        alive = torch.ones(len(call_order(self.student)), dtype=torch.bool)
        return student_stage(
            "distil", how.distil_epochs, self.objective, self.context, 0,
            modules={"student": self.student.train(), "layers": self.objective.layers},
            optimizers={"student_optimizer": optimizer},
            loss=distillation_loss(self.student, self.objective, alive), clipped=trained(self.student),
            before_step=linear_decay(optimizer, how.learning_rate), shared=True,
        )  # fmt: skip

    def pruning_stage(self, offset: int) -> Stage:
        """Joint training of the student, its gates and the multipliers, after so many steps of distillation."""
        how = self.recipe.student
        optimizer = student_optimizer(self.student, self.objective.layers, how.learning_rate)
        rate = how.gates_learning_rate
        if rate is None:
            rate = 0.01 * max(1.0, FULL_SCHEDULE / how.steps(len(self.context.examples), how.prune_epochs))
        gates = torch.optim.AdamW(self.gates.parameters(), lr=rate, weight_decay=0.0)
        ascent = how.multipliers_learning_rate or rate
        multipliers = torch.optim.AdamW(self.constraint.parameters(), lr=ascent, weight_decay=0.0, maximize=True)
        return student_stage(
            "prune", how.prune_epochs, self.objective, self.context, offset,
            modules={"student": self.student.train(), "layers": self.objective.layers, "gates": self.gates,
                     "constraint": self.constraint},
            optimizers={"student_optimizer": optimizer, "gates_optimizer": gates,
                        "constraint_optimizer": multipliers},
            loss=pruning_loss(self.student, self.gates, self.constraint, self.size, self.objective),
            clipped=trained(self.student), before_step=linear_decay(optimizer, how.learning_rate),
            after_step=self.gates.constrain, score=self._score_on_target,
        )  # fmt: skip

    def _score_on_target(self) -> float | None:
        """Of the model that would be left; None where it may not be chosen."""
        target, masks = self.recipe.sparsity, self._removed()
        if self._expected() < target - self._epsilon:
            return None
        if self.recipe.variant == "paper" and abs(self._counted(masks) - target) > SPARSITY_TOLERANCE:
            return None
        found = self.score(prune(self.student.eval(), masks))
        self.student.train()
        return found

    def _removed(self) -> Masks:
        """The gates of the pruned model: as they were learned, or (``paper``) fitted to the target."""
        if self.recipe.variant == "released":
            return self.gates.evaluated()
        return fitted(self.gates, self.size, self.recipe.sparsity)

    @property
    def _epsilon(self) -> float:
        """How far below the target the expected sparsity of chosen weights may be."""
        return 0.01 if self.recipe.variant == "released" else 0.005

    def _expected(self) -> float:
        return float(self.size.sparsity(self.gates.probabilities()).detach())

    def _counted(self, masks: Masks) -> float:
        return float(self.size.counted(masks.kept()))

    def _why_missed(self, sparsity: dict[str, float], *, chosen: bool) -> str:
        """In words; empty where weights were chosen and what is gone is what was asked for.

        ``released`` chooses by the expected sparsity alone, which has no upper bound: what the gates remove, rounded
        one by one, may lie on either side of the target by then.
        """
        needed = self.recipe.sparsity - self._epsilon
        if not chosen and sparsity["expected"] < needed:
            return f"the expected sparsity was {sparsity['expected']:.3f} in the end, {needed:.3f} was needed"
        if chosen and abs(sparsity["counted"] - self.recipe.sparsity) <= SPARSITY_TOLERANCE:
            return ""
        if self.released:
            return f"the counted sparsity is {sparsity['counted']:.3f}, as the gates were learned"
        return f"with the sublayers that were decided on, the nearest to the target is {sparsity['counted']:.3f}"


@contextmanager
def shared_warm_up(
    teacher: PreTrainedModel, student: PreTrainedModel, recipe: Recipe, context: Context, runs: Path | None
) -> Iterator[Context]:
    """Where the warm-up is kept for all trainings that begin with the same one; they wait for each other."""
    if runs is None:
        yield context
        return
    identity = {
        "teacher": model_fingerprint(teacher), "student": model_fingerprint(student),
        "examples": context.examples.fingerprint(), "recipe": json.dumps(recipe.warm_up(), sort_keys=True),
    }
    with Cache(runs, context.device).folder(WARM_UP, identity) as folder:
        yield dataclasses.replace(context, folder=folder, identity=identity, inputs={})  # all of them are in it


def pruning_loss(
    student: PreTrainedModel,
    gates: Gates,
    constraint: Constraint,
    size: PrunableSize,
    objective: DistillationObjective,
) -> Loss:
    """The loss of a step of pruning, for the student and for the gates, with the values that are logged of it.

    The target depends on the step of pruning.
    """
    recipe, order, slim = objective.recipe, call_order(student), SlimModel(student)

    def loss(batch: Batch, step: int) -> tuple[Tensor, Values]:
        masks = gates.sampled()
        alive = alive_layers(masks, recipe.matching)[order]
        with autocast(batch["input_ids"].device, recipe.student.precision):
            output = slim(masks, model_inputs(batch), output_hidden_states=True)
        assert masks.hidden is not None
        on = None if bool((masks.hidden == 1).all()) else masks.hidden.nonzero().squeeze(1)
        distilled, values = objective(batch, output, alive, on)
        sparsity = size.sparsity(gates.probabilities())
        constrained = constraint(sparsity, step)
        return distilled + constrained, values | {
            "expected_sparsity": sparsity.detach(), "constraint": constrained.detach(),
            "target_sparsity": sparsity.new_tensor(constraint.target_at(step)),
            "linear_multiplier": constraint.linear.detach().clone(),
            "quadratic_multiplier": constraint.quadratic.detach().clone(),
        }  # fmt: skip

    return loss


def check_fit(teacher: PreTrainedModel, student: PreTrainedModel) -> None:
    """Raise a :class:`UserError` for a student that cannot learn from a teacher, or a task whose answers have no loss
    here."""
    encoder_of(student.config)
    if not any(has_head(student, head) for head in (HEAD, "QuestionAnswering", "TokenClassification")):
        raise UserError(
            "student: its answers need a classifier or question answering, or tags of tokens, to be distilled, it is a "
            f"{type(student).__name__}"
        )
    for what, of in (
        ("labels", lambda model: model.config.num_labels), ("hidden size", lambda model: describe(model).hidden),
        ("layers", lambda model: describe(model).calls), ("vocabulary", lambda model: model.config.vocab_size),
        ("family", lambda model: model.config.model_type),
    ):  # fmt: skip
        if of(teacher) != of(student):
            raise UserError(f"student: its {what} is {of(student)}, the teacher's {of(teacher)}; they must be the same")


def _steps(done: dict[str, StageState]) -> int:
    return sum(progress.step for progress in done.values())
