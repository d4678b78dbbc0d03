"""The sublayers of a model, resolved through the architecture table.

:func:`attention_blocks` and :func:`ffn_blocks` are what can be gated and removed; :func:`blocks` are whole layers, one
of each, for what runs a model layer by layer. For the input x of a layer::

    y = attention_norm(x + o(context))      context (batch, token, heads * head size): the heads side by side
    z = ffn_norm(y + ffn_out(activation(ffn_in(y))))

These two lines hold for pruned models too: a sublayer without heads or neurons has small modules in place of
its projections (see :mod:`prunekit.models.empty_sublayers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from prunekit.models.empty_sublayers import BiasOnly, HeadlessAttention
from prunekit.models.families.anatomy import AttentionPaths, FFNPaths, Stack
from prunekit.models.families.table import encoder_of, family_of, task_head
from prunekit.models.layout import AttentionShape, FFNShape, Layout
from prunekit.models.wrappers import check_layers, check_wrappers

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, eq=False, kw_only=True)
class Sublayer:
    """What attention and FFN sublayers have in common."""

    layer: int
    """Row of this sublayer in masks and scores of its kind, 0-based."""
    calls: tuple[int, ...]
    """Positions in the sequence of layers that this sublayer serves; several where layers are shared."""
    module: nn.Module
    """The whole layer that it is in."""
    in_decoder: bool
    """Whether that layer is a decoder's; beam search gives those several rows for an example."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionBlock(Sublayer):
    """One physical attention sublayer with its modules resolved."""

    kind: str
    paths: AttentionPaths
    q: nn.Linear | None
    k: nn.Linear | None
    v: nn.Linear | None
    o: nn.Module
    """Attention output projection; ``BiasOnly`` when no head is left."""
    attention_norm: nn.LayerNorm
    heads: int
    """Heads that are left."""
    head_size: int
    bias_of_all: Callable[[Tensor], Tensor] | None
    """What the heads of the unpruned model add to their scores, from the layer's input, (row, token, d), to
    (1, head, query, key); None in families without."""

    def bias(self, x: Tensor) -> Tensor | None:
        """What the heads that are left add to their scores, (1, head, query, key), for the layer's input,
        (row, token, d); None in families without."""
        if self.bias_of_all is None:
            return None
        remaining = getattr(self.module.get_submodule(self.paths.computing), "remaining", None)
        return self.bias_of_all(x) if remaining is None else self.bias_of_all(x)[:, remaining]

    @property
    def attention_removed(self) -> bool:
        """Whether only residual and LayerNorm are left of the attention sublayer."""
        return isinstance(self.o, BiasOnly) and self.o.removed


@dataclass(frozen=True, eq=False, kw_only=True)
class FFNBlock(Sublayer):
    """One physical FFN sublayer with its modules resolved."""

    ffn_paths: FFNPaths
    ffn_in: nn.Module
    activation: Callable[[Tensor], Tensor]
    ffn_out: nn.Module
    """FFN output projection; ``BiasOnly`` when no neuron is left."""
    ffn_norm: nn.LayerNorm
    neurons: int
    """Intermediate neurons that are left."""

    @property
    def ffn_removed(self) -> bool:
        """Whether only residual and LayerNorm are left of the FFN sublayer."""
        return isinstance(self.ffn_out, BiasOnly) and self.ffn_out.removed


@dataclass(frozen=True, eq=False, kw_only=True)
class Block(AttentionBlock, FFNBlock):
    """One physical layer of an encoder: both of its sublayers, which have the same row, calls and module."""


def attention_blocks(model: PreTrainedModel) -> list[AttentionBlock]:
    """The attention sublayers of a task model or base model, pruned or not: kind by kind, in the order of mask rows."""
    sublayers = [
        _attention_block(paths, stack, row, calls, layer, model)
        for stack, row, calls, layer in _layers(model)
        for paths in stack.attention
    ]
    kinds = family_of(model.config).kinds
    return sorted(sublayers, key=lambda block: kinds.index(block.kind))


def ffn_blocks(model: PreTrainedModel) -> list[FFNBlock]:
    """The FFN sublayers of a task model or base model, pruned or not, in the order of mask rows: of an
    encoder-decoder the encoder's, then the decoder's."""
    return [
        _ffn_block(stack, row, calls, layer) for row, (stack, _, calls, layer) in enumerate(_layers(model))
    ]


def blocks(model: PreTrainedModel) -> list[Block]:
    """The physical layers of an encoder's task model or base model, pruned or not, in the order of mask rows.

    Raises:
        UserError: an encoder-decoder, whose layers are not all alike.
    """
    encoder_of(model.config)
    return [
        Block(**{**vars(attention), **vars(ffn)})
        for attention, ffn in zip(attention_blocks(model), ffn_blocks(model), strict=True)
    ]


def call_order(model: PreTrainedModel) -> list[int]:
    """Index in :func:`blocks` of every position in the sequence of layers."""
    return encoder_of(model.config).call_order(model.config)


def describe(model: PreTrainedModel) -> Layout:
    """What there is to prune: heads and neurons per physical sublayer.

    Raises:
        UserError: a family, a variant of one, a task head or a wrapper that is not supported.
    """
    check_wrappers(model)
    task_head(model)
    attention, ffn = attention_blocks(model), ffn_blocks(model)
    check_layers([*attention, *ffn], model.config.model_type)
    return Layout(
        family=model.config.model_type,
        hidden=attention[0].attention_norm.normalized_shape[0],
        calls=sum(len(block.calls) for block in ffn),
        attention=tuple(
            AttentionShape(block.kind, block.layer, block.heads, block.head_size, block.attention_removed)
            for block in attention
        ),
        ffn=tuple(FFNShape(block.layer, block.neurons, block.ffn_removed) for block in ffn),
    )


def set_probability_dropout(model: PreTrainedModel, p: float) -> None:
    """Drop attention probabilities at rate ``p`` from now on while training, in every attention that has heads."""
    for block in attention_blocks(model):
        if block.heads:
            owner, _, name = block.paths.probability_dropout.rpartition(".")
            holder = attrgetter(owner)(block.module)
            if isinstance(getattr(holder, name), nn.Dropout):
                holder, name = getattr(holder, name), "p"
            setattr(holder, name, p)


def attention_for_transformers(config: PreTrainedConfig, attention: str) -> str:
    """The implementation to build or load a model with, for :func:`set_attention` afterwards: transformers has no
    fused attention for families whose heads have a bias."""
    return "eager" if _has_bias(config) else attention


def set_attention(model: PreTrainedModel, attention: str) -> None:
    """Run a model with an attention implementation, ``sdpa`` or ``eager``, from now on."""
    if _has_bias(model.config):
        install_attention(model)
        model.config._attn_implementation = attention
    else:
        model.set_attn_implementation(attention)


def install_attention(model: PreTrainedModel) -> None:
    """Give a model in place the attention that its heads need to be removed one by one, where that is not
    transformers'; its outputs stay as they are."""
    for block in attention_blocks(model):
        if block.paths.bias is not None and block.heads:
            block.paths.bias.install(attrgetter(block.paths.computing)(block.module), model.config)


def _has_bias(config: PreTrainedConfig) -> bool:
    return any(paths.bias for stack in family_of(config).stacks for paths in stack.attention)


def _layers(model: PreTrainedModel) -> Iterator[tuple[Stack, int, tuple[int, ...], nn.Module]]:
    """Of every physical layer: its stack, its row there, the positions that it serves, and the layer."""
    family = family_of(model.config)
    order = family.call_order(model.config)
    physical_layers = [
        (stack, row, layer)
        for stack in family.stacks
        for row, layer in enumerate(_entries(model.base_model, stack.layers))
    ]
    for physical, (stack, row, layer) in enumerate(physical_layers):
        yield stack, row, tuple(at for at, index in enumerate(order) if index == physical), layer


def _entries(root: nn.Module, path: str) -> list[nn.Module]:
    modules = [root]
    for part in path.split("."):
        if part == "*":
            modules = [child for module in modules for child in module.children()]
        else:
            modules = [getattr(module, part) for module in modules]
    return modules


def _attention_block(
    paths: AttentionPaths, stack: Stack, row: int, calls: tuple[int, ...], layer: nn.Module, model: PreTrainedModel
) -> AttentionBlock:
    head_size = model.config.hidden_size // getattr(model.config, stack.heads)
    attention = attrgetter(paths.attention)(layer)
    q = k = v = None
    if isinstance(attention, HeadlessAttention):
        o: nn.Module = attention.output
        norm: Any = attention.norm or attrgetter(paths.attention_norm)(layer)
    else:
        q, k, v, o, norm = (
            attrgetter(path)(layer) for path in (paths.q, paths.k, paths.v, paths.o, paths.attention_norm)
        )
    return AttentionBlock(
        layer=row, calls=calls, module=layer, in_decoder=stack.decoder, kind=paths.kind, paths=paths,
        q=q, k=k, v=v, o=o, attention_norm=norm,
        heads=0 if q is None else q.out_features // head_size, head_size=head_size,
        bias_of_all=None if q is None or paths.bias is None else partial(paths.bias.scores, model.base_model),
    )  # fmt: skip


def _ffn_block(stack: Stack, row: int, calls: tuple[int, ...], layer: nn.Module) -> FFNBlock:
    paths = stack.ffn
    ffn_out = attrgetter(paths.ffn_out)(layer)
    return FFNBlock(
        layer=row, calls=calls, module=layer, in_decoder=stack.decoder, ffn_paths=paths,
        ffn_in=attrgetter(paths.ffn_in)(layer), activation=attrgetter(paths.activation)(layer),
        ffn_out=ffn_out, ffn_norm=attrgetter(paths.ffn_norm)(layer),
        neurons=0 if isinstance(ffn_out, BiasOnly) else ffn_out.in_features,
    )  # fmt: skip
