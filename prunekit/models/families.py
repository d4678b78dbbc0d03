"""The architecture table: the only place that knows module paths.

Adding a family is one row of ``FAMILIES`` and its name in the shared test class.
All families here normalise after the residual; :mod:`prunekit.models.blocks` resolves a row into modules of a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.models.family import AttentionPaths, Encoder, Family, FFNPaths, Residual, Stack, Translator
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

CROSS = "enc-dec"
"""The attention kind whose keys and values come from the encoder."""


def _albert_order(config: PreTrainedConfig) -> list[int]:
    """Group g serves consecutive positions, and runs its inner layers at each of them."""
    inner: int = config.inner_group_num
    positions: int = config.num_hidden_layers
    groups = [int(position / (positions / config.num_hidden_groups)) for position in range(positions)]
    return [group * inner + index for group in groups for index in range(inner)]


def _both_stacks(config: PreTrainedConfig) -> list[int]:
    return list(range(config.encoder_layers + config.decoder_layers))


def _bert_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(model.dropout(model.bert.pooler(hidden)))


def _classifier_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(hidden)


def _distilbert_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(model.dropout(model.pre_classifier(hidden[:, 0]).relu()))


def _albert_head(model: Any, hidden: Tensor) -> Tensor:
    base = model.albert
    return model.classifier(model.dropout(base.pooler_activation(base.pooler(hidden[:, 0]))))


def _marian_source(model: Any, ids: Tensor) -> Tensor:
    encoder = model.base_model.encoder
    return encoder.embed_tokens(ids) * encoder.embed_scale + encoder.embed_positions(ids.shape)


def _marian_target(model: Any, words: Tensor, position: int) -> Tensor:
    decoder = model.base_model.decoder
    return decoder.embed_tokens(words) * decoder.embed_scale + decoder.embed_positions((len(words), 1), position)


def _bart_source(model: Any, ids: Tensor) -> Tensor:
    encoder = model.base_model.encoder
    return encoder.layernorm_embedding(encoder.embed_tokens(ids) + encoder.embed_positions(ids))


def _bart_target(model: Any, words: Tensor, position: int) -> Tensor:
    decoder = model.base_model.decoder
    return decoder.layernorm_embedding(decoder.embed_tokens(words) + decoder.embed_positions(words[:, :1], position))


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


def _translation_attention(kind: str, attention: str) -> AttentionPaths:
    """An attention of Marian and BART, which share their layers."""
    return AttentionPaths(
        kind=kind,
        q=f"{attention}.q_proj",
        k=f"{attention}.k_proj",
        v=f"{attention}.v_proj",
        o=f"{attention}.out_proj",
        attention=attention,
        probability_dropout=f"{attention}.dropout",
        attention_dropout=None,
        attention_norm=f"{attention}_layer_norm",
    )


_TRANSLATION_FFN = FFNPaths(
    ffn_in="fc1",
    activation="activation_fn",
    ffn_out="fc2",
    ffn_norm="final_layer_norm",
)
_TRANSLATION_STACKS = (
    Stack(
        layers="encoder.layers.*",
        attention=(_translation_attention("enc-enc", "self_attn"),),
        ffn=_TRANSLATION_FFN,
        heads="encoder_attention_heads",
    ),
    Stack(
        layers="decoder.layers.*",
        attention=(_translation_attention(CROSS, "encoder_attn"), _translation_attention("dec-dec", "self_attn")),
        ffn=_TRANSLATION_FFN,
        heads="decoder_attention_heads",
        decoder=True,
    ),
)
_TRANSLATION_TABLES = (
    "shared", "encoder.embed_tokens", "encoder.embed_positions", "decoder.embed_tokens", "decoder.embed_positions"
)  # fmt: skip

_TABLES = ("embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.token_type_embeddings")
_NORM = "embeddings.LayerNorm"

_ENCODERS = (
    Encoder(
        model_type="bert",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "bert.pooler.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, None, ("pooler.dense", "qa_outputs")),
        classify=_bert_head,
    ),
    Encoder(
        model_type="roberta",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, None, ("pooler.dense", "classifier.dense", "qa_outputs")),
        classify=_classifier_head,
    ),
    Encoder(
        model_type="electra",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings", "embeddings_project"),
        head_parameters=("classifier.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, "embeddings_project", ("classifier.dense", "qa_outputs")),
        classify=_classifier_head,
    ),
    Encoder(
        model_type="distilbert",
        stacks=(_DISTILBERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("pre_classifier.", "classifier.", "qa_outputs."),
        residual=Residual(_TABLES[:2], _NORM, None, ("pre_classifier", "qa_outputs")),
        classify=_distilbert_head,
    ),
    Encoder(
        model_type="albert",
        stacks=(_ALBERT_STACK,),
        embeddings=("embeddings", "encoder.embedding_hidden_mapping_in"),
        head_parameters=("classifier.", "albert.pooler.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, "encoder.embedding_hidden_mapping_in", ("pooler", "qa_outputs")),
        classify=_albert_head,
        call_order=_albert_order,
    ),
)
_TRANSLATORS = (
    Translator(
        model_type="marian",
        stacks=_TRANSLATION_STACKS,
        embeddings=_TRANSLATION_TABLES,
        call_order=_both_stacks,
        embed_source=_marian_source,
        embed_target=_marian_target,
    ),
    Translator(
        model_type="bart",
        stacks=_TRANSLATION_STACKS,
        embeddings=(*_TRANSLATION_TABLES, "encoder.layernorm_embedding", "decoder.layernorm_embedding"),
        call_order=_both_stacks,
        embed_source=_bart_source,
        embed_target=_bart_target,
    ),
)
ENCODERS: dict[str, Encoder] = {row.model_type: row for row in _ENCODERS}
TRANSLATORS: dict[str, Translator] = {row.model_type: row for row in _TRANSLATORS}
FAMILIES: dict[str, Family] = {**ENCODERS, **TRANSLATORS}


def family_of(config: PreTrainedConfig) -> Family:
    """The table row for a model's configuration.

    Raises:
        UserError: a family that the table does not have, or a variant of one that its row does not describe.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise UserError(
            f"model family {config.model_type!r} is not supported; supported are {', '.join(FAMILIES)}"
        )
    whole = "encoders" if config.model_type in ENCODERS else "whole encoder-decoders"
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise UserError(f"{config.model_type}: is_decoder is set; only {whole} of this family are supported")
    for field in ("normalize_before", "add_final_layer_norm"):
        if getattr(config, field, False):
            raise UserError(
                f"{config.model_type}: {field} is set; only models that normalise after the residual (post-norm) are "
                "supported"
            )
    return family


def encoder_of(config: PreTrainedConfig) -> Encoder:
    """As :func:`family_of`, for what works with encoders only; :class:`UserError` for an encoder-decoder."""
    family = family_of(config)
    if not isinstance(family, Encoder):
        raise UserError(
            f"{config.model_type} is an encoder-decoder; this works with encoders only: {', '.join(ENCODERS)}"
        )
    return family


def translator_of(config: PreTrainedConfig) -> Translator:
    """As :func:`family_of`, for what works with encoder-decoders only; :class:`UserError` for an encoder."""
    family = family_of(config)
    if not isinstance(family, Translator):
        raise UserError(
            f"{config.model_type} is an encoder; this works with encoder-decoders only: {', '.join(TRANSLATORS)}"
        )
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
    family = encoder_of(model.config)
    if not is_classifier(model):
        raise UserError(f"{type(model).__name__} has no sequence-classification head; `finetune` creates one")
    return family.classify(model, hidden)
