"""Pruned models known to transformers for a while: other tests hold that it refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prunekit.models.export.native import register_all


@contextmanager
def registered() -> Iterator[None]:
    """What ``import prunekit.auto`` does, and undone afterwards."""
    import prunekit.auto  # noqa: F401

    register_all()
    try:
        yield
    finally:
        mappings: list[Any] = [getattr(auto, "_model_mapping", None) for auto in vars(modeling_auto).values()]
        for mapping in (CONFIG_MAPPING, *filter(None, mappings)):
            for key in list(getattr(mapping, "_extra_content", {})):
                if "prunekit" in str(getattr(key, "model_type", key)):
                    del mapping._extra_content[key]
