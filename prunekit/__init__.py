"""Pruning of Transformers: three papers on one footing.

The names below are imported when they are first used, so that `import prunekit` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunekit.blocks import describe as describe
    from prunekit.checkpoints import load as load
    from prunekit.checkpoints import save as save
    from prunekit.costs import cost as cost
    from prunekit.errors import UserError as UserError
    from prunekit.gates import gated as gated
    from prunekit.masks import Masks as Masks
    from prunekit.scores import head_importance as head_importance
    from prunekit.surgery import prune as prune

_HOMES = {
    "Masks": "masks",
    "UserError": "errors",
    "cost": "costs",
    "describe": "blocks",
    "gated": "gates",
    "head_importance": "scores",
    "load": "checkpoints",
    "prune": "surgery",
    "save": "checkpoints",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
