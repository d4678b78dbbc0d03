"""Small modules that stand where surgery removed every head or every neuron of a sublayer.

Matrices with a dimension of zero run in PyTorch, but ONNX Runtime refuses them and they hide the saved time;
these modules compute the same thing without them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class BiasOnly(nn.Module):
    """An output projection without inputs: its bias everywhere, or zeros when the sublayer is removed."""

    bias: Tensor | None

    def __init__(self, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @property
    def removed(self) -> bool:
        """Whether nothing is left, not even the bias."""
        return self.bias is None

    def forward(self, hidden: Tensor) -> Tensor:
        """From ``(..., any size)`` to ``(..., d)``, or to zeros of shape ``(..., 1)`` that broadcast."""
        zeros = torch.zeros_like(hidden[..., :1])
        return zeros if self.bias is None else zeros + self.bias


class FirstFeature(nn.Module):
    """In place of the FFN's first projection when no neuron is left: one number per position, never used."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[..., :1]


class HeadlessAttention(nn.Module):
    """An attention module that lost every head; its output no longer depends on other positions.

    ``norm`` is given for families whose attention module also adds the residual and normalises, ``layer_idx`` for a
    decoder's, under which the cache of keys and values knows it.
    """

    def __init__(
        self, output: BiasOnly, dropout: nn.Module, norm: nn.LayerNorm | None, layer_idx: int | None = None
    ) -> None:
        super().__init__()
        self.output = output
        self.dropout = dropout
        self.norm = norm
        self.layer_idx = layer_idx

    def forward(
        self, hidden_states: Tensor, *_args: Any, past_key_values: Any = None, key_value_states: Any = None,
        **_kwargs: Any,
    ) -> tuple[Tensor, None]:  # fmt: skip
        if past_key_values is not None and key_value_states is None and self.layer_idx is not None:
            # transformers asks the first layer's self attention how many tokens it has seen: one number for each
            seen = hidden_states[:, None, :, :1]
            cache = getattr(past_key_values, "self_attention_cache", past_key_values)
            cache.update(seen, seen, self.layer_idx)
        output = self.dropout(self.output(hidden_states))
        if self.norm is not None:
            output = self.norm(hidden_states + output)
        return output, None
