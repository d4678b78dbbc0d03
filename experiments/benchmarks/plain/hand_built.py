"""A plain PyTorch encoder of given shapes: what a pruned model could be at best.

Nothing of transformers' layers or of what surgery leaves is in it, only matrices of the sizes that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F

from prunekit.models.blocks import Block, blocks, call_order
from prunekit.models.families.table import classify, family_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class HandBuilt(nn.Module):
    """A sequence classifier with the layers of another written out; its weights are copies, so are its outputs.

    Embeddings and head are the other's own modules. There is no padding.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.config, self._model = model.config, [model]  # in a list: not a submodule
        base = model.base_model
        paths = family_of(model.config).embeddings
        parts = {name for name, _ in base.named_modules()}
        self.embeddings = nn.ModuleList([base.get_submodule(path) for path in paths if path in parts])
        self.layers = nn.ModuleList([Layer(block) for block in blocks(model)])
        self.order = call_order(model)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Token ids (batch, token) to logits (batch, label)."""
        x = input_ids
        for part in self.embeddings:
            x = part(x)
        for index in self.order:
            x = self.layers[index](x)
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

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, _ = x.shape
        attended: Any = self.attention_rest
        if self.heads:
            shape = (rows, tokens, self.heads, self.head_size)
            q, k, v = (part(x).view(shape).transpose(1, 2) for part in self.qkv)
            seen = F.scaled_dot_product_attention(q, k, v, self.bias(x)).transpose(1, 2)
            attended = self.out(seen.reshape(rows, tokens, -1))
        y = self.attention_norm(x if attended is None else x + attended)
        changed: Any = self.ffn_out(self.activation(self.ffn_in(y))) if self.neurons else self.ffn_rest
        return self.ffn_norm(y if changed is None else y + changed)


def _copy(linear: Any) -> nn.Linear:
    made = nn.Linear(linear.in_features, linear.out_features, dtype=linear.weight.dtype, device=linear.weight.device)
    made.load_state_dict({"weight": linear.weight.detach(), "bias": linear.bias.detach()})
    return made


def _bias(projection: Any) -> Tensor | None:
    """What is left of a sublayer without units; None where nothing is."""
    bias = projection.bias
    return None if bias is None else bias.detach().clone()
