"""How much of a model gates leave, in expectation, and the constraint that steers it to a target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prunekit.cofi.learned_gates import LARGEST, Gates, probability_of_zero
from prunekit.config.choices import SPARSITY_TOLERANCE, VARIANTS
from prunekit.models.blocks import blocks, describe
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class PrunableSize:
    """Prunable parameters of a model as a function of its gates (Xia et al. 2022, Sec. 3.2)."""

    per_head: float
    """For each hidden dimension: four matrices of the head's size; ``released`` adds its biases, spread over them."""
    per_neuron: float
    """For each hidden dimension."""
    total: float
    """Of the whole model: without embeddings, LayerNorms and what follows the layers; ``released``: with biases."""
    weights_per_head: float
    """For each hidden dimension, without biases."""

    @classmethod
    def of(cls, model: PreTrainedModel, variant: str = "paper") -> PrunableSize:
        """Of a model that is not pruned.

        Raises:
            UserError: an unknown variant.
        """
        if variant not in VARIANTS:
            raise UserError(f"variant={variant}: not known, there are {', '.join(VARIANTS)}")
        layout, size = describe(model), blocks(model)[0].head_size
        hidden, heads, neurons, layers = layout.hidden, layout.heads, layout.neurons, len(layout.ffn)
        weights = 4.0 * size * heads * hidden + 2.0 * neurons * hidden
        if variant == "paper":
            return cls(4.0 * size, 2.0, weights, 4.0 * size)
        biases = 4.0 * layers * hidden + neurons + layers * hidden
        return cls(4.0 * size * (1 + 1 / hidden), 2.0, weights + biases, 4.0 * size)

    def remaining(self, masks: Masks) -> Tensor:
        """Parameters that gates leave, (), or in expectation, from the probability of each gate not to be 0.

        A parameter is there if all gates over it are not 0: its head or neuron, its sublayer, its hidden dimension.
        They are independent, so that the expectation of their product is the product of their expectations.
        """
        return self._kept(masks, self.per_head)

    def _kept(self, masks: Masks, per_head: float) -> Tensor:
        assert masks.hidden is not None
        [kind] = masks.heads
        heads = (masks.layers[kind][:, None] * masks.heads[kind]).sum()
        neurons = (masks.layers["ffn"][:, None] * masks.neurons).sum()
        return masks.hidden.sum() * (per_head * heads + self.per_neuron * neurons)

    def sparsity(self, masks: Masks) -> Tensor:
        """Share of the prunable parameters that is gone; of bool masks, or in expectation."""
        return 1 - self.remaining(masks) / self.total

    def counted(self, masks: Masks) -> Tensor:
        """Share that is gone of a model that was pruned by bool masks. ``released``: the weights that are left, without
        biases, of all with biases, as that code counts it; 0.001 for the whole of BERT-base."""
        return 1 - self._kept(masks, self.weights_per_head) / self.total


def reachable(gates: Gates, size: PrunableSize) -> tuple[float, float]:
    """Least and most expected sparsity that a model's gates can have."""
    ends = []
    for log_alpha in (LARGEST, -LARGEST):
        share = 1 - float(probability_of_zero(torch.tensor(log_alpha)))
        masks = gates.probabilities()
        learned = gates.log_alpha
        masks.heads = {kind: mask * 0 + share if "heads" in learned else mask for kind, mask in masks.heads.items()}
        masks.neurons = masks.neurons * 0 + share if "neurons" in learned else masks.neurons
        masks.layers = {
            kind: mask * 0 + share if "attention" in learned else mask for kind, mask in masks.layers.items()
        }
        assert masks.hidden is not None
        masks.hidden = masks.hidden * 0 + share if "hidden" in learned else masks.hidden
        ends.append(float(size.sparsity(masks).detach()))
    return ends[0], ends[1]


def fitted(gates: Gates, size: PrunableSize, target: float) -> Masks:
    """The gates of evaluation with as many zeros as the target asks for.

    A model's gates meet a target in expectation; rounded one by one, sublayers above all, they can miss it by
    points. The sublayers stay as they were decided, and of heads, neurons and hidden dimensions as many are 0, from
    the least likely on, as come nearest to the target; one shift of log alpha is the same for all of them.
    """

    def missing(shift: float) -> float:
        return float(size.sparsity(gates.evaluated(shift).kept())) - target

    low, high = -4 * LARGEST, 4 * LARGEST  # all that can stay stays, all that can go goes
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) < 0 else (low, middle)
    return gates.evaluated(min((low, high), key=lambda shift: abs(missing(shift))))


def missed_by(counted: float, target: float) -> str:
    """How far what was removed is from a target, in words; empty where it is there, within the tolerance."""
    if abs(counted - target) <= SPARSITY_TOLERANCE:
        return ""
    return f"the counted sparsity is {counted:.3f}, nothing nearer to {target:g} has this structure"


class Constraint(nn.Module):
    """Two Lagrange multipliers, λ1 (s - t) + λ2 (s - t)², minimised over gates and maximised over the multipliers.

    Both start at 0 and neither is bounded, as in the released code; whoever optimises them ascends.
    """

    def __init__(self, target: float, warmup_steps: int, start: float = 0.0) -> None:
        """
        Args:
            target: expected sparsity in the end, in (0, 1).
            warmup_steps: over which the target rises, linearly.
            start: from where it rises.
        """
        super().__init__()
        if not 0 < target < 1:
            raise UserError(f"sparsity: {target} is outside (0, 1); it is the share of prunable parameters that goes")
        self.target, self.warmup_steps, self.start = target, warmup_steps, start
        self.linear = nn.Parameter(torch.zeros(()))
        self.quadratic = nn.Parameter(torch.zeros(()))

    def target_at(self, step: int) -> float:
        """The target of a step, counted from the beginning of pruning."""
        share = min(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0
        return self.start + (self.target - self.start) * share

    def forward(self, sparsity: Tensor, step: int) -> Tensor:
        """The term of the loss, ()."""
        missing = sparsity - self.target_at(step)
        return self.linear * missing + self.quadratic * missing.square()


def check_reachable(target: float, gates: Gates, size: PrunableSize) -> None:
    """Raise a :class:`UserError` for a target that the chosen units cannot have, with what they can."""
    least, most = reachable(gates, size)
    if not least <= target <= most:
        low, high = math.ceil(least * 1e3) / 1e3, math.floor(most * 1e3) / 1e3
        raise UserError(
            f"sparsity: {target} is out of reach for gates of {', '.join(gates.log_alpha)}; they reach {low} to {high}"
        )
