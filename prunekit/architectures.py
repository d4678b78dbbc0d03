"""The architecture table: the only place that knows module paths.

Adding a family is one row of ``FAMILIES`` and its name in the shared test class.
All families here are post-LN encoders; :mod:`prunekit.blocks` resolves a row into the modules of a model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True)
class AttentionPaths:
    """Where the parts of an attention sublayer are; from a layer."""

    kind: str
    """Attention kind: ``self`` in encoders."""
    q: str
    k: str
    v: str
    o: str
    attention: str
    """The module that can be replaced as a whole when no head is left."""
    probability_dropout: str
    """Dropout of attention probabilities."""
    attention_dropout: str | None
    """Dropout between ``o`` and the residual, if it is inside ``attention``."""
    attention_norm: str

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
    """Linear layers of the base model (from it) and of task heads (from the task model); those that are there."""


def _every_layer_once(config: PreTrainedConfig) -> list[int]:
    return list(range(config.num_hidden_layers))


@dataclass(frozen=True)
class Family:
    """One row of the table."""

    model_type: str
    """As ``config.model_type`` says it."""
    stacks: tuple[Stack, ...]
    embeddings: tuple[str, ...]
    """Modules of the base model that count as embeddings, with the projection to the hidden size."""
    head_parameters: tuple[str, ...]
    """Prefixes of the task head's parameters, which fine-tuning may create."""
    residual: Residual
    """The residual stream outside of the layers."""
    classify: Callable[[Any, Tensor], Tensor]
    """Sequence-classification head: (batch, at least 1 token, d) to logits; reads the first token only."""
    call_order: Callable[[PreTrainedConfig], list[int]] = _every_layer_once
    """Physical layer of every position in the sequence of layers."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Attention kinds."""
        return tuple(paths.kind for stack in self.stacks for paths in stack.attention)


def _albert_order(config: PreTrainedConfig) -> list[int]:
    """Group g serves consecutive positions, and runs its inner layers at each of them."""
    inner: int = config.inner_group_num
    positions: int = config.num_hidden_layers
    groups = [int(position / (positions / config.num_hidden_groups)) for position in range(positions)]
    return [group * inner + index for group in groups for index in range(inner)]


def _bert_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(model.dropout(model.bert.pooler(hidden)))


def _classifier_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(hidden)


def _distilbert_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(model.dropout(model.pre_classifier(hidden[:, 0]).relu()))


def _albert_head(model: Any, hidden: Tensor) -> Tensor:
    base = model.albert
    return model.classifier(model.dropout(base.pooler_activation(base.pooler(hidden[:, 0]))))


_BERT_STACK = Stack(
    layers="encoder.layer.*",
    attention=(
        AttentionPaths(
            kind="self",
            q="attention.self.query",
            k="attention.self.key",
            v="attention.self.value",
            o="attention.output.dense",
            attention="attention",
            probability_dropout="attention.self.dropout",
            attention_dropout="attention.output.dropout",
            attention_norm="attention.output.LayerNorm",
        ),
    ),
    ffn=FFNPaths(
        ffn_in="intermediate.dense",
        activation="intermediate.intermediate_act_fn",
        ffn_out="output.dense",
        ffn_norm="output.LayerNorm",
    ),
)
_DISTILBERT_STACK = Stack(
    layers="transformer.layer.*",
    attention=(
        AttentionPaths(
            kind="self",
            q="attention.q_lin",
            k="attention.k_lin",
            v="attention.v_lin",
            o="attention.out_lin",
            attention="attention",
            probability_dropout="attention.dropout",
            attention_dropout=None,
            attention_norm="sa_layer_norm",
        ),
    ),
    ffn=FFNPaths(
        ffn_in="ffn.lin1",
        activation="ffn.activation",
        ffn_out="ffn.lin2",
        ffn_norm="output_layer_norm",
    ),
)
_ALBERT_STACK = Stack(
    layers="encoder.albert_layer_groups.*.albert_layers.*",
    attention=(
        AttentionPaths(
            kind="self",
            q="attention.query",
            k="attention.key",
            v="attention.value",
            o="attention.dense",
            attention="attention",
            probability_dropout="attention.attention_dropout",
            attention_dropout="attention.output_dropout",
            attention_norm="attention.LayerNorm",
        ),
    ),
    ffn=FFNPaths(
        ffn_in="ffn",
        activation="activation",
        ffn_out="ffn_output",
        ffn_norm="full_layer_layer_norm",
    ),
)

_TABLES = ("embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings")
_NORM = "embeddings.LayerNorm"

_ROWS = (
    Family(
        model_type="bert",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "bert.pooler.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, None, ("pooler.dense", "qa_outputs")),
        classify=_bert_head,
    ),
    Family(
        model_type="roberta",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, None, ("pooler.dense", "classifier.dense", "qa_outputs")),
        classify=_classifier_head,
    ),
    Family(
        model_type="electra",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings", "embeddings_project"),
        head_parameters=("classifier.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, "embeddings_project", ("classifier.dense", "qa_outputs")),
        classify=_classifier_head,
    ),
    Family(
        model_type="distilbert",
        stacks=(_DISTILBERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("pre_classifier.", "classifier.", "qa_outputs."),
        residual=Residual(_TABLES[:2], _NORM, None, ("pre_classifier", "qa_outputs")),
        classify=_distilbert_head,
    ),
    Family(
        model_type="albert",
        stacks=(_ALBERT_STACK,),
        embeddings=("embeddings", "encoder.embedding_hidden_mapping_in"),
        head_parameters=("classifier.", "albert.pooler.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, "encoder.embedding_hidden_mapping_in", ("pooler", "qa_outputs")),
        classify=_albert_head,
        call_order=_albert_order,
    ),
)
FAMILIES: dict[str, Family] = {row.model_type: row for row in _ROWS}


def family_of(config: PreTrainedConfig) -> Family:
    """The table row for a model's configuration; :class:`UserError` if the table does not have the family."""
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise UserError(
            f"model family {config.model_type!r} is not supported; supported are {', '.join(FAMILIES)}"
        )
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise UserError(f"{config.model_type}: is_decoder is set; only encoders of this family are supported")
    return family


def is_classifier(model: PreTrainedModel) -> bool:
    """Whether a model has the sequence-classification head that :func:`classify` applies."""
    return type(model).__name__.endswith("ForSequenceClassification")


def classify(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Apply the sequence-classification head to the last hidden states.

    Args:
        hidden: ``(batch, tokens, d)``; only the first token is read, so one token is enough.

    Returns:
        Logits ``(batch, labels)``.
    """
    family = family_of(model.config)
    if not is_classifier(model):
        raise UserError(f"{type(model).__name__} has no sequence-classification head; `finetune` creates one")
    return family.classify(model, hidden)
