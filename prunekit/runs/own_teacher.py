"""A fine-tuned model of the user's says itself what it is: the model section of a run comes from its configuration."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeVar

from prunekit.config.sections import Experiment, ModelConfig, Settings, model_of_teacher
from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_there

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

AnySettings = TypeVar("AnySettings", bound=Settings)

NO_SHAPE = ("vocab_size", "num_hidden_groups", "inner_group_num")
"""Sizes that the identity of a run does not name: the teacher's content does."""


def with_the_teachers_model(config: AnySettings) -> AnySettings:
    """The configuration with name, path, family and shape of its finished teacher; as it is where it has none.

    Raises:
        UserError: the teacher has no readable configuration, or it contradicts the model that was chosen.
    """
    if not isinstance(config, Experiment) or config.teacher is None or config.starts_from_model:
        return config
    check_there(config.teacher, "teacher")
    from prunekit.models.pretrained import read_config

    own = read_config(config.teacher)
    if config.model.path != config.teacher:
        _check_agree(config.teacher, own, config.model)
    content = own.to_dict()
    shape = {name: content[name] for name in _sizes(own) if name in content}
    model = model_of_teacher(config.teacher, config.model.attention)
    return dataclasses.replace(config, model=dataclasses.replace(model, family=own.model_type, shape=shape))


def _check_agree(teacher: str, own: PreTrainedConfig, chosen: ModelConfig) -> None:
    """Refuse a model that was chosen and is another one than the teacher."""
    way_out = "leave it out, a teacher's model is its own"
    if chosen.family != own.model_type:
        raise UserError(f"model: {chosen.name} is a {chosen.family}, teacher {teacher} a {own.model_type}; {way_out}")
    for name in _sizes(own):
        if name in chosen.shape and chosen.shape[name] != getattr(own, name, None):
            raise UserError(
                f"model: {chosen.name} has {name} {chosen.shape[name]}, teacher {teacher} "
                f"{getattr(own, name, 'none')}; {way_out}"
            )


def _sizes(own: PreTrainedConfig) -> list[str]:
    from prunekit.models.families.table import family_of

    return [name for name in family_of(own).sizes if name not in NO_SHAPE]
