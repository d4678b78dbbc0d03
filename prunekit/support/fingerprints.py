"""Hashes of contents, by which expensive results are found again."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from prunekit.data.batches import Examples


def weights_fingerprint(model: torch.nn.Module) -> str:
    """Hash of all parameters and buffers of a model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:16]


def examples_fingerprint(examples: Examples) -> str:
    """Hash of everything that a model gets of some examples, answers included, in their order."""
    digest = hashlib.sha256(json.dumps([examples.input_ids, examples.token_type_ids]).encode())
    for name, tensor in sorted(examples.targets(list(range(len(examples)))).items()):
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()[:16]


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
