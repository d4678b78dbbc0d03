"""The layers of a model, resolved through the architecture table.

For the input x of a layer::

    y = attention_norm(x + o(context))      context (batch, token, heads * head size): the heads side by side
    z = ffn_norm(y + ffn_out(activation(ffn_in(y))))

These two lines hold for pruned models too: a sublayer without heads or neurons has small modules in place of
its projections (see :mod:`prunekit.remnants`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from prunekit.architectures import Paths, family_of
from prunekit.layout import AttentionShape, FFNShape, Layout
from prunekit.remnants import BiasOnly, HeadlessAttention

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, eq=False)
class Block:
    """One physical layer with its modules resolved."""

    kind: str
    layer: int
    """Row of this block in masks and scores of its kind, 0-based."""
    calls: tuple[int, ...]
    """Positions in the sequence of layers that this block serves; several where layers are shared."""
    module: nn.Module
    """The whole layer."""
    paths: Paths
    q: nn.Linear | None
    k: nn.Linear | None
    v: nn.Linear | None
    o: nn.Module
    """Attention output projection; ``BiasOnly`` when no head is left."""
    attention_norm: nn.LayerNorm
    ffn_in: nn.Module
    activation: Callable[[Tensor], Tensor]
    ffn_out: nn.Module
    """FFN output projection; ``BiasOnly`` when no neuron is left."""
    ffn_norm: nn.LayerNorm
    heads: int
    """Heads that are left."""
    head_size: int
    neurons: int
    """Intermediate neurons that are left."""

    @property
    def attention_removed(self) -> bool:
        """Whether only residual and LayerNorm are left of the attention sublayer."""
        return isinstance(self.o, BiasOnly) and self.o.removed

    @property
    def ffn_removed(self) -> bool:
        """Whether only residual and LayerNorm are left of the FFN sublayer."""
        return isinstance(self.ffn_out, BiasOnly) and self.ffn_out.removed


def blocks(model: PreTrainedModel) -> list[Block]:
    """The physical layers of a task model or base model, pruned or not, in the order of mask rows."""
    family = family_of(model.config)
    order = family.call_order(model.config)
    return [
        _block(paths, row, layer, tuple(at for at, index in enumerate(order) if index == row), model.config)
        for paths in family.paths
        for row, layer in enumerate(_entries(model.base_model, paths.layers))
    ]


def call_order(model: PreTrainedModel) -> list[int]:
    """Index in :func:`blocks` of every position in the sequence of layers."""
    return family_of(model.config).call_order(model.config)


def describe(model: PreTrainedModel) -> Layout:
    """What there is to prune: heads and neurons per physical layer."""
    found = blocks(model)
    return Layout(
        family=model.config.model_type,
        hidden=found[0].attention_norm.normalized_shape[0],
        calls=len(call_order(model)),
        attention=tuple(
            AttentionShape(block.kind, block.layer, block.heads, block.head_size, block.attention_removed)
            for block in found
        ),
        ffn=tuple(FFNShape(block.layer, block.neurons, block.ffn_removed) for block in found),
    )


def set_probability_dropout(model: PreTrainedModel, p: float) -> None:
    """Drop attention probabilities at rate ``p`` from now on while training, in every attention that has heads."""
    for block in blocks(model):
        if block.heads:
            attrgetter(block.paths.probability_dropout)(block.module).p = p


def _entries(root: nn.Module, path: str) -> list[nn.Module]:
    modules = [root]
    for part in path.split("."):
        if part == "*":
            modules = [child for module in modules for child in module.children()]
        else:
            modules = [getattr(module, part) for module in modules]
    return modules


def _block(
    paths: Paths, row: int, layer: nn.Module, calls: tuple[int, ...], config: PreTrainedConfig
) -> Block:
    head_size = config.hidden_size // config.num_attention_heads
    attention = attrgetter(paths.attention)(layer)
    q = k = v = None
    if isinstance(attention, HeadlessAttention):
        o: nn.Module = attention.output
        norm: Any = attention.norm or attrgetter(paths.attention_norm)(layer)
    else:
        q, k, v, o, norm = (
            attrgetter(path)(layer) for path in (paths.q, paths.k, paths.v, paths.o, paths.attention_norm)
        )
    ffn_out = attrgetter(paths.ffn_out)(layer)
    return Block(
        kind=paths.kind,
        layer=row,
        calls=calls,
        module=layer,
        paths=paths,
        q=q,
        k=k,
        v=v,
        o=o,
        attention_norm=norm,
        ffn_in=attrgetter(paths.ffn_in)(layer),
        activation=attrgetter(paths.activation)(layer),
        ffn_out=ffn_out,
        ffn_norm=attrgetter(paths.ffn_norm)(layer),
        heads=0 if q is None else q.out_features // head_size,
        head_size=head_size,
        neurons=0 if isinstance(ffn_out, BiasOnly) else ffn_out.in_features,
    )
