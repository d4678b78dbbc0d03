"""Fake quantisation as in Q8BERT (Zafrir et al. 2019): a model computes with numbers of 8 bits, in float.

Symmetric and linear, without a zero point: Q(x) = clamp(round(x S), -127, 127), and what a layer computes with is
Q(x) / S, in float32 also under autocast. Weights have S = 127 / max |W|, the inputs of linear layers S = 127 /
EMA(max |x|), an exponential moving average that is taken while the model trains. Plain linear layers and embeddings (no
subclasses) are quantised, biases, softmax and LayerNorm are not. Backwards the rounding and the clamping are the
identity (the straight-through estimator). Where the authors' code does something else: ``docs/deviations.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prunekit.models.blocks import describe

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LEVELS = 127
"""The largest whole number on either side of 0."""
RANGE = "input_range"
"""Buffer of a linear layer, (): the moving average of max |x| of its inputs, 0 before the first."""


class StraightThrough(torch.autograd.Function):
    """Rounds to multiples of ``largest / 127`` and clamps at ``largest``; its gradient is that of the identity."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, largest: Tensor) -> Tensor:
        # of zeros there is nothing to round, and a scale of 0 would make NaN of them
        scale = torch.where(largest > 0, largest, torch.ones_like(largest)) / LEVELS
        place = torch.zeros((), dtype=torch.int32, device=values.device)
        return torch.fake_quantize_per_tensor_affine(values, scale.float(), place, -LEVELS, LEVELS)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return gradients[0], None


def fake_quantized(values: Tensor, largest: Tensor) -> Tensor:
    """What is left of numbers in 8 bits, of their own shape, in float32.

    Args:
        largest: (), what 127 stands for.
    """
    quantized: Tensor = StraightThrough.apply(values.float(), largest)
    return quantized


@contextmanager
def fake_quantization(model: PreTrainedModel, decay: float = 0.99) -> Iterator[None]:
    """All plain linear layers and embeddings (`nn.Linear` and `nn.Embedding`, no subclasses) of a model, pruned or not,
    in 8 bits; afterwards as they were, on errors too.

    In training mode each linear layer goes on averaging the range of its inputs; in eval mode it takes what it has.
    The averages are buffers meanwhile, so that a checkpoint has them. What was learned stays in the weights, which are
    never rounded themselves.

    Args:
        decay: of the moving average; what a batch adds is 1 - decay, of the first one all.

    Raises:
        UserError: a model that is wrapped, compiled or quantised already, or of a family that is not known.
    """
    describe(model)
    with ExitStack() as undo:
        for module in model.modules():
            if type(module) is nn.Linear:
                module.register_buffer(RANGE, module.weight.new_zeros(()))
                undo.callback(module._buffers.pop, RANGE)
                _replace_forward(module, _Linear(module, decay), undo)
            elif type(module) is nn.Embedding:
                _replace_forward(module, _Embedding(module), undo)
        yield


def _replace_forward(module: nn.Module, forward: Any, undo: ExitStack) -> None:
    module.forward = forward
    undo.callback(module.__dict__.pop, "forward")


class _Linear:
    """What a linear layer computes in 8 bits."""

    def __init__(self, module: nn.Linear, decay: float) -> None:
        self.module, self.decay = module, decay

    def __call__(self, inputs: Tensor) -> Tensor:
        module, weight = self.module, self.module.weight
        quantized = fake_quantized(inputs, self._range(inputs))
        rounded = fake_quantized(weight, weight.detach().abs().amax())
        with torch.autocast(inputs.device.type, enabled=False):  # bfloat16 has no place for all of 255 levels
            return F.linear(quantized, rounded, module.bias)

    @torch.no_grad()
    def _range(self, inputs: Tensor) -> Tensor:
        """What 127 stands for; a layer that has not been trained yet takes its input's own."""
        average: Tensor = self.module._buffers[RANGE]  # type: ignore[assignment]
        if not self.module.training and average > 0:
            return average
        largest = inputs.abs().amax().to(average.dtype)
        if self.module.training:
            average.copy_(torch.where(average > 0, self.decay * average + (1 - self.decay) * largest, largest))
            return average.clone()
        return largest


class _Embedding:
    """What an embedding computes in 8 bits."""

    def __init__(self, module: nn.Embedding) -> None:
        self.module = module

    def __call__(self, ids: Tensor) -> Tensor:
        weight = self.module.weight
        rows = F.embedding(ids, weight, self.module.padding_idx)  # few of the table's: they alone are rounded
        return fake_quantized(rows, weight.detach().abs().amax())
