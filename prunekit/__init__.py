"""Pruning of Transformers: three papers, and any other method, on one footing.

The names below are imported when they are first used, so that `import prunekit` does not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunekit.heads.scores import head_importance as head_importance
    from prunekit.methods.common.compression import compress as compress
    from prunekit.models.blocks import describe as describe
    from prunekit.models.checkpoints import load as load
    from prunekit.models.checkpoints import save as save
    from prunekit.models.costs import cost as cost
    from prunekit.models.export.exporting import export as export
    from prunekit.models.gates import gated as gated
    from prunekit.models.masks import Masks as Masks
    from prunekit.models.surgery import prune as prune
    from prunekit.support.errors import UserError as UserError

__version__ = "0.1.0"
"""Read by pyproject.toml."""

_HOMES = {
    "Masks": "models.masks",
    "UserError": "support.errors",
    "compress": "methods.common.compression",
    "cost": "models.costs",
    "describe": "models.blocks",
    "export": "models.export.exporting",
    "gated": "models.gates",
    "head_importance": "heads.scores",
    "load": "models.checkpoints",
    "prune": "models.surgery",
    "save": "models.checkpoints",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
