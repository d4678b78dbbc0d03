"""Rows of encoders. All of them normalise after the residual."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.models.families.anatomy import AttentionPaths, Encoder, FFNPaths, HeadBias, Residual, Stack

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def _albert_order(config: PreTrainedConfig) -> list[int]:
    """Group g serves consecutive positions, and runs its inner layers at each of them."""
    inner: int = config.inner_group_num
    positions: int = config.num_hidden_layers
    groups = [int(position / (positions / config.num_hidden_groups)) for position in range(positions)]
    return [group * inner + index for group in groups for index in range(inner)]


def _bert_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(model.dropout(model.base_model.pooler(hidden)))


def _classifier_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(hidden)


def _distilbert_head(model: Any, hidden: Tensor) -> Tensor:
    return model.classifier(model.dropout(model.pre_classifier(hidden[:, 0]).relu()))


def _albert_head(model: Any, hidden: Tensor) -> Tensor:
    base = model.albert
    return model.classifier(model.dropout(base.pooler_activation(base.pooler(hidden[:, 0]))))


def _mpnet_scores(base: Any, x: Tensor) -> Tensor:
    bias: Tensor = base.encoder.compute_position_bias(x[:1])
    return bias


def _biased_attention(attention: Any, config: Any) -> None:
    from prunekit.models.families.biased_attention import BiasedAttention  # transformers' MPNet, which few models need

    BiasedAttention.in_place_of(attention, config)


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
    neurons="hidden_dim",
)
_MPNET_STACK = Stack(
    layers="encoder.layer.*",
    attention=(
        AttentionPaths(
            kind="self",
            q="attention.attn.q",
            k="attention.attn.k",
            v="attention.attn.v",
            o="attention.attn.o",
            attention="attention",
            probability_dropout="attention.attn.dropout",
            attention_dropout="attention.dropout",
            attention_norm="attention.LayerNorm",
            bias=HeadBias(_mpnet_scores, "position_bias", _biased_attention),
        ),
    ),
    ffn=_BERT_STACK.ffn,
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
_TASK_HEADS: dict[str, tuple[str, ...] | None] = {
    "Model": (),
    "ForSequenceClassification": (),
    "ForMultipleChoice": (),
    "ForQuestionAnswering": ("qa_outputs",),
    "ForTokenClassification": ("classifier",),
    "ForMaskedLM": None,
}
"""As most families have them; one that reads a pooler's output does not read the stream."""


def _roberta(model_type: str) -> Encoder:
    """RoBERTa, and what transformers has under another name with its layers, embeddings and heads."""
    return Encoder(
        model_type=model_type,
        stacks=(_BERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, None, ("pooler.dense",)),
        task_heads={**_TASK_HEADS, "ForSequenceClassification": ("classifier.dense",), "ForCausalLM": None},
        classify=_classifier_head,
    )


ROWS = (
    Encoder(
        model_type="bert",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "bert.pooler.", "qa_outputs."),
        residual=Residual(_TABLES, _NORM, None, ("pooler.dense",)),
        task_heads={**_TASK_HEADS, "ForNextSentencePrediction": (), "ForPreTraining": None, "LMHeadModel": None},
        classify=_bert_head,
    ),
    _roberta("roberta"),
    Encoder(
        model_type="electra",
        stacks=(_BERT_STACK,),
        embeddings=("embeddings", "embeddings_project"),
        head_parameters=("classifier.", "qa_outputs."),
        sizes=(*Encoder.sizes, "embedding_size"),
        residual=Residual(_TABLES, _NORM, "embeddings_project", ()),
        task_heads={
            **_TASK_HEADS,
            "ForSequenceClassification": ("classifier.dense",),
            "ForMultipleChoice": ("sequence_summary.summary",),
            "ForPreTraining": ("discriminator_predictions.dense",),
            "ForCausalLM": None,
        },
        classify=_classifier_head,
    ),
    Encoder(
        model_type="distilbert",
        stacks=(_DISTILBERT_STACK,),
        embeddings=("embeddings",),
        head_parameters=("pre_classifier.", "classifier.", "qa_outputs."),
        sizes=("dim", "n_layers", "n_heads", "hidden_dim", "vocab_size"),
        residual=Residual(_TABLES[:2], _NORM, None, ()),
        task_heads={
            **_TASK_HEADS,
            "ForSequenceClassification": ("pre_classifier",),
            "ForMultipleChoice": ("pre_classifier",),
        },
        classify=_distilbert_head,
    ),
    _roberta("xlm-roberta"),
    _roberta("camembert"),
    _roberta("data2vec-text"),
    Encoder(
        model_type="mpnet",
        stacks=(_MPNET_STACK,),
        embeddings=("embeddings",),
        head_parameters=("classifier.", "qa_outputs."),
        residual=Residual(_TABLES[:2], _NORM, None, ("pooler.dense",)),
        task_heads={**_TASK_HEADS, "ForSequenceClassification": ("classifier.dense",)},
        classify=_classifier_head,
        ordinary={"relative_attention_num_buckets": 32},  # transformers counts in 32 whatever is configured
    ),
    Encoder(
        model_type="albert",
        stacks=(_ALBERT_STACK,),
        embeddings=("embeddings", "encoder.embedding_hidden_mapping_in"),
        head_parameters=("classifier.", "albert.pooler.", "qa_outputs."),
        sizes=(*Encoder.sizes, "embedding_size", "num_hidden_groups", "inner_group_num"),
        residual=Residual(_TABLES, _NORM, "encoder.embedding_hidden_mapping_in", ("pooler",)),
        task_heads={**_TASK_HEADS, "ForPreTraining": None},
        classify=_albert_head,
        ordinary={"net_structure_type": 0, "num_memory_blocks": 0, "down_scale_factor": 1, "gap_size": 0},
        call_order=_albert_order,
    ),
)
