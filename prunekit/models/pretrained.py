"""Transformers' side of loading: configurations, classes and weights, with errors of one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging as transformers_logging

from prunekit.config.choices import ATTENTIONS
from prunekit.models.blocks import attention_for_transformers, set_attention
from prunekit.models.families.table import FAMILIES, family_of, head_of_class, unsupported
from prunekit.models.pruned_format import plain_config
from prunekit.models.weight_files import check_weight_files
from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_there, no_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NO_WEIGHTS = ("position_ids", "token_type_ids", "version")
"""Buffers of constants that earlier versions of transformers saved."""
_LIBRARY_ERRORS = (
    OSError,
    SafetensorError,
    StrictDataclassError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
)


def check_attention(attention: str) -> None:
    """Only implementations under which gates and replay are tested."""
    if attention not in ATTENTIONS:
        raise UserError(f"attention: {attention!r} is unknown, use {' or '.join(ATTENTIONS)}")


def read_config(path: str | Path) -> PreTrainedConfig:
    """The configuration of a folder or Hub id, of a family in the table and a variant that its row describes."""
    if Path(path).is_file():
        raise UserError(f"{path}: a file; give the folder of a saved model")
    if (Path(path) / "adapter_config.json").is_file():
        raise UserError(f"{path}: an adapter that is not merged; save the model after its merge_and_unload()")
    check_there(path)
    content: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        content, _ = PreTrainedConfig.get_config_dict(str(path))
    if not isinstance(content, dict):
        content = {}
    if not content and Path(path).exists():
        raise UserError(f"{path}: {no_model(Path(path))}")
    if not content:
        raise UserError(
            f"{path}: not a folder, and the Hugging Face Hub or its cache does not have it; give the folder of a saved "
            "model, or a name that is there"
        )
    content = plain_config(content, path)
    model_type = content.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise UserError(f"{path}: {unsupported(model_type)}")
    if content.get("quantization_config") is not None:
        raise UserError(
            f"{path}/config.json: quantization_config is set; quantised models are not supported, give the model that "
            "this one was made from"
        )
    with in_one_line(f"{path}/config.json"):
        config = CONFIG_MAPPING[model_type].from_dict(content, name_or_path=str(path))
    try:
        _check_sizes(config, family_of(config).sizes)
    except UserError as error:
        raise UserError(f"{path}/config.json: {error}") from None
    return config


def _check_sizes(config: PreTrainedConfig, names: Iterable[str]) -> None:
    for name in names:
        size = getattr(config, name)
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{name} is {size!r}, right would be a whole number from 1")


def model_class(config: PreTrainedConfig, path: str | Path) -> Any:
    """A transformers class of the checkpoint's family, by name; classes that came with it are never used."""
    names = config.architectures
    name = str(names[0]) if isinstance(names, list) and names else "nothing"
    architecture = getattr(transformers, name, None)
    if getattr(architecture, "config_class", None) is not type(config):
        raise UserError(
            f"{path}/config.json: architectures names {name}, "
            f"which is no {config.model_type} model of transformers"
        )
    family = family_of(config)
    if head_of_class(name, family) is None:
        raise UserError(
            f"{path}/config.json: architectures names {name}, a task head that is not supported; supported are "
            f"{', '.join(family.task_heads)}"
        )
    return architecture


def from_pretrained(
    architecture: Any, config: PreTrainedConfig, path: str | Path, attention: str, dtype: torch.dtype
) -> tuple[PreTrainedModel, list[str]]:
    """The model and the names of the parameters that the checkpoint does not have.

    Raises:
        UserError: unreadable or misshapen weights, or some that the model has no place for beside others that it takes:
            it is of another variant than its configuration says. (Task heads that the model lacks are left out.)
    """
    check_weight_files(path)
    with in_one_line(f"{path}: unreadable weights"), quiet():
        model, info = architecture.from_pretrained(
            str(path),
            config=config,
            attn_implementation=attention_for_transformers(config, attention),
            dtype=dtype,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # reported below; transformers would have filled them at random
            output_loading_info=True,
        )
    if info["mismatched_keys"]:
        name, found, wanted = sorted(info["mismatched_keys"])[0]
        raise UserError(f"{path}: {name} has shape {tuple(found)}, the model needs {tuple(wanted)}")
    if lost := _without_a_place(model, info["unexpected_keys"], info["missing_keys"]):
        raise UserError(
            f"{path}: {some(lost)} of the checkpoint has no place in a {type(model).__name__} as config.json describes "
            "it; merge adapters, other variants of a family are not supported"
        )
    set_attention(model, attention)
    return model.eval(), sorted(info["missing_keys"])


def from_shape(make: Callable[..., Any], config: PreTrainedConfig, attention: str) -> PreTrainedModel:
    """A model with random weights.

    Args:
        make: transformers' function of a configuration and ``attn_implementation=``.
    """
    model: PreTrainedModel = make(config, attn_implementation=attention_for_transformers(config, attention))
    set_attention(model, attention)
    return model


def _without_a_place(model: PreTrainedModel, unexpected: Iterable[str], created: Iterable[str]) -> list[str]:
    """Of the weights that were left out those inside modules that the checkpoint fills."""

    def module(name: str) -> str:
        return name.removeprefix(f"{model.base_model_prefix}.").partition(".")[0]

    own = {module(name) for name in model.state_dict()} - {module(name) for name in created}
    return sorted(
        name for name in unexpected if module(name) in own and name.rpartition(".")[2] not in _NO_WEIGHTS
    )


def on_device(model: PreTrainedModel, device: torch.device) -> PreTrainedModel:
    """The model, moved there in place; transformers types ``to`` for devices by number only."""
    untyped: Any = model
    moved: PreTrainedModel = untyped.to(device)
    return moved


def some(names: Iterable[str]) -> str:
    """The first name, and how many more there are."""
    first, *others = names
    return f"{first} and {len(others)} more" if others else first


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """What libraries raise over a bad checkpoint or configuration, as one line."""
    try:
        yield
    except _LIBRARY_ERRORS as error:
        cause = error.__cause__ if isinstance(error, StrictDataclassError) else error
        reason = (str(cause).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{what} ({reason})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bar and load report, whose content our errors carry."""
    verbosity, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar:
            transformers_logging.enable_progress_bar()
