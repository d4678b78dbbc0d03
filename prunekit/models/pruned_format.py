"""How a pruned model lies in a folder, so that transformers refuses what it would fill at random.

transformers builds the shape that ``config.json`` describes and initialises whatever the weights lack, with a warning.
So a model that no longer has that shape is saved under a ``model_type`` that the Auto classes do not know, and its
weights under a name that concrete classes do not look for. Both are read by :func:`prunekit.load` alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils.hub import cached_file

from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = "model.safetensors"
"""Of models that have the shape of their configuration; where pruned ones were before they had a name of their own."""
PRUNED_WEIGHTS = "prunekit.safetensors"
PREFIX = "prunekit-"
"""Before the family, in the ``model_type`` of a pruned model."""


def has_its_own_shape(model: PreTrainedModel) -> bool:
    """Whether a model is not of the shape that transformers builds from its configuration."""
    if not hasattr(model.config, "prunekit"):
        return False
    with torch.device("meta"):
        plain = type(model)(model.config).state_dict()
    own = model.state_dict()
    return {name: own[name].shape for name in own} != {name: plain[name].shape for name in plain}


def rename(folder: Path) -> None:
    """Give a folder that has just been written the names of a pruned model's."""
    (folder / WEIGHTS).rename(folder / PRUNED_WEIGHTS)
    config = folder / "config.json"
    content = json.loads(config.read_text(encoding="utf-8"))
    content["model_type"] = PREFIX + content["model_type"]
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
    return content | {"model_type": model_type.removeprefix(PREFIX)}


def weights_file(path: str | Path) -> Path:
    """The weights of a pruned model.

    Raises:
        OSError: there are none.
    """
    found = cached_file(str(path), PRUNED_WEIGHTS, _raise_exceptions_for_missing_entries=False)
    return Path(str(found or cached_file(str(path), WEIGHTS)))
