"""Gates that are 0, 1 or in between by chance, and that gradients can learn (Louizos et al. 2018, as CoFi uses them).

A gate is a binary concrete variable, stretched from (0, 1) to (-0.1, 1.1) and clamped to [0, 1], so that exactly 0 and
exactly 1 have a probability of their own. Its one parameter is log alpha.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOW, HIGH = -0.1, 1.1
"""Ends of the stretched interval."""
TEMPERATURE = 2 / 3
EPSILON = 1e-6
"""Probabilities, and the uniform numbers of samples, stay this far from 0 and 1."""
SOFTENING = 0.8
"""Factor on log alpha in the gates that evaluation uses."""
LARGEST = math.log(100)
"""Most that log alpha may be by magnitude: no gate is 0 with a probability above 0.953 or below 0.002."""


def probability_of_zero(log_alpha: Tensor) -> Tensor:
    """Of each gate, in its shape; differentiable."""
    at_zero = TEMPERATURE * math.log(-LOW / HIGH) - log_alpha
    return at_zero.sigmoid().clamp(EPSILON, 1 - EPSILON)


def sample(log_alpha: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A draw of each gate, differentiable by log alpha where it is neither 0 nor 1.

    Args:
        generator: of the device that log alpha is on.
    """
    uniform = torch.rand(log_alpha.shape, generator=generator, device=log_alpha.device, dtype=log_alpha.dtype)
    uniform = uniform * (1 - 2 * EPSILON) + EPSILON
    concrete = ((uniform.logit() + log_alpha) / TEMPERATURE).sigmoid()
    return (concrete * (HIGH - LOW) + LOW).clamp(0, 1)


def deterministic(log_alpha: Tensor, shift: float = 0.0) -> Tensor:
    """The gates of evaluation and of the pruned model: in every row the expected number of zeros, rounded, is 0, and
    the others are soft, σ(0.8 log alpha / temperature), below 1.

    Args:
        log_alpha: (..., unit); a row is the last dimension. Of equal ones the first are 0.
        shift: taken from log alpha where zeros are counted, so that more of them (or fewer) are.
    """
    zeros = probability_of_zero(log_alpha - shift).sum(-1, keepdim=True).round()
    rank = log_alpha.sort(dim=-1, stable=True).indices.argsort(-1)
    soft = (log_alpha / TEMPERATURE * SOFTENING).sigmoid()
    return soft * (rank >= zeros)


@torch.no_grad()
def constrain(log_alpha: Tensor) -> None:
    """Bring log alpha back into its range, in place, as after every optimiser step."""
    log_alpha.clamp_(-LARGEST, LARGEST)
