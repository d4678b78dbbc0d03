"""CoFi's training: distillation, joint pruning to a sparsity, fine-tuning of the physically pruned model.

Xia et al. 2022, Sec. 3 and App. A. There is no loss on labels at any stage: the student learns from its teacher alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.architectures import family_of
from prunekit.blocks import call_order, describe
from prunekit.cofi import UNITS
from prunekit.cofi.distillation import LayerDistillation, alive_layers, output_loss
from prunekit.cofi.gates import Gates
from prunekit.cofi.slim import slim_call
from prunekit.cofi.sparsity import Constraint, PrunableSize, check_reachable
from prunekit.cofi.stages import Progress, Stage, Surroundings, run
from prunekit.errors import UserError
from prunekit.masks import Masks
from prunekit.surgery import prune
from prunekit.tasks.batches import Batch, model_inputs
from prunekit.training import autocast, decay_groups

FULL_SCHEDULE = 3000
"""Steps of pruning from which on the gates' learning rate is the paper's 0.01; fewer raise it in proportion."""


@dataclass(frozen=True)
class Recipe:
    """How a student is pruned."""

    sparsity: float
    """Share of the prunable parameters that goes, in (0, 1)."""
    variant: str = "paper"
    units: tuple[str, ...] = UNITS
    matching: str = "paper"
    prediction_weight: float = 0.5
    """Of the loss on predictions; the rest is on layers."""
    pred_direction: str = "distillation"
    distil_epochs: int = 1
    prune_epochs: int = 19
    sparsity_epochs: int = 2
    """Of pruning, over which the target rises."""
    finetune_epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 2e-5
    finetune_learning_rate: float = 2e-5
    gates_learning_rate: float | None = None
    """Of gates and multipliers; None: 0.01, raised for short schedules."""
    evaluate_every: int = 500
    precision: str = "float32"
    seed: int = 0


@dataclass
class Pruned:
    """What came of it."""

    model: Any
    """Physically smaller, fine-tuned, in eval mode."""
    masks: Masks
    """Of the whole student, as they were removed: soft where a unit stays."""
    sparsity: dict[str, float]
    """``expected`` of the gates that were chosen, and ``counted`` of the model that they left."""
    on_target: bool
    """Whether weights at the target were found; else the last ones were taken."""
    stages: dict[str, Progress] = field(default_factory=dict)


class Training:
    """A student's way through the stages."""

    def __init__(
        self, teacher: Any, student: Any, recipe: Recipe, score: Callable[[Any], float], around: Surroundings
    ) -> None:
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
        self.teacher, self.student, self.recipe, self.score, self.around = teacher, student, recipe, score, around
        layout = describe(student)
        self.gates = Gates(student, recipe.units, recipe.seed).to(around.device)
        self.gates.constrain()
        self.size = PrunableSize.of(student, recipe.variant)
        check_reachable(recipe.sparsity, self.gates, self.size)
        self.layers = LayerDistillation(layout.hidden, layout.calls, recipe.matching).to(around.device)
        per_epoch = -(-len(around.examples) // recipe.batch_size)
        self.constraint = Constraint(recipe.sparsity, recipe.sparsity_epochs * per_epoch).to(around.device)
        self.order = call_order(student)
        self.matches: dict[int, int | None] = {}
        """Of the last step."""

    def run(self) -> Pruned:
        """All three stages, or what is left of them."""
        done, offset = {}, 0
        for stage in (self._distil(), self._prune()):
            if stage.epochs:
                done[stage.name] = run(stage, self.around, offset)
                offset += stage.steps(self.around.examples)
        masks = self.gates.evaluated()
        expected = float(self.size.sparsity(self.gates.kept()).detach())
        counted = float(self.size.sparsity(_hard(masks)))
        model = prune(self.student.eval(), masks)
        if self.recipe.finetune_epochs:
            assert masks.hidden is not None
            self.layers.keep(masks.hidden)
            stage = self._finetune(model, alive_layers(masks, self.recipe.matching))
            done[stage.name] = run(stage, self.around, offset)
        on_target = done["prune"].best is not None
        return Pruned(model.eval(), masks, {"expected": expected, "counted": counted}, on_target, done)

    def _distil(self) -> Stage:
        optimizer = _adamw([*trained(self.student), *self.layers.parameters()], self.recipe.learning_rate)

        def loss(batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            alive = torch.ones(len(self.order), dtype=torch.bool)
            with autocast(self.around.device, self.recipe.precision):
                output = self.student(**model_inputs(batch), output_hidden_states=True)
            return self._lesson(batch, output, alive)

        return Stage(
            "distil", self.recipe.distil_epochs, self.recipe.batch_size,
            {"student": self.student.train(), "layers": self.layers}, {"student_optimizer": optimizer}, loss,
            trained(self.student), before_step=_decay(optimizer, self.recipe.learning_rate),
        )  # fmt: skip

    def _prune(self) -> Stage:
        recipe = self.recipe
        optimizer = _adamw([*trained(self.student), *self.layers.parameters()], recipe.learning_rate)
        rate = recipe.gates_learning_rate
        if rate is None:
            steps = recipe.prune_epochs * -(-len(self.around.examples) // recipe.batch_size)
            rate = 0.01 * max(1.0, FULL_SCHEDULE / max(steps, 1))
        gates = torch.optim.AdamW(self.gates.parameters(), lr=rate, weight_decay=0.0)
        multipliers = torch.optim.AdamW(self.constraint.parameters(), lr=rate, weight_decay=0.0, maximize=True)

        def loss(batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            masks = self.gates.sampled()
            alive = alive_layers(masks, recipe.matching)[self.order]
            with autocast(self.around.device, recipe.precision):
                output = slim_call(self.student, masks, model_inputs(batch), output_hidden_states=True)
            assert masks.hidden is not None
            on = None if bool((masks.hidden == 1).all()) else masks.hidden.nonzero().squeeze(1)
            taught, values = self._lesson(batch, output, alive, on)
            sparsity = self.size.sparsity(self.gates.kept())
            steered = self.constraint(sparsity, step)
            return taught + steered, values | {
                "expected_sparsity": sparsity.detach(), "constraint": steered.detach(),
                "target_sparsity": sparsity.new_tensor(self.constraint.target_at(step)),
                "linear_multiplier": self.constraint.linear.detach().clone(),
                "quadratic_multiplier": self.constraint.quadratic.detach().clone(),
            }  # fmt: skip

        def score() -> float | None:
            if float(self.size.sparsity(self.gates.kept()).detach()) < recipe.sparsity - epsilon:
                return None
            found = self.score(prune(self.student.eval(), self.gates.evaluated()))
            self.student.train()
            return found

        epsilon = 0.01 if recipe.variant == "released" else 0.005
        return Stage(
            "prune", recipe.prune_epochs, recipe.batch_size,
            {"student": self.student.train(), "layers": self.layers, "gates": self.gates,
             "constraint": self.constraint},
            {"student_optimizer": optimizer, "gates_optimizer": gates, "constraint_optimizer": multipliers}, loss,
            trained(self.student), before_step=_decay(optimizer, recipe.learning_rate),
            after_step=self.gates.constrain, evaluate_every=recipe.evaluate_every, score=score,
        )  # fmt: skip

    def _finetune(self, model: Any, alive: Tensor) -> Stage:
        optimizer = _adamw([*trained(model), *self.layers.parameters()], self.recipe.finetune_learning_rate)

        def loss(batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
            with autocast(self.around.device, self.recipe.precision):
                output = model(**model_inputs(batch), output_hidden_states=True)
            return self._lesson(batch, output, alive[self.order])

        def score() -> float:
            found = self.score(model.eval())
            model.train()
            return found

        recipe = self.recipe
        return Stage(
            "finetune", recipe.finetune_epochs, recipe.batch_size, {"model": model.train(), "layers": self.layers},
            {"model_optimizer": optimizer}, loss, trained(model), evaluate_every=recipe.evaluate_every, score=score,
        )  # fmt: skip

    def _lesson(
        self, batch: Batch, output: Any, alive: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a student's output towards the teacher's."""
        with torch.no_grad(), autocast(self.around.device, self.recipe.precision):
            wanted = self.teacher(**model_inputs(batch), output_hidden_states=True)
        tokens = batch["attention_mask"].bool()
        mask = tokens if self.recipe.variant == "paper" else None
        predicted = output_loss(output, wanted, tokens, self.recipe.pred_direction)
        dtype = self.layers.transform.weight.dtype  # under autocast, states may have another
        own, other = ([states.to(dtype) for states in found.hidden_states[1:]] for found in (output, wanted))
        match = self.layers(own, other, alive, mask, hidden)
        self.matches = match.pairs
        weight = self.recipe.prediction_weight
        loss = weight * predicted + (1 - weight) * match.loss
        return loss, {"prediction_loss": predicted.detach(), "layer_loss": match.loss.detach()}


def check_fit(teacher: Any, student: Any) -> None:
    """Raise a :class:`UserError` for a student that cannot learn from a teacher."""
    for what, of in (
        ("labels", lambda model: model.config.num_labels), ("hidden size", lambda model: describe(model).hidden),
        ("layers", lambda model: describe(model).calls), ("vocabulary", lambda model: model.config.vocab_size),
        ("family", lambda model: model.config.model_type),
    ):  # fmt: skip
        if of(teacher) != of(student):
            raise UserError(f"student: its {what} is {of(student)}, the teacher's {of(teacher)}; they must be the same")


def trained(model: Any) -> list[nn.Parameter]:
    """Parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def freeze_embeddings(model: Any) -> None:
    """They stay as they are, as in the released code; what brings them to the hidden size stays, too."""
    paths = family_of(model.config).embeddings
    for name, module in model.base_model.named_modules():
        if name in paths:
            module.requires_grad_(False)


def _adamw(parameters: list[nn.Parameter], rate: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(decay_groups(parameters, 0.01), lr=rate)


def _decay(optimizer: torch.optim.Optimizer, rate: float) -> Callable[[int, int], None]:
    """Linear decay to 0, without warm-up."""

    def before_step(step: int, total: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate * (total - step) / total

    return before_step


def _hard(masks: Masks) -> Masks:
    """1 where a gate is not 0."""
    assert masks.hidden is not None
    return Masks(
        {kind: (mask != 0).float() for kind, mask in masks.heads.items()},
        (masks.neurons != 0).float(),
        {kind: (mask != 0).float() for kind, mask in masks.layers.items()},
        (masks.hidden != 0).float(),
    )
