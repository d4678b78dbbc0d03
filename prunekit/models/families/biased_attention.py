"""Attention whose heads add a bias of their own to the scores: relative positions of MPNet (Song et al. 2020).

transformers' MPNet has no fused attention and takes the width of its heads from the configuration. What stands here in
place of it computes the same (``eager`` in the same order of operations, ``sdpa`` in one fused call with the bias as
its mask), with as many heads as its projections have.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention


class BiasedAttention(MPNetSelfAttention):
    """An attention module of MPNet with heads of any number, fused or not as its configuration says.

    The table of biases, (bucket, head), belongs to the encoder and is shared by all layers, so it stays whole;
    ``remaining`` says which of its columns are those of the heads that this layer has left.
    """

    remaining: Tensor
    """(head,), indices into the heads of the unpruned model. A buffer that no file holds: the surgery record does."""
    config: Any

    @staticmethod
    def in_place_of(attention: nn.Module, config: Any) -> None:
        """Turn an attention module of transformers into one of these, hooks and all; one of these stays as it is."""
        if isinstance(attention, BiasedAttention):
            return
        if type(attention) is not MPNetSelfAttention:
            raise TypeError(f"{type(attention).__name__} is no attention of MPNet")
        attention.__class__ = BiasedAttention
        heads = torch.arange(attention.num_attention_heads, device=attention.q.weight.device)
        attention.register_buffer("remaining", heads, persistent=False)
        attention.config = config

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        output_attentions: bool = False,
        **_: Any,
    ) -> tuple[Tensor | None, ...]:
        """
        Args:
            attention_mask: added to the scores, or bool, True for what is attended; broadcast against (row, head,
                query, key).
            position_bias: (row, head of the unpruned model, query, key), the same in every row.

        Returns:
            (row, token, d), and with ``output_attentions`` the weights, or None where they are fused.
        """
        q, k, v = (
            projection(hidden_states).unflatten(-1, (-1, self.attention_head_size)).transpose(1, 2)
            for projection in (self.q, self.k, self.v)
        )
        added = None if position_bias is None else _of_heads(position_bias[:1], self.remaining)
        if self.config._attn_implementation == "eager":
            scores = q @ k.transpose(-1, -2) / math.sqrt(self.attention_head_size)
            scores = scores if added is None else scores + added.to(scores.dtype)
            weights = self.dropout((scores if attention_mask is None else scores + attention_mask).softmax(-1))
            context = weights @ v
        else:
            weights = None
            dropout = self.dropout.p if self.training else 0.0
            context = F.scaled_dot_product_attention(q, k, v, _as_mask(added, attention_mask, q.dtype), dropout)
        context = context.transpose(1, 2)
        if torch.compiler.is_exporting():  # strides of the fused kernel are not those of what a graph has in its place
            context = context.clone(memory_format=torch.contiguous_format)
        output = self.o(context.flatten(2))
        return (output, weights) if output_attentions else (output,)


def _of_heads(bias: Tensor, remaining: Tensor) -> Tensor:
    return bias if len(remaining) == bias.shape[1] else bias[:, remaining]


def _as_mask(bias: Tensor | None, mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Both in one, of the queries' dtype."""
    if bias is None or mask is None:
        both = mask if bias is None else bias
        return both if both is None or both.dtype == torch.bool else both.to(dtype)
    if mask.dtype == torch.bool:
        return bias.to(dtype).masked_fill(~mask, -torch.inf)
    return (bias + mask).to(dtype)
