"""What a row of the architecture table says about a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class HeadBias:
    """What every head adds to its scores besides queries times keys, from parameters outside its projections, as
    relative positions are.

    The parameters are a table of all heads that layers share: they stay whole, and a pruned layer takes what belongs
    to the heads that it has left. So its attention has to know which these are, and to be of any width.
    """

    scores: Callable[[Any, Tensor], Tensor]
    """From the base model and the layer's input, (row, token, d), to (1, head of the unpruned model, query, key)."""
    argument: str
    """Of the attention's call, by which transformers gives these scores."""
    install: Callable[[Any, Any], None]
    """Turns the module of transformers that has the projections, given with the configuration, in place into one that
    has as many heads as they have, a buffer ``remaining``, (head,): their indices in the unpruned model, and both
    attention implementations. What was turned stays as it is."""


@dataclass(frozen=True)
class AttentionPaths:
    """Where the parts of an attention sublayer are; from a layer."""

    kind: str
    """``self`` in encoders; ``enc-enc``, ``enc-dec`` (cross attention) and ``dec-dec`` in encoder-decoders."""
    q: str
    k: str
    v: str
    o: str
    attention: str
    """The module that can be replaced as a whole when no head is left."""
    probability_dropout: str
    """Dropout of attention probabilities: a module, or a number in functional style."""
    attention_dropout: str | None
    """Dropout between ``o`` and the residual, if it is a module inside ``attention``."""
    attention_norm: str
    bias: HeadBias | None = None

    @property
    def computing(self) -> str:
        """The module that has the projections of queries, keys and values."""
        return self.q.rpartition(".")[0]

    @property
    def norm_inside(self) -> bool:
        """Whether ``attention`` adds the residual and normalises by itself."""
        return self.attention_norm.startswith(self.attention + ".")


@dataclass(frozen=True)
class FFNPaths:
    """Where the parts of an FFN sublayer are; from a layer."""

    ffn_in: str
    activation: str
    ffn_out: str
    ffn_norm: str


@dataclass(frozen=True)
class Stack:
    """Layers of one form, each with its attention sublayers and the FFN sublayer after them."""

    layers: str
    """From the base model; ``*`` stands for every entry of a module list."""
    attention: tuple[AttentionPaths, ...]
    """One entry per attention kind."""
    ffn: FFNPaths
    heads: str = "num_attention_heads"
    """Field of the configuration: heads of an attention that was not pruned."""
    neurons: str = "intermediate_size"
    """Field of the configuration: neurons of an FFN that was not pruned."""
    depth: str = "num_hidden_layers"
    """Field of the configuration: layers."""
    decoder: bool = False


@dataclass(frozen=True)
class Residual:
    """What writes the residual stream before the first layer and reads it after the last.

    Layers write it through ``o``, ``ffn_out`` and their LayerNorms, and read it through ``q``, ``k``, ``v`` and
    ``ffn_in``.
    """

    tables: tuple[str, ...]
    """Embedding tables, from the base model."""
    norm: str
    """LayerNorm over their sum."""
    projection: str | None
    """Projection of what is embedded to the hidden size; where a model has it, it alone writes the stream."""
    readers: tuple[str, ...]
    """Linear layers of the base model, from it; those that are there. Task heads have their own."""


ORDINARY: dict[str, Any] = {
    "position_embedding_type": "absolute",
    "relative_attention": False,
    "position_biased_input": True,
    "pruned_heads": {},
    "cross_attention_hidden_size": None,
}
"""Fields of a configuration that make another variant of a family, with the value that rows describe; where a field is
not there, or null, the family has no such variant, or the model is not of it."""


def _every_layer_once(config: PreTrainedConfig) -> list[int]:
    return list(range(config.num_hidden_layers))


@dataclass(frozen=True, kw_only=True)
class Family:
    """One row of the table."""

    model_type: str
    """As ``config.model_type`` says it."""
    stacks: tuple[Stack, ...]
    """One, or an encoder's and a decoder's."""
    embeddings: tuple[str, ...]
    """Modules of the base model that count as embeddings, with the projection to the hidden size."""
    task_heads: Mapping[str, tuple[str, ...] | None]
    """By what its class is called after the family's name: linear layers of the head that read the stream, from the
    task model; None where it reads the embeddings again, so that no dimension of the stream can go."""
    call_order: Callable[[PreTrainedConfig], list[int]] = _every_layer_once
    """Physical layer of every position in the sequence of layers; of a decoder's after the encoder's."""

    ordinary: dict[str, Any] = field(default_factory=dict)
    """As :data:`ORDINARY`, for this family alone."""
    sizes: tuple[str, ...] = (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
    )  # fmt: skip
    """Fields of the configuration that are sizes, whole numbers from 1."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Attention kinds."""
        return tuple(paths.kind for stack in self.stacks for paths in stack.attention)


def _token_head(model: Any, hidden: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(hidden))
    return logits


@dataclass(frozen=True, kw_only=True)
class Encoder(Family):
    """A family of encoders, with what their task heads and their residual stream need."""

    head_parameters: tuple[str, ...]
    """Prefixes of the task head's parameters, which fine-tuning may create."""
    residual: Residual
    """The residual stream outside of the layers."""
    classify: Callable[[Any, Tensor], Tensor]
    """Sequence-classification head: (batch, at least 1 token, d) to logits; reads the first token only. The model is
    ``Any`` here and in the rows: to a type checker a submodule of a model of transformers may be a tensor."""
    tag: Callable[[Any, Tensor], Tensor] = _token_head
    """Token-classification head: (batch, token, d) to logits of every token."""


@dataclass(frozen=True, kw_only=True)
class Translator(Family):
    """A family of encoder-decoders, with what their layers are given."""

    embed_source: Callable[[Any, Tensor], Tensor]
    """Input of the first encoder layer, (batch, token, d), from a translation model and token ids."""
    embed_target: Callable[[Any, Tensor, int], Tensor]
    """Input of the first decoder layer, (batch, beam, d), from a translation model, the ids of one word of every beam,
    (batch, beam), and its position."""
