"""Saving and strict loading. Only safetensors are read; nothing that came with a checkpoint is run."""

from __future__ import annotations

import copy
import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, GenerationConfig, PreTrainedConfig
from transformers.initialization import no_init_weights
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import GENERATION_CONFIG_NAME

from prunekit.models.blocks import describe, set_attention
from prunekit.models.families.table import (
    ENCODERS,
    TRANSLATORS,
    encoder_of,
    family_of,
    task_head,
    translator_of,
    unsupported,
)
from prunekit.models.pretrained import (
    check_attention,
    from_pretrained,
    from_shape,
    in_one_line,
    model_class,
    read_config,
    some,
)
from prunekit.models.pruned_format import has_its_own_shape, other_shapes, rename, weights_file
from prunekit.models.surgery import cut_as_recorded
from prunekit.models.weight_files import check_weight_files, holds_a_model, write_weights
from prunekit.support.errors import UserError
from prunekit.support.files import atomic_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEAD = "SequenceClassification"
"""The task head of classifiers and regression."""


def save(model: PreTrainedModel, folder: str | Path, tokenizer: Any = None) -> None:
    """Write safetensors and config.json, the surgery record inside, for :func:`load`; all of it or nothing.

    transformers loads the folder of a model that has the shape of its configuration, and refuses a pruned one's, until
    :mod:`prunekit.auto` is imported.
    Settings of ``generate`` are saved beside them where a model has it.

    Args:
        folder: replaced as a whole if it holds a saved model; its parent folders are created.
        tokenizer: saved beside the model if given.

    Raises:
        UserError: a model that :func:`load` could not build again, or a folder that holds something else or cannot be
            written (no space, no permission).
    """
    describe(model)
    if getattr(transformers, type(model).__name__, None) is not type(model):
        raise UserError(
            f"{type(model).__name__}: a class of its own, which cannot be loaded again; save a class of transformers, "
            "such as its model.base_model"
        )
    _check_recorded(model)
    folder = Path(folder)
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.dtype = model.dtype
    weights = {
        name: tensor.detach().contiguous()
        for name, tensor in model.state_dict().items()
        if name not in model.all_tied_weights_keys
    }
    with in_one_line(f"{folder}: cannot save the model there"):
        if folder.exists() and not holds_a_model(folder):
            raise UserError(f"{folder}: holds something else than a saved model; give a new folder")
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            write_weights(weights, temporary)
            config.save_pretrained(temporary)
            if has_its_own_shape(model):
                rename(temporary)
            if model.can_generate():
                model.generation_config.save_pretrained(temporary)
            if tokenizer is not None:
                tokenizer.save_pretrained(temporary)


def _check_recorded(model: PreTrainedModel) -> None:
    """Refuse a model without a record of surgery that has not the shape of its configuration."""
    if hasattr(model.config, "prunekit"):
        return
    for name, own, built in other_shapes(model):
        if own is None:  # as of a model that was made without a pooler
            continue
        raise UserError(
            f"{type(model).__name__}: {name} has shape {own}, its configuration says {built}: a part was replaced by "
            "another model's; prune the whole model"
        )


def load(path: str | Path, *, attention: str = "sdpa", dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A model from a folder (plain, or pruned and saved by prunekit) or a Hub id, in eval mode.

    Strict: every parameter comes from the checkpoint. Its class is the one that config.json names first.

    Args:
        attention: ``sdpa`` or ``eager``.

    Raises:
        UserError: no such checkpoint, a family that is not in the table, missing or misshapen weights (for a
            pruned model also unexpected ones), a damaged file or record.
    """
    check_attention(attention)
    config = read_config(path)
    architecture = model_class(config, path)
    if hasattr(config, "prunekit"):
        return _load_pruned(architecture, config, path, attention, dtype)
    model, missing = from_pretrained(architecture, config, path, attention, dtype)
    if missing:
        raise UserError(
            f"{path}: {architecture.__name__} needs {some(missing)}, which the checkpoint does not have; "
            "task heads are created by `finetune`, everything else must be there"
        )
    return model


def attach_head(
    path: str | Path, num_labels: int, *, head: str = HEAD, seed: int = 0, attention: str = "sdpa"
) -> tuple[PreTrainedModel, list[str]]:
    """A model to be fine-tuned: only its task head may be missing in the checkpoint.

    Args:
        head: the task head, as transformers names it (``QuestionAnswering`` has 2 labels, start and end).

    Returns:
        The float32 model in eval mode, and the names of the parameters that were initialised from ``seed``.

    Raises:
        UserError: as :func:`load`, or a head that is there but for another number of labels.
    """
    check_attention(attention)
    config = read_config(path)
    family = encoder_of(config)
    if hasattr(config, "prunekit"):
        model = load(path, attention=attention)
        if not has_head(model, head):
            raise UserError(
                f"{path}: a pruned {type(model).__name__} without a task head for this task; prune it after `finetune`"
            )
        if model.config.num_labels != num_labels:
            raise UserError(f"{path}: its task head has {model.config.num_labels} labels, the task {num_labels}")
        return model, []
    config.num_labels = num_labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, created = from_pretrained(_auto_class(head), config, path, attention, torch.float32)
    lost = [name for name in created if not name.startswith(family.head_parameters)]
    if lost:
        raise UserError(f"{path}: the checkpoint does not have {some(lost)}; only a task head may be missing")
    return model, created


def has_head(model: PreTrainedModel, head: str = HEAD) -> bool:
    """Whether a model has a task head, by default that of a sequence classifier."""
    return task_head(model) == f"For{head}"


def _auto_class(head: str) -> Any:
    return getattr(transformers, f"AutoModelFor{head}")


def build(
    family: str,
    shape: dict[str, Any],
    num_labels: int,
    *,
    head: str = HEAD,
    seed: int = 0,
    attention: str = "sdpa",
) -> PreTrainedModel:
    """A sequence classifier with random weights, in eval mode, without a download.

    Args:
        family: row of the architecture table.
        shape: sizes as the family's transformers configuration names them; the rest are its defaults.
        head: another task head, as transformers names it.
        seed: of the initialisation.

    Raises:
        UserError: an unknown family, an unknown or impossible size.
    """
    if family not in ENCODERS:
        raise unsupported(family, ENCODERS)
    return _random(_auto_class(head), family, {**shape, "num_labels": num_labels}, seed, attention)


def build_translator(family: str, shape: dict[str, Any], *, seed: int = 0, attention: str = "sdpa") -> PreTrainedModel:
    """A translation model with random weights, in eval mode, without a download.

    Args:
        family: row of the architecture table.
        shape: sizes and special tokens as the family's transformers configuration names them; the rest are its
            defaults.
        seed: of the initialisation.

    Raises:
        UserError: a family that is unknown or has no decoder, an unknown or impossible size.
    """
    if family not in TRANSLATORS:
        raise UserError(f"model family {family!r} does not translate; {', '.join(TRANSLATORS)} do")
    return _random(AutoModelForSeq2SeqLM, family, shape, seed, attention)


def is_translator(model: PreTrainedModel) -> bool:
    """Whether a model is an encoder-decoder with a vocabulary to speak."""
    return bool(model.config.is_encoder_decoder) and model.can_generate()


def check_translator(model: PreTrainedModel) -> None:
    """Refuse what does not translate.

    Raises:
        UserError: an encoder, or an encoder-decoder with another task head or none.
    """
    translator_of(model.config)
    if not is_translator(model):
        raise UserError(f"{type(model).__name__} gives no words; load the whole translation model")


def _random(head: Any, family: str, shape: dict[str, Any], seed: int, attention: str) -> PreTrainedModel:
    """A task model of sizes that are checked first."""
    check_attention(attention)
    config_class: Any = CONFIG_MAPPING[family]
    default = config_class()
    for name in shape:
        if not hasattr(default, name):
            near = difflib.get_close_matches(name, default.to_dict(), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f" of {config_class.__name__}"
            raise UserError(f"shape: unknown size {name!r}{hint}")
    with in_one_line(f"shape: {shape} is no {family} model"), torch.random.fork_rng(devices=[]):
        config = config_class(**shape)
        for heads in {stack.heads for stack in family_of(config).stacks}:
            if config.hidden_size % getattr(config, heads):
                raise ValueError(f"hidden size {config.hidden_size} and {getattr(config, heads)} heads")
        torch.manual_seed(seed)
        model = from_shape(head.from_config, config, attention)
    return model.eval()


def _load_pruned(
    architecture: Any, config: PreTrainedConfig, path: str | Path, attention: str, dtype: torch.dtype
) -> PreTrainedModel:
    """Build the original shape, cut it as the record says, then fill every parameter."""
    with in_one_line(f"{path}/config.json"), no_init_weights():
        model: Any = architecture(config)
    try:
        cut_as_recorded(model)
    except UserError as error:
        raise UserError(f"{path}/config.json: prunekit record: {error}") from None
    check_weight_files(path)
    with in_one_line(f"{path}: unreadable weights"):
        weights = weights_file(path)
        tensors = load_file(weights)
    model.to(dtype)  # before it is filled, so that nothing is rounded on the way
    tensors = _fixed_tables(model) | tensors
    wanted = model.state_dict()
    tied = set(model.all_tied_weights_keys)
    if missing := sorted(set(wanted) - set(tensors) - tied):
        raise UserError(f"{path}/{weights.name}: {some(missing)} missing; the record in config.json needs it")
    if unexpected := sorted(set(tensors) - set(wanted)):
        raise UserError(
            f"{path}/{weights.name}: {some(unexpected)} is not part of the model that config.json describes"
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise UserError(
                f"{path}/{weights.name}: {name} has shape {tuple(tensor.shape)}, "
                f"the record in config.json needs {tuple(wanted[name].shape)}"
            )
    model.load_state_dict(tensors, strict=False)
    model.tie_weights()
    set_attention(model, attention)
    if model.can_generate():
        with in_one_line(f"{path}/{GENERATION_CONFIG_NAME}"):
            model.generation_config = GenerationConfig.from_pretrained(str(path))
    return cast("PreTrainedModel", model.eval())


def _fixed_tables(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Positions that transformers computes (sinusoids) and leaves out of what its ``save_pretrained`` writes."""
    tables: Any = [(name, module) for name, module in model.named_modules() if hasattr(module, "create_weight")]
    return {f"{name}.weight": table.create_weight() for name, table in tables}
