"""A plain PyTorch encoder of given shapes: what a pruned model could be at best.

Nothing of transformers' layers or of what surgery leaves is in it, only matrices of the sizes that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunekit.models.blocks import Block, blocks, call_order
from prunekit.models.families.table import classify, encoder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class HandBuilt(nn.Module):
    """A sequence classifier with the layers of another written out; its weights are copies, so are its outputs.

    Embeddings and head are the other's own modules.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.config, self._model = model.config, [model]  # in a list: its layers are no part of this one
        family = encoder_of(model.config)
        self.embeddings = nn.ModuleList(_submodules(model.base_model, family.embeddings))
        self.head = nn.ModuleList(_submodules(model, [path.rstrip(".") for path in family.head_parameters]))
        self.layers = nn.ModuleList([Layer(block) for block in blocks(model)])
        self.order = call_order(model)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Token ids, without a mask all of them words, (batch, token) to logits (batch, label)."""
        x = input_ids
        for place, part in enumerate(self.embeddings):
            x = part(x) if place or token_type_ids is None else part(x, token_type_ids=token_type_ids)
        seen = None if attention_mask is None else attention_mask[:, None, None].bool()
        for index in self.order:
            x = self.layers[index](x, seen)
        return classify(self._model[0], x)


class Layer(nn.Module):
    """Attention and FFN with residuals and LayerNorm after them; a sublayer without units is its bias, and one that
    was removed is nothing."""

    activation: Callable[[Tensor], Tensor]

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.heads, self.head_size, self.activation = block.heads, block.head_size, block.activation
        self.qkv = nn.ModuleList()
        if block.heads:
            self.qkv.extend([_copy(part) for part in (block.q, block.k, block.v)])
            self.out = _copy(block.o)
        if block.neurons:
            self.ffn_in, self.ffn_out = _copy(block.ffn_in), _copy(block.ffn_out)
        self.neurons, self.bias = block.neurons, block.bias
        self.register_buffer("attention_rest", _bias(block.o))
        self.register_buffer("ffn_rest", _bias(block.ffn_out))
        self.attention_norm, self.ffn_norm = block.attention_norm, block.ffn_norm

    def forward(self, x: Tensor, seen: Tensor | None) -> Tensor:
        """Hidden states (batch, token, d), of which all tokens see those that ``seen``, (batch, 1, 1, token), says."""
        rows, tokens, _ = x.shape
        attended: Any = self.attention_rest
        if self.heads:
            shape = (rows, tokens, self.heads, self.head_size)
            q, k, v = (part(x).view(shape).transpose(1, 2) for part in self.qkv)
            context = F.scaled_dot_product_attention(q, k, v, _scores(self.bias(x), seen)).transpose(1, 2)
            attended = self.out(context.reshape(rows, tokens, -1))
        y = self.attention_norm(x if attended is None else x + attended)
        changed: Any = self.ffn_out(self.activation(self.ffn_in(y))) if self.neurons else self.ffn_rest
        return self.ffn_norm(y if changed is None else y + changed)


def _submodules(model: nn.Module, paths: Iterable[str]) -> list[nn.Module]:
    """Those of these that a model has."""
    parts = {name for name, _ in model.named_modules()}
    return [model.get_submodule(path) for path in paths if path in parts]


def _scores(bias: Tensor | None, seen: Tensor | None) -> Tensor | None:
    """What attention adds to its scores, or where it looks; None for nothing and everywhere."""
    if bias is None or seen is None:
        return seen if bias is None else bias
    return bias.masked_fill(~seen, -torch.inf)


def _copy(linear: Any) -> nn.Linear:
    made = nn.Linear(linear.in_features, linear.out_features, dtype=linear.weight.dtype, device=linear.weight.device)
    made.load_state_dict({"weight": linear.weight.detach(), "bias": linear.bias.detach()})
    return made


def _bias(projection: Any) -> Tensor | None:
    """What is left of a sublayer without units; None where nothing is."""
    bias = projection.bias
    return None if bias is None else bias.detach().clone()
