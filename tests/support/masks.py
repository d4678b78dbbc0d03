"""Masks of tiny models: soft, random, uneven; and the hooks that gates leave."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from prunekit.models.blocks import describe
from prunekit.models.masks import Masks


def soft_masks(model: PreTrainedModel, seed: int = 0, batch: int | None = None, hidden: bool = True) -> Masks:
    """Random gates in [0.2, 1.2], with a batch dimension if asked for."""
    generator = torch.Generator().manual_seed(seed)
    ones = Masks.ones(describe(model), torch.float64)

    def random(tensor: Tensor) -> Tensor:
        shape = tensor.shape if batch is None else (batch, *tensor.shape)
        return 0.2 + torch.rand(shape, generator=generator, dtype=torch.float64)

    return Masks(
        {kind: random(mask) for kind, mask in ones.heads.items()},
        random(ones.neurons),
        {kind: random(mask) for kind, mask in ones.layers.items()},
        random(ones.hidden) if hidden and ones.hidden is not None else None,
    )


def row_of(masks: Masks, row: int) -> Masks:
    """The gates of one example of a batch."""
    return Masks(
        {kind: mask[row] for kind, mask in masks.heads.items()},
        masks.neurons[row],
        {kind: mask[row] for kind, mask in masks.layers.items()},
        None if masks.hidden is None else masks.hidden[row],
    )


def hook_count(model: PreTrainedModel) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def random_masks(model: PreTrainedModel, seed: int, kept: float = 0.5) -> Masks:
    """Bool masks of heads and neurons, every unit kept with the given probability; all sublayers kept."""
    generator = torch.Generator().manual_seed(seed)
    masks = Masks.ones(describe(model))

    def random(mask: Tensor) -> Tensor:
        return mask & (torch.rand(mask.shape, generator=generator) < kept)

    return Masks(
        {kind: random(mask) for kind, mask in masks.heads.items()}, random(masks.neurons), masks.layers, masks.hidden
    )


def uneven_masks(model: PreTrainedModel) -> Masks:
    """Uneven heads and neurons; layer 0 without heads, 1 without neurons, the last FFN removed."""
    masks = random_masks(model, seed=3, kept=0.6)
    masks.heads["self"][0] = False
    masks.neurons[1] = False
    masks.layers["ffn"][-1] = False
    masks.heads["self"][1, 0] = True
    masks.neurons[0, 0] = True
    assert masks.hidden is not None
    masks.hidden[[2, 3, 11]] = False
    return masks
