"""How a pruned model lies in a folder, so that transformers refuses what it would fill at random.

transformers builds the shape that ``config.json`` describes and initialises whatever the weights lack, with a warning.
So a model that no longer has that shape is saved under a ``model_type`` that the Auto classes do not know, and its
weights under a name that concrete classes do not look for. Both are read by :func:`prunekit.load` alone, and by the
Auto classes once :mod:`prunekit.auto` is imported.

What transformers' own ``save_pretrained`` and its ``Trainer`` write keeps the name of its weights, by which a training
is resumed; there, concrete classes are stopped by a size that is none.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from transformers import PreTrainedModel
from transformers.utils.hub import cached_file

from prunekit.models import pushing
from prunekit.support.errors import UserError
from prunekit.support.files import write_text

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo

WEIGHTS = "model.safetensors"
"""Of models that have the shape of their configuration; where pruned ones were before they had a name of their own."""
PRUNED_WEIGHTS = "prunekit.safetensors"
INDEX = f"{WEIGHTS}.index.json"
SHARDS = "model-*-of-*.safetensors"
"""Of models whose weights transformers splits into several files, which INDEX names."""
PREFIX = "prunekit-"
"""Before the family, in the ``model_type`` of a pruned model."""
Shape = tuple[int, ...] | None
GRAPHS = ("model.onnx", "encoder.onnx", "decoder.onnx")
"""Of an encoder, and of a translation model's two parts, as they are exported."""
IN_ANY_FORM = (WEIGHTS, PRUNED_WEIGHTS, INDEX, SHARDS, *GRAPHS)
"""Patterns of all weights and graphs: in a repository, those of another form than is uploaded would be loaded in place
of it."""
IN_SEVERAL_FILES = ("variant", "distributed_checkpoint")
"""Options of ``save_pretrained`` by which weights are in other files than the one that is read."""
_PLAIN_SAVE, _PLAIN_PUSH = PreTrainedModel.save_pretrained, PreTrainedModel.push_to_hub
HIDDEN_SIZE = "vocab_size"
"""A size of every family, which is in the record where config.json must not have it (null: it is the default)."""
NO_SIZE = 2.0**31 + 0.5
"""In place of it: no whole number, so that the configuration of a family refuses it, but larger than any token's id,
for what reads configurations without their family, as the ``Trainer`` that goes on from a checkpoint does."""


def has_its_own_shape(model: PreTrainedModel) -> bool:
    """Whether a pruned model is not of the shape that transformers builds from its configuration."""
    if not hasattr(model.config, "prunekit"):
        return False
    return next(other_shapes(model), None) is not None


def other_shapes(model: PreTrainedModel) -> Iterator[tuple[str, Shape, Shape]]:
    """The tensors that are not as transformers builds them from the configuration: name, own shape, built shape; None
    for one that is not there."""
    config = copy.deepcopy(model.config)
    config._attn_implementation = "eager"  # which every family of transformers has
    with torch.device("meta"):
        built = type(model)(config).state_dict()
    own = model.state_dict()
    for name in sorted(own.keys() | built.keys()):
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (own, built)]
        if shapes[0] != shapes[1]:
            yield name, shapes[0], shapes[1]


def rename(folder: Path) -> None:
    """Give a folder that has just been written the names of a pruned model's."""
    (folder / WEIGHTS).rename(folder / PRUNED_WEIGHTS)
    _change_config(folder / "config.json", lambda content: None)


@wraps(_PLAIN_SAVE)
def _save_pretrained(self: PreTrainedModel, save_directory: str | Path, *positional: Any, **options: Any) -> None:
    if has_its_own_shape(self):
        _save(self, Path(save_directory), *positional, users_folder=True, **options)
    else:
        _PLAIN_SAVE(self, save_directory, *positional, **options)


@wraps(_PLAIN_PUSH)
def _push_to_hub(self: PreTrainedModel, repo_id: str, **options: Any) -> Any:
    if not has_its_own_shape(self):
        return _PLAIN_PUSH(self, repo_id, **options)
    with TemporaryDirectory() as folder:
        return _save(self, Path(folder), users_folder=False, push_to_hub=True, repo_id=repo_id, **options)


def _save(
    model: PreTrainedModel, folder: Path, *positional: Any, users_folder: bool, **options: Any
) -> CommitInfo | None:
    """Save a pruned model as transformers' own ``save_pretrained`` does and, with ``push_to_hub=True``, upload it.

    Args:
        positional, options: of ``save_pretrained``; with ``push_to_hub=True`` those of ``push_to_hub``, too.
        users_folder: the folder is the user's own, so that what could not be uploaded is in it.

    Returns:
        the commit, if it was uploaded.

    Raises:
        UserError: an option by which the weights would be in other files than the one that is read, or one that is
            not known where it would be about the upload, and nothing was written; or the upload fails.
    """
    given = signature(_PLAIN_SAVE).bind(model, folder, *positional, **options).arguments
    more = given.pop("kwargs", {})
    _check_one_file(model, {**given, **more})
    pushes = given.pop("push_to_hub", False) and given.get("is_main_process", True)
    repository = more.pop("repo_id", None) or folder.name
    if pushes:
        more |= {"token": given["token"]} if "token" in given else {}
        pushing.check_options(more)
    before = pushing.times(folder)
    _PLAIN_SAVE(**given | {"max_shard_size": "1000GB"})
    config = folder / "config.json"
    if config.is_file():
        _change_config(config, _hide_a_size)
    if not pushes:
        return None
    times = pushing.times(folder)
    files = sorted(name for name in times if times[name] != before.get(name) and name != pushing.CARD)
    stale = IN_ANY_FORM if WEIGHTS in files else ()  # those of an adapter are beside the model's
    return pushing.push(model, folder, files, repository, stale, users_folder=users_folder, **more)


def _check_one_file(model: PreTrainedModel, options: dict[str, Any]) -> None:
    """Refuse what would save a pruned model as it is not read."""
    for name in IN_SEVERAL_FILES:
        if options.get(name):
            raise UserError(
                f"save_pretrained: {name} is not known for pruned models, whose weights are {WEIGHTS}; leave it out"
            )
    size = options.get("max_shard_size")
    if size is not None and split_torch_state_dict_into_shards(
        options.get("state_dict") or model.state_dict(), max_shard_size=size
    ).is_sharded:
        raise UserError(
            f"save_pretrained: max_shard_size={size} would split the weights, which are one file of a pruned model; "
            "leave it out"
        )


PreTrainedModel.push_to_hub = _push_to_hub  # type: ignore[method-assign, assignment]
PreTrainedModel.save_pretrained = _save_pretrained  # type: ignore[method-assign, assignment]
"""Of all models: a pruned one is of an ordinary class, also after it was copied or pickled."""


def _hide_a_size(content: dict[str, Any]) -> None:
    record = {**content["prunekit"], HIDDEN_SIZE: content.get(HIDDEN_SIZE)}
    content |= {"prunekit": record, HIDDEN_SIZE: NO_SIZE}


def _change_config(config: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(config.read_text(encoding="utf-8"))
    change(content)
    if not content["model_type"].startswith(PREFIX):
        content["model_type"] = PREFIX + content["model_type"]
    write_text(config, json.dumps(content, indent=2, sort_keys=True) + "\n")


def plain_config(content: dict[str, Any], path: str | Path) -> dict[str, Any]:
    """A configuration as transformers knows it.

    Raises:
        UserError: one of a pruned model without the record of its surgery.
    """
    model_type = content.get("model_type")
    if not isinstance(model_type, str) or not model_type.startswith(PREFIX):
        return content
    if "prunekit" not in content:
        raise UserError(f"{path}/config.json: model_type is {model_type!r}, but the prunekit record is missing")
    content = content | {"model_type": model_type.removeprefix(PREFIX)}
    record = content["prunekit"]
    if isinstance(record, dict) and HIDDEN_SIZE in record:
        size = record[HIDDEN_SIZE]
        content |= {"prunekit": {name: value for name, value in record.items() if name != HIDDEN_SIZE}}
        content = {name: value for name, value in content.items() if name != HIDDEN_SIZE}
        content |= {} if size is None else {HIDDEN_SIZE: size}
    return content


def weights_file(path: str | Path) -> Path:
    """The weights of a pruned model.

    Raises:
        OSError: there are none.
    """
    found = cached_file(str(path), PRUNED_WEIGHTS, _raise_exceptions_for_missing_entries=False)
    return Path(str(found or cached_file(str(path), WEIGHTS)))
