"""Masks and soft gates over heads, neurons and whole sublayers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prunekit.models.layout import Layout
from prunekit.support.errors import UserError


@dataclass
class Masks:
    """One entry per unit: bool (True is kept) or float (a soft gate).

    Rows are physical sublayers, so a shared layer of ALBERT is one row. In encoder-decoders, heads and layers of
    a kind have a row per layer of that stack; FFN rows are the encoder's layers, then the decoder's. Rows of an
    already pruned model have the width of its widest layer; entries that do not exist are False in :meth:`ones`
    and ignored everywhere.
    Every tensor may have a batch dimension in front, and heads also ``(batch, token)`` for gates by position.
    """

    heads: dict[str, Tensor]
    """By attention kind: ``(layer, head)``."""
    neurons: Tensor
    """``(FFN layer, neuron)``."""
    layers: dict[str, Tensor]
    """By attention kind, and ``ffn``: ``(layer,)``, the sublayer with its bias."""
    hidden: Tensor | None = None
    """Dimensions of the residual stream: ``(hidden,)``; None keeps all of them, as encoder-decoders must."""
    skip_norms: bool = False
    """A sublayer whose own gate is exactly 0 loses the LayerNorm after it, too, and gives its input back, as the
    released code of CoFi has it; by default that LayerNorm stays, so that the output is continuous in the gate."""

    @classmethod
    def ones(
        cls, layout: Layout, dtype: torch.dtype = torch.bool, device: torch.device | str | None = None
    ) -> Masks:
        """Everything that a model has is kept."""

        def row(count: int, width: int) -> Tensor:
            return (torch.arange(width, device=device) < count).to(dtype)

        heads, layers = {}, {}
        for kind in layout.kinds:
            shapes = layout.of_kind(kind)
            width = max(shape.heads for shape in shapes)
            heads[kind] = torch.stack([row(shape.heads, width) for shape in shapes])
            layers[kind] = torch.tensor([not shape.removed for shape in shapes], device=device).to(dtype)
        width = max(shape.neurons for shape in layout.ffn)
        neurons = torch.stack([row(shape.neurons, width) for shape in layout.ffn])
        layers["ffn"] = torch.tensor([not shape.removed for shape in layout.ffn], device=device).to(dtype)
        hidden = torch.ones(layout.hidden, dtype=dtype, device=device) if layout.is_encoder else None
        return cls(heads, neurons, layers, hidden)

    def kept(self) -> Masks:
        """Bool masks of the units whose gate is not 0."""
        hidden = None if self.hidden is None else self.hidden != 0
        return Masks(
            {kind: mask != 0 for kind, mask in self.heads.items()}, self.neurons != 0,
            {kind: mask != 0 for kind, mask in self.layers.items()}, hidden, self.skip_norms,
        )  # fmt: skip

    def to(self, device: torch.device) -> Masks:
        """The same masks, with gradients, on a device."""
        hidden = None if self.hidden is None else self.hidden.to(device)
        return Masks(
            {kind: mask.to(device) for kind, mask in self.heads.items()}, self.neurons.to(device),
            {kind: mask.to(device) for kind, mask in self.layers.items()}, hidden, self.skip_norms,
        )  # fmt: skip

    @property
    def heads_kept(self) -> int:
        """Heads whose mask is not zero, over all kinds, whether or not their sublayer is kept."""
        return sum(int(mask.count_nonzero()) for mask in self.heads.values())

    @property
    def neurons_kept(self) -> int:
        """Neurons whose mask is not zero."""
        return int(self.neurons.count_nonzero())

    def check(self, layout: Layout, *, batched: bool = True) -> None:
        """Raise a :class:`UserError` for the first field whose shape does not fit the model.

        Args:
            batched: whether leading dimensions are allowed.
        """
        right = Masks.ones(layout)
        for name in ("heads", "layers"):
            given, wanted = getattr(self, name), getattr(right, name)
            if not isinstance(given, dict):
                raise UserError(
                    f"masks.{name} is a {type(given).__name__}; this model needs a dict with {sorted(wanted)}"
                )
            if set(given) != set(wanted):
                raise UserError(
                    f"masks.{name} has entries for {sorted(given)}; this model needs {sorted(wanted)}"
                )
        for kind, tensor in right.heads.items():
            _check_shape(f"heads[{kind!r}]", self.heads[kind], tensor, leading=2 if batched else 0)
        _check_shape("neurons", self.neurons, right.neurons, leading=1 if batched else 0)
        for kind, tensor in right.layers.items():
            _check_shape(f"layers[{kind!r}]", self.layers[kind], tensor, leading=1 if batched else 0)
        if self.hidden is not None:
            if right.hidden is None:
                raise UserError(
                    f"masks.hidden: {layout.family} is an encoder-decoder, dimensions of the residual stream can go "
                    "from encoders only; give None"
                )
            _check_shape("hidden", self.hidden, right.hidden, leading=1 if batched else 0)
            if not (self.hidden != 0).any(-1).all():
                raise UserError("masks.hidden keeps no dimension; a model needs one at least")


def check_masks(masks: Any, layout: Layout, *, batched: bool = True) -> None:
    """:meth:`Masks.check` of what users give.

    Raises:
        UserError: it is of another type, or its shape does not fit the model.
    """
    if not isinstance(masks, Masks):
        raise UserError(
            f"masks: a {type(masks).__name__}, give prunekit.Masks: Masks.ones(prunekit.describe(model)) keeps "
            "everything, masks.heads['self'][0, 1] = False then takes a head"
        )
    masks.check(layout, batched=batched)


def _check_shape(name: str, given: Tensor, right: Tensor, leading: int) -> None:
    if not isinstance(given, Tensor):
        raise UserError(f"masks.{name} is a {type(given).__name__}; this model needs a tensor {tuple(right.shape)}")
    extra = given.dim() - right.dim()
    if not 0 <= extra <= leading or given.shape[extra:] != right.shape:
        allowed = " (a batch dimension may go in front)" if leading else " (no batch dimension here)"
        raise UserError(
            f"masks.{name} has shape {tuple(given.shape)}; this model needs {tuple(right.shape)}{allowed}"
        )
