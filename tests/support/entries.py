"""Every entry of the library that takes a model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
import torch

import prunekit
from prunekit.forward.ablation import ablate_heads
from prunekit.stages.score.gradients import mask_gradients
from prunekit.support.errors import UserError
from tests.support.families import batch_for, tiny


@cache
def entries() -> dict[str, Callable[[Any], Any]]:
    """By name; each takes the model."""
    batch = {**batch_for(tiny("bert")), "labels": torch.tensor([0, 1, 2, 0]), "index": torch.arange(4)}
    masks = prunekit.Masks.ones(prunekit.describe(tiny("bert")))
    return {
        "describe": prunekit.describe,
        "gated": lambda model: prunekit.gated(model, masks).__enter__(),
        "prune": lambda model: prunekit.prune(model, masks),
        "save": lambda model: prunekit.save(model, Path(gettempdir(), "prunekit-refused")),
        "export": lambda model: prunekit.export(model, Path(gettempdir(), "prunekit-refused")),
        "compress": lambda model: prunekit.compress(model, [batch], method="magnitude"),
        "cost": lambda model: prunekit.cost(model, 8),
        "head_importance": lambda model: prunekit.head_importance(model, [batch]),
        "mask_gradients": lambda model: mask_gradients(model, [batch]),
        "ablate_heads": lambda model: ablate_heads(model, [batch]),
    }


def refused(entry: str, model: Any, message: str) -> None:
    """An entry answers a model with one line that matches."""
    with pytest.raises(UserError, match=message) as error:
        entries()[entry](model)
    assert "\n" not in str(error.value)
