"""The learned gates of a model: hidden dimensions, attention and FFN sublayers, heads and neurons.

A gate is 0, 1 or in between by chance, and gradients can learn it (Louizos et al. 2018, as CoFi uses them): a binary
concrete variable, stretched from (0, 1) to (-0.1, 1.1) and clamped to [0, 1], so that exactly 0 and exactly 1 have a
probability of their own. Its one parameter is log alpha.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prunekit.config.choices import UNITS
from prunekit.models.blocks import describe
from prunekit.models.families.table import encoder_of
from prunekit.models.masks import Masks
from prunekit.models.residual import stream_readers
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LOW, HIGH = -0.1, 1.1
"""Ends of the stretched interval."""
TEMPERATURE = 2 / 3
EPSILON = 1e-6
"""Probabilities, and the uniform numbers of samples, stay this far from 0 and 1."""
SOFTENING = 0.8
"""Factor on log alpha in the gates that evaluation uses."""
LARGEST = math.log(100)
"""Most that log alpha may be by magnitude: no gate is 0 with a probability above 0.953 or below 0.002."""
INITIAL = {"hidden": 10.0, "layers": 10.0, "heads": 10.0, "neurons": 0.0}
"""Mean of log alpha at the start. The neurons' comes from a drop rate of 0.5 in the released code, so that 11 % of
BERT-base is expected to be gone before anything is learned."""
SPREAD = 0.01
"""Standard deviation of log alpha at the start."""


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


class Gates(nn.Module):
    """log alpha of every gate of a model; groups that are not pruned have none and stay open.

    Rows are physical layers, so a shared layer of ALBERT is one row.
    """

    def __init__(
        self, model: PreTrainedModel, units: Collection[str] = UNITS, seed: int = 0, *, skip_norms: bool = False
    ) -> None:
        """
        Args:
            model: not pruned.
            units: groups that are pruned.
            seed: of the start.
            skip_norms: see :class:`prunekit.Masks`.

        Raises:
            UserError: an unknown group or none, a model that is pruned already, an encoder-decoder, or a task head
                from which hidden dimensions cannot go if they are among the units.
        """
        super().__init__()
        self.skip_norms = skip_norms
        unknown = [unit for unit in units if unit not in UNITS]
        if unknown or not units:
            raise UserError(f"units: {', '.join(unknown) or 'none'} given, there are {', '.join(UNITS)}")
        if hasattr(model.config, "prunekit"):
            raise UserError("model: it is pruned already; gates are learned on a whole model")
        encoder_of(model.config)
        if "hidden" in units:
            stream_readers(model)  # refuses a task head from which no dimension can go
        self.open = Masks.ones(describe(model), torch.float32, model.device)
        [self.kind] = self.open.heads
        generator = torch.Generator().manual_seed(seed)
        shapes: dict[str, list[Tensor | None]] = {
            "hidden": [self.open.hidden],
            "layers": [self.open.layers[self.kind], self.open.layers["ffn"]],
            "heads": [self.open.heads[self.kind]],
            "neurons": [self.open.neurons],
        }
        self.log_alpha = nn.ParameterDict()
        for unit in UNITS:
            for name, like in zip(_names(unit), shapes[unit], strict=True):
                assert like is not None
                start = INITIAL[unit] + SPREAD * torch.randn(like.shape, generator=generator)
                if unit in units:
                    self.log_alpha[name] = nn.Parameter(start.to(model.device))

    def sampled(self, generator: torch.Generator | None = None) -> Masks:
        """A draw of all gates, for one training step."""
        return self._masks(lambda log_alpha: sample(log_alpha, generator))

    @torch.no_grad()
    def evaluated(self, shift: float = 0.0) -> Masks:
        """The gates of evaluation and of the pruned model; a sublayer is 0 where that is more likely than not.

        Args:
            shift: more (or fewer) heads, neurons and hidden dimensions are 0, by so much of log alpha; sublayers are
                as they are.
        """
        return self._masks(deterministic, lambda log_alpha: deterministic(log_alpha, shift))

    def probabilities(self) -> Masks:
        """Probability of every gate not to be 0; differentiable."""
        return self._masks(lambda log_alpha: 1 - probability_of_zero(log_alpha))

    def constrain(self) -> None:
        """Bring every log alpha back into its range, as after each optimiser step."""
        for log_alpha in self.log_alpha.values():
            constrain(log_alpha)

    def _masks(self, of: Callable[[Tensor], Tensor], of_units: Callable[[Tensor], Tensor] | None = None) -> Masks:
        of_units = of_units or of

        def gates(name: str, start: Tensor | None) -> Tensor | None:
            if name not in self.log_alpha:
                return start
            log_alpha = self.log_alpha[name]
            # a sublayer's gate is a row of its own: whether it is 0 does not depend on other layers
            return of(log_alpha[:, None])[:, 0] if name in _names("layers") else of_units(log_alpha)

        heads, neurons = gates("heads", self.open.heads[self.kind]), gates("neurons", self.open.neurons)
        attention, ffn = gates("attention", self.open.layers[self.kind]), gates("ffn", self.open.layers["ffn"])
        assert heads is not None and neurons is not None and attention is not None and ffn is not None
        layers = {self.kind: attention, "ffn": ffn}
        return Masks({self.kind: heads}, neurons, layers, gates("hidden", self.open.hidden), self.skip_norms)


def _names(unit: str) -> tuple[str, ...]:
    return ("attention", "ffn") if unit == "layers" else (unit,)
