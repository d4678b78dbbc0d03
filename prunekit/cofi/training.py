"""CoFi's training: distillation, joint pruning to a sparsity, fine-tuning of the physically pruned model.

Xia et al. 2022, Sec. 3 and App. A. There is no loss on labels at any stage: the student learns from its teacher alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from prunekit.cofi.distillation import alive_layers
from prunekit.cofi.fixed import (
    Pruned,
    Score,
    fixed_stages,
    freeze_embeddings,
    student_optimizer,
    students_call,
    trained,
)
from prunekit.cofi.gates import Gates
from prunekit.cofi.lesson import Lesson, Values
from prunekit.cofi.recipe import Recipe
from prunekit.cofi.slim import slim_call
from prunekit.cofi.sparsity import Constraint, PrunableSize, check_reachable, fitted
from prunekit.cofi.stages import Progress, Stage, Surroundings, run
from prunekit.data.batches import Batch, model_inputs
from prunekit.models.blocks import call_order, describe
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.cache import Cache, Kind
from prunekit.support.devices import autocast
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import model_fingerprint

FULL_SCHEDULE = 3000
"""Steps of pruning from which on the gates' learning rate is the paper's 0.01; fewer raise it in proportion."""
TOLERANCE = 0.01
"""How far from the target what is really removed may be."""
WARM_UP = Kind("distilled", revision=1)


class Training:
    """A student's way through the stages."""

    def __init__(self, teacher: Any, student: Any, recipe: Recipe, score: Score, around: Surroundings) -> None:
        """
        Args:
            teacher: fine-tuned, in eval mode, on the device.
            student: of the same shape, on the device; changed in place.
            score: of a physically pruned model, on data that nothing else is trained on; higher is better.

        Raises:
            UserError: teacher and student do not fit together, or a sparsity that the units cannot reach.
        """
        check_fit(teacher, student)
        freeze_embeddings(student)
        self.teacher, self.student = teacher, student
        self.recipe, self.score, self.around = recipe, score, around
        self.gates = Gates(student, recipe.units, recipe.seed).to(around.device)
        self.gates.constrain()
        self.size = PrunableSize.of(student, recipe.variant)
        check_reachable(recipe.sparsity, self.gates, self.size)
        self.lesson = Lesson(teacher, student, recipe, around.examples, around.device)
        how = recipe.student
        warmup = how.steps(len(around.examples), how.sparsity_epochs)
        start = self._expected() if how.start_sparsity is None else how.start_sparsity
        self.constraint = Constraint(recipe.sparsity, warmup, start).to(around.device)

    def run(self) -> Pruned:
        """Gates are learned: all three stages, or what is left of them."""
        done, how = self._warmed_up(), self.recipe.student
        done["prune"] = run(self._prune(), self.around, _steps(done))
        masks = self._removed()
        model = prune(self.student.eval(), masks)
        sparsity = {
            "expected": self._expected(), "counted": self._counted(masks),
            "counted_as_learned": self._counted(self.gates.evaluated()),
        }  # fmt: skip
        missed = "" if done["prune"].best is not None else self._why_missed(sparsity)
        done |= self._fixed(model, masks, done, {"finetune": how.finetune_epochs})
        return Pruned(model.eval(), masks, sparsity, done, missed)

    def run_with(self, masks: Masks) -> Pruned:
        """The same, but for gates: after the warm-up the units of ``masks`` go at once."""
        done, how = self._warmed_up(), self.recipe.student
        model = prune(self.student.eval(), masks)
        done |= self._fixed(model, masks, done, {"train": how.prune_epochs, "finetune": how.finetune_epochs})
        return Pruned(model.eval(), masks, {"counted": self._counted(masks)}, done)

    def _warmed_up(self) -> dict[str, Progress]:
        stage = self._distil()
        if not stage.epochs:
            return {}
        with shared_warm_up(self.teacher, self.student, self.recipe, self.around) as around:
            return {stage.name: run(stage, around, 0)}

    def _fixed(
        self, model: Any, masks: Masks, done: dict[str, Progress], epochs: dict[str, int]
    ) -> dict[str, Progress]:
        """Train what is left of the student."""
        return fixed_stages(model, masks, self.lesson, self.score, self.around, _steps(done), epochs)

    def _distil(self) -> Stage:
        how = self.recipe.student
        optimizer, decay = student_optimizer(self.student, self.lesson.layers, how.learning_rate)
        alive = torch.ones(len(call_order(self.student)), dtype=torch.bool)
        return Stage(
            "distil", how.distil_epochs, how.batch_size,
            {"student": self.student.train(), "layers": self.lesson.layers}, {"student_optimizer": optimizer},
            students_call(self.student, self.lesson, alive), trained(self.student), before_step=decay,
            notes=self.lesson.notes, shared=True,
        )  # fmt: skip

    def _prune(self) -> Stage:
        how = self.recipe.student
        optimizer, decay = student_optimizer(self.student, self.lesson.layers, how.learning_rate)
        rate = how.gates_learning_rate
        if rate is None:
            rate = 0.01 * max(1.0, FULL_SCHEDULE / how.steps(len(self.around.examples), how.prune_epochs))
        gates = torch.optim.AdamW(self.gates.parameters(), lr=rate, weight_decay=0.0)
        ascent = how.multipliers_learning_rate or rate
        multipliers = torch.optim.AdamW(self.constraint.parameters(), lr=ascent, weight_decay=0.0, maximize=True)
        loss = partial(gated_loss, self.student, self.gates, self.constraint, self.size, self.lesson)
        return Stage(
            "prune", how.prune_epochs, how.batch_size,
            {"student": self.student.train(), "layers": self.lesson.layers, "gates": self.gates,
             "constraint": self.constraint},
            {"student_optimizer": optimizer, "gates_optimizer": gates, "constraint_optimizer": multipliers},
            loss, trained(self.student), before_step=decay, after_step=self.gates.constrain,
            evaluate_every=how.evaluate_every, score=self._score_on_target, notes=self.lesson.notes,
        )  # fmt: skip

    def _score_on_target(self) -> float | None:
        """Of the model that would be left; None where it may not be chosen."""
        target, masks = self.recipe.sparsity, self._removed()
        if self._expected() < target - self._epsilon:
            return None
        if self.recipe.variant == "paper" and abs(self._counted(masks) - target) > TOLERANCE:
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
        return float(self.size.sparsity(self.gates.kept()).detach())

    def _counted(self, masks: Masks) -> float:
        return float(self.size.sparsity(masks.kept()))

    def _why_missed(self, sparsity: dict[str, float]) -> str:
        needed = self.recipe.sparsity - self._epsilon
        if sparsity["expected"] < needed:
            return f"the expected sparsity was {sparsity['expected']:.3f} in the end, {needed:.3f} was needed"
        return f"with the sublayers that were decided on, the nearest to the target is {sparsity['counted']:.3f}"


@contextmanager
def shared_warm_up(teacher: Any, student: Any, recipe: Recipe, around: Surroundings) -> Iterator[Surroundings]:
    """Where the warm-up is kept for all trainings that begin with the same one."""
    if around.cache is None:
        yield around
        return
    identity = {
        "teacher": model_fingerprint(teacher), "student": model_fingerprint(student),
        "examples": around.examples.fingerprint(), "seed": str(around.seed),
        "recipe": json.dumps(recipe.warm_up(), sort_keys=True),
    }  # fmt: skip
    with Cache(around.cache, around.device).folder(WARM_UP, identity) as folder:
        yield dataclasses.replace(around, folder=folder, identity=identity)


def gated_loss(
    student: Any, gates: Gates, constraint: Constraint, size: PrunableSize, lesson: Lesson, batch: Batch, step: int
) -> tuple[Tensor, Values]:
    """The loss of a step of pruning, (), for the student and for the gates, and what is logged of it.

    Args:
        step: of pruning, 0-based; the target depends on it.
    """
    recipe, masks = lesson.recipe, gates.sampled()
    alive = alive_layers(masks, recipe.matching)[call_order(student)]
    with autocast(batch["input_ids"].device, recipe.student.precision):
        output = slim_call(student, masks, model_inputs(batch), output_hidden_states=True)
    assert masks.hidden is not None
    on = None if bool((masks.hidden == 1).all()) else masks.hidden.nonzero().squeeze(1)
    taught, values = lesson(batch, output, alive, on)
    sparsity = size.sparsity(gates.kept())
    steered = constraint(sparsity, step)
    return taught + steered, values | {
        "expected_sparsity": sparsity.detach(), "constraint": steered.detach(),
        "target_sparsity": sparsity.new_tensor(constraint.target_at(step)),
        "linear_multiplier": constraint.linear.detach().clone(),
        "quadratic_multiplier": constraint.quadratic.detach().clone(),
    }  # fmt: skip


def check_fit(teacher: Any, student: Any) -> None:
    """Raise a :class:`UserError` for a student that cannot learn from a teacher."""
    for what, of in (
        ("labels", lambda model: model.config.num_labels), ("hidden size", lambda model: describe(model).hidden),
        ("layers", lambda model: describe(model).calls), ("vocabulary", lambda model: model.config.vocab_size),
        ("family", lambda model: model.config.model_type),
    ):  # fmt: skip
        if of(teacher) != of(student):
            raise UserError(f"student: its {what} is {of(student)}, the teacher's {of(teacher)}; they must be the same")


def _steps(done: dict[str, Progress]) -> int:
    return sum(progress.step for progress in done.values())
