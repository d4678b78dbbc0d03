"""How large the weights of a head are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.models.blocks import attention_blocks, describe
from prunekit.models.masks import Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def head_magnitude(model: PreTrainedModel) -> dict[str, Tensor]:
    """L2 norm of all weights that belong to a head: its rows of the query, key and value matrices, and its
    columns of the output matrix (no biases)."""
    exists = Masks.ones(describe(model)).heads
    scores = {kind: torch.full(mask.shape, torch.nan, dtype=torch.float64) for kind, mask in exists.items()}
    for block in attention_blocks(model):
        if block.q is None or block.k is None or block.v is None:
            continue
        matrices = [block.q.weight, block.k.weight, block.v.weight, block.o.get_parameter("weight").T]
        by_head = torch.cat([m.detach().double().unflatten(0, (block.heads, -1)) for m in matrices], 1)
        scores[block.kind][block.layer, : block.heads] = by_head.flatten(1).norm(dim=1).cpu()
    return scores
