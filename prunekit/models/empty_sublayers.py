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
        """From ``(..., any size)`` to ``(..., d)``, or to zeros of shape ``(..., 1)`` that broadcast.

        In an exported graph the bias or a zero alone, which broadcast as well: of what depends on the input and is
        multiplied by nothing a graph would keep every operation, and at batch 1 a small model's latency shows them.
        """
        if torch.compiler.is_exporting():
            return hidden.new_zeros(1) if self.bias is None else self.bias
        zeros = torch.zeros_like(hidden[..., :1])
        return zeros if self.bias is None else zeros + self.bias


class FirstFeature(nn.Module):
    """In place of the FFN's first projection when no neuron is left: one number per position, never used."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden[..., :1]


class SkippedNorm(nn.Module):
    """In place of the LayerNorm after a sublayer that is gone with it: its input as it is."""

    def __init__(self, size: int) -> None:
        """
        Args:
            size: dimensions of the stream.
        """
        super().__init__()
        self.normalized_shape = (size,)

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden


class HeadlessAttention(nn.Module):
    """An attention module that lost every head; its output no longer depends on other positions.

    transformers finds the modules whose attention weights it returns (``output_attentions=True``) by their class:
    :meth:`in_place_of` makes one that counts as the module it replaces, so that the tuple has an entry a layer, here
    with no head.
    """

    replaced: type[nn.Module] = nn.Module
    """Class of the module that computed the attention."""

    def __init__(
        self, output: BiasOnly, dropout: nn.Module, norm: nn.Module | None, config: Any, layer_idx: int | None = None
    ) -> None:
        """
        Args:
            norm: of families whose attention module also adds the residual and normalises.
            config: of the model.
            layer_idx: of a decoder's attention, under which the cache of keys and values knows it.
        """
        nn.Module.__init__(self)  # not that of the class it counts as
        self.output = output
        self.dropout = dropout
        self.norm = norm
        self.config = config
        self.layer_idx = layer_idx

    @staticmethod
    def in_place_of(replaced: type[nn.Module]) -> type[HeadlessAttention]:
        """The class that counts as ``replaced``."""
        return _counting_as(replaced)

    def forward(
        self, hidden_states: Tensor, *_args: Any, past_key_values: Any = None, key_value_states: Any = None,
        **_kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        keys = hidden_states if key_value_states is None else key_value_states
        if past_key_values is not None and key_value_states is None and self.layer_idx is not None:
            # transformers asks the first layer's self attention how many tokens it has seen: one number for each
            seen = hidden_states[:, None, :, :1]
            cache = getattr(past_key_values, "self_attention_cache", past_key_values)
            keys = cache.update(seen, seen, self.layer_idx)[0][:, 0]
        output = self.dropout(self.output(hidden_states))
        if self.norm is not None:
            output = self.norm(hidden_states + output)
        if self.config._attn_implementation != "eager":
            return output, None  # as other attention, which has no weights to show there
        return output, hidden_states.new_zeros(len(hidden_states), 0, hidden_states.shape[1], keys.shape[1])

    def __reduce__(self) -> tuple[Any, ...]:
        return _empty, (self.replaced,), self.__dict__  # its class has no name of its own to be found by


_classes: dict[type[nn.Module], type[HeadlessAttention]] = {}


def _counting_as(replaced: type[nn.Module]) -> type[HeadlessAttention]:
    if replaced not in _classes:
        own = {"replaced": replaced, "__doc__": None}
        _classes[replaced] = type("HeadlessAttention", (HeadlessAttention, replaced), own)
    return _classes[replaced]


def _empty(replaced: type[nn.Module]) -> HeadlessAttention:
    kind = _counting_as(replaced)
    return kind.__new__(kind)
