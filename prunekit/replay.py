"""The equations of a layer, to run a model's suffix again without running the model.

Rows of one length run together and without padding, so there is no attention mask; the classifier reads only
the first token, so the last layer is computed for that token alone. All of it is differentiable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from prunekit.blocks import Block
from prunekit.errors import UserError

Batch = dict[str, Tensor]


def equal_length_groups(batches: Iterable[Batch], group_size: int) -> Iterator[Batch]:
    """The rows of all batches again, in groups of exactly one length each, shortest first.

    Args:
        batches: ``attention_mask`` and other tensors of shape (batch, token), padded on the right; tensors of
            shape (batch,) go along.
        group_size: the most tokens of a group; a single row may be longer.

    Raises:
        UserError: a row has padding before or between its tokens, or no token at all.
    """
    parts: dict[int, list[Batch]] = defaultdict(list)
    for number, batch in enumerate(batches):
        mask = batch["attention_mask"].bool()
        lengths = mask.sum(1)
        prefix = torch.arange(mask.shape[1], device=mask.device) < lengths[:, None]
        if not torch.equal(mask, prefix) or not bool(lengths.all()):
            raise UserError(
                f"batch {number}: padding must come after the tokens of a row, and no row be empty"
            )
        for length in lengths.unique().tolist():
            rows = lengths == length
            parts[length].append(
                {
                    name: value[rows, :length] if value.dim() == 2 else value[rows]
                    for name, value in batch.items()
                }
            )
    for length in sorted(parts):
        merged = {name: torch.cat([part[name] for part in parts[length]]) for name in parts[length][0]}
        splits = {name: value.split(max(1, group_size // length)) for name, value in merged.items()}
        for pieces in zip(*splits.values(), strict=True):
            yield dict(zip(splits, pieces, strict=True))


def context(block: Block, x: Tensor) -> Tensor:
    """Input of the attention output projection.

    Args:
        x: input of the layer, (row, token, d), without padding.

    Returns:
        (row, token, heads * head size); ``x`` itself if no head is left, which nothing then reads.
    """
    if block.q is None or block.k is None or block.v is None:
        return x
    q, k, v = (
        projection(x).unflatten(-1, (block.heads, block.head_size)).transpose(1, 2)
        for projection in (block.q, block.k, block.v)
    )
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def first_token_context(block: Block, x: Tensor) -> Tensor:
    """:func:`context` of the first token only, (row, 1, heads * head size).

    With a single query, keys and values of the other tokens need not be computed: q·(K x) = (Kᵀq)·x and
    Σ a (V x) = V (Σ a x). The bias of the keys adds the same to all scores of a head, which softmax cancels.
    """
    if block.q is None or block.k is None or block.v is None:
        return x[:, :1]
    by_head = (block.heads, block.head_size)
    q = block.q(x[:, 0]).unflatten(-1, by_head)
    k, v = (projection.weight.unflatten(0, by_head) for projection in (block.k, block.v))
    scores = torch.einsum("rhk,hkd->rhd", q, k) @ x.transpose(1, 2)
    mixed = (scores * block.head_size**-0.5).softmax(-1) @ x
    return torch.einsum("rhd,hkd->rhk", mixed, v).flatten(1).add(block.v.bias).unsqueeze(1)


def finish(block: Block, x: Tensor, attended: Tensor) -> Tensor:
    """Output of a layer.

    Args:
        x: input of the layer, (..., token, d).
        attended: output of the attention output projection, broadcast against ``x``.
    """
    y = block.attention_norm(x + attended)
    return block.ffn_norm(y + block.ffn_out(block.activation(block.ffn_in(y))))
