"""Rows of encoder-decoders that translate. All of them normalise after the residual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.models.families.anatomy import AttentionPaths, FFNPaths, Stack, Translator

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

CROSS = "enc-dec"
"""The attention kind whose keys and values come from the encoder."""


def _both_stacks(config: PreTrainedConfig) -> list[int]:
    return list(range(config.encoder_layers + config.decoder_layers))


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
        neurons="encoder_ffn_dim",
        depth="encoder_layers",
    ),
    Stack(
        layers="decoder.layers.*",
        attention=(_translation_attention(CROSS, "encoder_attn"), _translation_attention("dec-dec", "self_attn")),
        ffn=_TRANSLATION_FFN,
        heads="decoder_attention_heads",
        neurons="decoder_ffn_dim",
        depth="decoder_layers",
        decoder=True,
    ),
)
_TRANSLATION_TABLES = (
    "shared", "encoder.embed_tokens", "encoder.embed_positions", "decoder.embed_tokens", "decoder.embed_positions"
)  # fmt: skip
_TRANSLATION_SIZES = (
    "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads",
    "encoder_ffn_dim", "decoder_ffn_dim", "vocab_size",
)  # fmt: skip

ROWS = (
    Translator(
        model_type="marian",
        task_heads=dict.fromkeys(("Model", "MTModel")),
        stacks=_TRANSLATION_STACKS,
        embeddings=_TRANSLATION_TABLES,
        call_order=_both_stacks,
        sizes=_TRANSLATION_SIZES,
        embed_source=_marian_source,
        embed_target=_marian_target,
        ordinary={"static_position_embeddings": True, "normalize_embedding": False, "add_bias_logits": False},
    ),
    Translator(
        model_type="bart",
        task_heads=dict.fromkeys(
            ("Model", "ForConditionalGeneration", "ForSequenceClassification", "ForQuestionAnswering")
        ),
        stacks=_TRANSLATION_STACKS,
        embeddings=(*_TRANSLATION_TABLES, "encoder.layernorm_embedding", "decoder.layernorm_embedding"),
        call_order=_both_stacks,
        sizes=_TRANSLATION_SIZES,
        embed_source=_bart_source,
        embed_target=_bart_target,
        ordinary={"static_position_embeddings": False, "normalize_embedding": True, "add_bias_logits": False},
    ),
)
