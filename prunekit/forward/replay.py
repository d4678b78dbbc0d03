"""The equations of a layer, to run parts of a model without running the model.

A classifier of sequences reads only the first token, so the last layer is computed for that token alone. All of it is
differentiable.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunekit.data.batches import Batch, model_inputs
from prunekit.models.blocks import AttentionBlock, Block, blocks, call_order
from prunekit.models.families.table import classify, is_tagger
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
            raise UserError(f"batch {number}: padding must come after the tokens of a row, and no row be empty")
        for length in lengths.unique().tolist():
            rows = lengths == length
            parts[length].append(
                {name: value[rows, :length] if value.dim() == 2 else value[rows] for name, value in batch.items()}
            )
    for length in sorted(parts):
        merged = {name: torch.cat([part[name] for part in parts[length]]) for name in parts[length][0]}
        splits = {name: value.split(max(1, group_size // length)) for name, value in merged.items()}
        for pieces in zip(*splits.values(), strict=True):
            yield dict(zip(splits, pieces, strict=True))


def first_layer_input(model: PreTrainedModel, batch: Batch) -> Tensor:
    """What the embeddings give to the first layer, (row, token, d); nothing after them is run."""
    layers = blocks(model)
    first = layers[call_order(model)[0]].module
    hook = first.register_forward_pre_hook(_stop, with_kwargs=True)
    try:
        model(**model_inputs(batch, model.device))
    except _FirstLayerReached as reached:
        return reached.x
    finally:
        hook.remove()
    raise RuntimeError(f"{type(model).__name__} did not call its first layer")


class _FirstLayerReached(Exception):  # noqa: N818, a signal and no error
    def __init__(self, x: Tensor) -> None:
        self.x = x


def _stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    raise _FirstLayerReached(layer_input(args, kwargs))


def layer_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The hidden states among the arguments of a layer's call."""
    return args[0] if args else kwargs["hidden_states"]


def context(block: AttentionBlock, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Input of the attention output projection.

    Args:
        x: input of the layer, (row, token, d).
        mask: bool, (row, token), True for tokens; None if there is no padding.

    Returns:
        (row, token, heads * head size); ``x`` itself if no head is left, which nothing then reads.
    """
    if block.q is None or block.k is None or block.v is None:
        return x
    q, k, v = (
        projection(x).unflatten(-1, (block.heads, block.head_size)).transpose(1, 2)
        for projection in (block.q, block.k, block.v)
    )
    keys = None if mask is None else mask[:, None, None, :]
    bias = block.bias(x)
    if bias is not None:
        bias = bias.to(q.dtype)
        keys = bias if keys is None else bias.masked_fill(~keys, -torch.inf)
    return F.scaled_dot_product_attention(q, k, v, keys).transpose(1, 2).flatten(2)


def first_token_context(block: Block, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """:func:`context` of the first token only, (row, 1, heads * head size).

    With a single query, keys and values of the other tokens need not be computed: q·(K x) = (Kᵀq)·x and
    Σ a (V x) = V (Σ a x). The bias of the keys adds the same to all scores of a head, which softmax cancels.
    """
    if block.q is None or block.k is None or block.v is None:
        return x[:, :1]
    by_head = (block.heads, block.head_size)
    q = block.q(x[:, 0]).unflatten(-1, by_head)
    k, v = (projection.weight.unflatten(0, by_head) for projection in (block.k, block.v))
    scores = torch.einsum("rhk,hkd->rhd", q, k) @ x.transpose(1, 2) * block.head_size**-0.5
    bias = block.bias(x)
    if bias is not None:
        scores = scores + bias[:, :, 0].to(scores.dtype)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, :], -torch.inf)
    mixed = scores.softmax(-1) @ x
    return torch.einsum("rhd,hkd->rhk", mixed, v).flatten(1).add(block.v.bias).unsqueeze(1)


def last_context(model: PreTrainedModel, block: Block, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """:func:`context` in the last layer, of the tokens that the task head reads (:func:`read_tokens`)."""
    return context(block, x, mask) if is_tagger(model) else first_token_context(block, x, mask)


def read_tokens(model: PreTrainedModel, x: Tensor) -> Tensor:
    """Of states (row, token, ...) those that the task head reads in the end: of sequences the first token's."""
    return x if is_tagger(model) else x[:, :1]


def finish(block: Block, x: Tensor, attended: Tensor) -> Tensor:
    """Output of a layer.

    Args:
        x: input of the layer, (..., token, d).
        attended: output of the attention output projection, broadcast against ``x``.
    """
    y = block.attention_norm(x + attended)
    return block.ffn_norm(y + block.ffn_out(block.activation(block.ffn_in(y))))


def classifier_logits(model: PreTrainedModel, x: Tensor, mask: Tensor) -> Tensor:
    """Logits of a classifier of sequences, (row, label), or of tokens, (row, token, label), from the input of its first
    layer.

    The projections of every layer are called as modules, so hooks on them see what they would see in the model;
    in the last layer of a classifier of sequences, of the first token only.
    """
    layers = blocks(model)
    *order, final = (layers[index] for index in call_order(model))
    for block in order:
        x = finish(block, x, block.o(context(block, x, mask)))
    return classify(model, finish(final, read_tokens(model, x), final.o(last_context(model, final, x, mask))))


def check_equations(model: PreTrainedModel, replayed: Tensor, logits: Tensor) -> None:
    """Refuse to go on with the numbers of another model than the one at hand.

    Both round in the model's precision, after sums in another order; in bfloat16 that alone is some percent.

    Raises:
        RuntimeError: logits from the equations are not the model's own.
    """
    scale = float(logits.nan_to_num().abs().max())
    slack = max(1e-3, 16 * torch.finfo(logits.dtype).eps)
    if not torch.allclose(replayed, logits, rtol=slack, atol=slack * scale, equal_nan=True):
        difference = float((replayed - logits).abs().max())
        raise RuntimeError(
            f"{type(model).__name__}: its layers, run by their equations, do not give the model's own logits "
            f"(largest difference {difference:.1e}); is it changed by hooks?"
        )
