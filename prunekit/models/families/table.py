"""The rows by the name that ``config.model_type`` has, and which of them a model is of.

Adding a family is one row of :mod:`prunekit.models.families.encoders` or
:mod:`prunekit.models.families.encoder_decoders`; :mod:`prunekit.models.blocks` resolves a row into modules of a model.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import Tensor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prunekit.models.families import encoder_decoders, encoders
from prunekit.models.families.anatomy import ORDINARY, Encoder, Family, Translator
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

ENCODERS: dict[str, Encoder] = {row.model_type: row for row in encoders.ROWS}
TRANSLATORS: dict[str, Translator] = {row.model_type: row for row in encoder_decoders.ROWS}
FAMILIES: dict[str, Family] = {**ENCODERS, **TRANSLATORS}


def family_of(config: PreTrainedConfig) -> Family:
    """The table row for a model's configuration.

    Raises:
        UserError: a family that the table does not have, or a variant of one that its row does not describe.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise unsupported(config.model_type)
    whole = "encoders" if config.model_type in ENCODERS else "whole encoder-decoders"
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise UserError(f"{config.model_type}: is_decoder is set; only {whole} of this family are supported")
    for field in ("normalize_before", "add_final_layer_norm"):
        if getattr(config, field, False):
            raise UserError(
                f"{config.model_type}: {field} is set; only models that normalise after the residual (post-norm) are "
                "supported"
            )
    for field, value in {**ORDINARY, **family.ordinary}.items():
        found = getattr(config, field, None)
        if found not in (None, value):
            raise UserError(f"{config.model_type}: {field} is {found!r}; only {value!r} is supported")
    return family


def unsupported(model_type: Any, supported: Iterable[str] = FAMILIES) -> UserError:
    """What to say of a model type that the table does not have."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    message = f"model family {model_type!r} is not supported; supported are {', '.join(supported)}"
    others = (*MODEL_FOR_MASKED_LM_MAPPING_NAMES, *MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
    causal = isinstance(model_type, str) and model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if causal and model_type not in others:
        message += f" ({model_type} is a decoder-only language model, these are encoders and encoder-decoders)"
    return UserError(message)


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


def task_head(model: PreTrainedModel) -> str:
    """A key of ``task_heads`` of the model's family; a class of the user's has the head of the one it is derived from.

    Raises:
        UserError: a task head that the row does not describe.
    """
    family = family_of(model.config)
    of_transformers = (own for own in type(model).__mro__ if own.__module__.startswith("transformers.models."))
    head = head_of_class(next(of_transformers, type(model)).__name__, family)
    if head is None:
        raise UserError(
            f"{type(model).__name__}: a task head that is not supported, supported are {', '.join(family.task_heads)}; "
            "the model without its head is: give model.base_model"
        )
    return head


def head_of_class(name: str, family: Family) -> str | None:
    """The task head of a class of transformers by its name, None if the family's row does not describe it."""
    head = name.removeprefix(CONFIG_MAPPING[family.model_type].__name__.removesuffix("Config"))
    return head if head in family.task_heads else None


def is_classifier(model: PreTrainedModel) -> bool:
    """Whether a model has the sequence-classification head, which reads the first token alone."""
    return task_head(model) == "ForSequenceClassification"


def is_tagger(model: PreTrainedModel) -> bool:
    """Whether a model has the token-classification head, which reads every token by itself."""
    return task_head(model) == "ForTokenClassification"


def check_classifier(model: PreTrainedModel) -> None:
    """Refuse what :func:`classify` cannot be applied to.

    Raises:
        UserError: no encoder, or another task head than sequence or token classification.
    """
    encoder_of(model.config)
    if not is_classifier(model) and not is_tagger(model):
        raise UserError(
            f"{type(model).__name__} gives no tags and has no sequence-classification head; `finetune` creates one"
        )


def classify(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Apply the head of sequence or token classification to the last hidden states.

    Args:
        hidden: ``(batch, tokens, d)``; of sequences only the first token is read, so one token is enough.

    Returns:
        Logits ``(batch, labels)``, of tokens ``(batch, tokens, labels)``.
    """
    check_classifier(model)
    family = encoder_of(model.config)
    return family.tag(model, hidden) if is_tagger(model) else family.classify(model, hidden)
