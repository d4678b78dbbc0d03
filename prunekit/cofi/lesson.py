"""The loss of a student's output: answers, and layers that are matched to the teacher's (Xia et al. 2022, Sec. 3.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prunekit.cofi.distillation import LayerDistillation, output_loss
from prunekit.cofi.recipe import Recipe
from prunekit.cofi.teaching import Teaching, teaching
from prunekit.data.batches import Batch, Examples
from prunekit.data.losses import example_losses
from prunekit.models.blocks import describe

Values = dict[str, Tensor]
"""What is logged of a loss."""


class Lesson:
    """What students of one shape learn from in every stage."""

    def __init__(self, teacher: Any, student: Any, recipe: Recipe, examples: Examples, device: torch.device) -> None:
        """
        Args:
            teacher: fine-tuned, in eval mode, on the device.
            student: not pruned yet.
        """
        self.recipe = recipe
        whole, own = describe(teacher), describe(student)
        self.layers = LayerDistillation(
            whole.hidden, whole.calls, recipe.matching, student_hidden=own.hidden, student_layers=own.calls
        ).to(device)
        self.matches: dict[int, int | None] = {}
        """Student layer of each teacher layer in the last step."""
        self.teaching: Teaching | None = None
        if recipe.learn_from == "teacher" or self.layers.taught:
            how = recipe.student
            room = 0.0 if recipe.variant == "released" else how.teacher_gigabytes
            self.teaching = teaching(teacher, self.layers.taught, examples, device, how.precision, room)

    def __call__(
        self, batch: Batch, output: Any, alive: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Values]:
        """
        Args:
            output: the student's, with hidden states.
            alive: bool, (student layer,): which may match.
            hidden: places of the student's dimensions that are on, (kept hidden,); None for all.

        Returns:
            the loss, (), and its parts.
        """
        recipe, tokens = self.recipe, batch["attention_mask"].bool()
        taught = None if self.teaching is None else self.teaching(batch)
        if recipe.learn_from == "labels":
            answers = example_losses(output, batch).mean()
        else:
            assert taught is not None
            answers = output_loss(output, taught.output, tokens, recipe.pred_direction)
        values = {"prediction_loss": answers.detach()}
        if not self.layers.taught:
            return answers, values
        assert taught is not None
        dtype = self.layers.transform.weight.dtype  # under autocast, states may have another
        match = self.layers(
            [states.to(dtype) for states in output.hidden_states[1:]],
            {layer: states.to(dtype) for layer, states in taught.states.items()},
            alive, tokens if recipe.variant == "paper" else None, hidden,
        )  # fmt: skip
        self.matches = match.pairs
        loss = recipe.prediction_weight * answers + (1 - recipe.prediction_weight) * match.loss
        return loss, values | {"layer_loss": match.loss.detach()}

    def notes(self) -> dict[str, int | None]:
        """The match of the last step, by name."""
        return {f"match_{layer}": at for layer, at in self.matches.items()}
