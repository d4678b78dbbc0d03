"""Hashes of contents, by which expensive results are found again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

NOT_CONTENT = ("_name_or_path", "architectures", "dtype", "transformers_version")
"""Of a model's configuration: where it came from. Its class and the dtype of its weights are taken from the model."""


def fingerprint(content: Any) -> str:
    """Hash of a content: of strings, numbers, tensors, arrays, dataclasses, and mappings and sequences of such.

    Raises:
        TypeError: something else is in it, as a path, which says where a content lies and not what it is.
    """
    text = json.dumps(content, sort_keys=True, default=_content)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def model_fingerprint(model: torch.nn.Module) -> str:
    """Hash of all that decides a model's outputs: class, configuration, parameters and buffers.

    Args:
        model: of transformers. Hooks on it are not seen.
    """
    config: Any = model.config
    own = {name: value for name, value in config.to_dict().items() if name not in NOT_CONTENT}
    return fingerprint({
        "class": type(model).__name__, "config": own, "attention": config._attn_implementation,
        "weights": model.state_dict(),
    })  # fmt: skip


def weights_fingerprint(model: torch.nn.Module) -> str:
    """Hash of parameters and buffers by name, the same in float64 and in what they were before."""
    return fingerprint({name: tensor.float() for name, tensor in model.state_dict().items()})


def _content(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        raw = value.detach().cpu().contiguous().view(-1).view(torch.uint8)
        return ["tensor", str(value.dtype), [*value.shape], hashlib.sha256(raw.numpy().data).hexdigest()]
    if isinstance(value, np.ndarray) and value.dtype != object:
        raw_bytes = np.ascontiguousarray(value).tobytes()
        return ["array", str(value.dtype), [*value.shape], hashlib.sha256(raw_bytes).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, torch.dtype):
        return str(value)
    raise TypeError(f"a {type(value).__name__} is no content that could be hashed")
