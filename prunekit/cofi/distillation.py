"""What a student learns from its teacher: predictions, and hidden states of layers that it matches to its own.

Xia et al. 2022, Sec. 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunekit.cofi.recipe import Recipe
from prunekit.cofi.teacher_outputs import OutputsOf, teacher_outputs
from prunekit.config.choices import DIRECTIONS, MATCHINGS
from prunekit.data.batches import Batch, Examples, labelled_tokens
from prunekit.data.kinds import mean_loss
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError
from prunekit.training.loop import Values

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEMPERATURE = 2.0
TEACHER_LAYERS = 4
"""Layers of the teacher that students are matched to."""


def prediction_loss(
    student: Tensor, teacher: Tensor, temperature: float = TEMPERATURE, direction: str = "distillation"
) -> Tensor:
    """Divergence of two predictions, mean over examples, (), times the temperature squared.

    Args:
        student: logits, (batch, label).
        teacher: logits, (batch, label).
        direction: ``distillation``, KL(teacher ‖ student), which the released code computes; ``printed``,
            KL(student ‖ teacher), as the paper has it.
    """
    if direction not in DIRECTIONS:
        raise UserError(f"pred_direction={direction}: not known, there are {', '.join(DIRECTIONS)}")
    own, other = (F.log_softmax(logits / temperature, -1) for logits in (student, teacher))
    first, second = (own, other) if direction == "distillation" else (other, own)
    return F.kl_div(first, second, reduction="batchmean", log_target=True) * temperature**2


def output_loss(student: Any, teacher: Any, mask: Tensor, direction: str = "distillation") -> Tensor:
    """:func:`prediction_loss` of two models' outputs for any task, (): of question answering the mean over first and
    last token of the answer, padding left out; of tags the mean over tokens; of regression, which has no distribution,
    the mean squared difference.

    Args:
        mask: bool, (batch, token), True for tokens, of tags for those that have one.
    """
    if hasattr(student, "start_logits"):
        pairs = [
            [getattr(output, name).float().masked_fill(~mask, -1e4) for output in (student, teacher)]
            for name in ("start_logits", "end_logits")
        ]
        return torch.stack([prediction_loss(own, other, direction=direction) for own, other in pairs]).mean()
    own, other = student.logits.float(), teacher.logits.float()
    if own.dim() == 3:
        own, other = own[mask], other[mask]
    return F.mse_loss(own, other) if own.shape[-1] == 1 else prediction_loss(own, other, direction=direction)


def teacher_layers(layers: int, wanted: int = TEACHER_LAYERS) -> list[int]:
    """Teacher layers that are matched, 0-based: the last of each of ``wanted`` parts of its depth."""
    return sorted({math.ceil(part * layers / wanted) - 1 for part in range(1, wanted + 1)})


@dataclass(frozen=True)
class Match:
    """Which student layer learns from which teacher layer in a step."""

    loss: Tensor
    """Sum over matched teacher layers of the mean squared difference, ()."""
    pairs: dict[int, int | None]
    """Student layer of every teacher layer, 0-based; None where no living one could match."""


class LayerDistillation(nn.Module):
    """The loss on hidden states, with one linear map from the student's to the teacher's, the identity at first."""

    def __init__(
        self,
        hidden: int,
        layers: int,
        matching: str = "paper",
        *,
        student_hidden: int | None = None,
        student_layers: int | None = None,
    ) -> None:
        """
        Args:
            hidden: dimensions of the teacher.
            layers: of the teacher.
            matching: ``paper``: the nearest student layer whose FFN is alive. ``ordered``: from the top, the nearest
                that is alive by attention or FFN and strictly below the previous match. ``any``: the nearest of all
                layers, alive or not. ``fixed``: the layer at the same depth. ``none``: no loss.
            student_hidden, student_layers: of the (unpruned) student; None for the teacher's.
        """
        super().__init__()
        if matching not in MATCHINGS:
            raise UserError(f"matching={matching}: not known, there are {', '.join(MATCHINGS)}")
        self.matching = matching
        self.teacher_layers = [] if matching == "none" else teacher_layers(layers)
        depth = student_layers or layers
        self.same_depth = {layer: math.ceil((layer + 1) * depth / layers) - 1 for layer in self.teacher_layers}
        self.transform = nn.Linear(student_hidden or hidden, hidden, bias=False)
        nn.init.eye_(self.transform.weight)

    def forward(
        self,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor] | Mapping[int, Tensor],
        alive: Tensor,
        mask: Tensor | None = None,
        hidden: Tensor | None = None,
    ) -> Match:
        """
        Distances of all pairs are taken without autograd, and only the chosen ones with it.

        Args:
            student: outputs of its layers, (batch, token, kept hidden) each.
            teacher: outputs of its layers, by number, (batch, token, hidden) each; needs no gradient.
            alive: bool, (student layer,), as :func:`alive_layers` returns it.
            mask: bool, (batch, token), True for tokens; None counts padding, too, as the released code does.
            hidden: places of the student's dimensions among those that the map reads, (kept hidden,); None for all.
        """
        weight = self.transform.weight if hidden is None else self.transform.weight[:, hidden]
        pairs: dict[int, int | None] = {}
        losses = []
        below = len(student)  # for ``ordered``
        with torch.no_grad():
            mapped = [] if self.matching in ("fixed", "none") else [F.linear(states, weight) for states in student]
        for layer in reversed(self.teacher_layers):
            if self.matching == "fixed":
                pairs[layer] = self.same_depth[layer]
            else:
                candidates = [at for at in alive.nonzero().flatten().tolist() if at < below]
                with torch.no_grad():
                    distances = [_mean_square(mapped[at] - teacher[layer], mask) for at in candidates]
                nearest = int(torch.stack(distances).argmin()) if distances else None
                pairs[layer] = None if nearest is None else candidates[nearest]
                if self.matching == "ordered" and nearest is not None:
                    below = candidates[nearest]
            matched = pairs[layer]
            if matched is not None:
                losses.append(_mean_square(F.linear(student[matched], weight) - teacher[layer], mask))
        loss = torch.stack(losses).sum() if losses else student[0].new_zeros(())
        return Match(loss, dict(sorted(pairs.items())))

    @torch.no_grad()
    def keep(self, hidden: Tensor) -> None:
        """Read a student whose stream has lost dimensions.

        Args:
            hidden: the mask of its dimensions, (hidden,); 0 is gone.
        """
        self.transform.weight = nn.Parameter(self.transform.weight[:, hidden != 0].contiguous())
        self.transform.in_features = self.transform.weight.shape[1]


class DistillationObjective:
    """The loss of a student's output, answers and matched layers: what students of one shape learn in every stage."""

    def __init__(
        self,
        teacher: PreTrainedModel,
        student: PreTrainedModel,
        recipe: Recipe,
        examples: Examples,
        device: torch.device,
    ) -> None:
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
        self.outputs_of: OutputsOf | None = None
        """The teacher's, of a batch; None where nothing is learned from it."""
        if recipe.learn_from == "teacher" or self.layers.teacher_layers:
            how = recipe.student
            room = 0.0 if recipe.variant == "released" else how.teacher_gigabytes
            self.outputs_of = teacher_outputs(
                teacher, self.layers.teacher_layers, examples, device, how.precision, room
            )

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
        teacher = None if self.outputs_of is None else self.outputs_of(batch)
        if recipe.learn_from == "labels":
            answers = mean_loss(output, batch)
        else:
            assert teacher is not None
            answers = output_loss(output, teacher.output, labelled_tokens(batch), recipe.pred_direction)
        values = {"prediction_loss": answers.detach()}
        if not self.layers.teacher_layers:
            return answers, values
        assert teacher is not None
        dtype = self.layers.transform.weight.dtype  # under autocast, states may have another
        match = self.layers(
            [states.to(dtype) for states in output.hidden_states[1:]],
            {layer: states.to(dtype) for layer, states in teacher.states.items()},
            alive, tokens if recipe.variant == "paper" else None, hidden,
        )  # fmt: skip
        self.matches = match.pairs
        loss = recipe.prediction_weight * answers + (1 - recipe.prediction_weight) * match.loss
        return loss, values | {"layer_loss": match.loss.detach()}

    def notes(self, stage: str) -> dict[str, Any]:
        """The match of the last step, by name, and the stage that it was of."""
        return {**{f"match_{layer}": at for layer, at in self.matches.items()}, "stage": stage}


def alive_layers(masks: Masks, matching: str) -> Tensor:
    """Student layers that may match, bool, (layer,): by the gates of their sublayers.

    A sublayer without heads or neurons is as dead as one whose own gate is 0.
    """
    [kind] = masks.heads
    attention = (masks.layers[kind] != 0) & (masks.heads[kind] != 0).any(-1)
    ffn = (masks.layers["ffn"] != 0) & (masks.neurons != 0).any(-1)
    if matching == "paper":
        return ffn
    return attention | ffn if matching == "ordered" else torch.ones_like(ffn)


def _mean_square(difference: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over dimensions and tokens, ()."""
    squares = difference.square().mean(-1)
    return squares.mean() if mask is None else (squares * mask).sum() / mask.sum()
