"""What a run leaves beside its record, and whether it is still there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prunekit.runs.model_facts import weights_gone


@pytest.mark.parametrize(
    ("verb", "config", "files"),
    [
        ("finetune", {}, ["model/config.json"]),
        ("prune_fisher", {}, ["model/config.json"]),
        ("prune_cofi", {}, ["model/config.json"]),
        ("compress", {}, ["model/config.json"]),
        ("prune_heads", {"save": True}, ["model/config.json"]),
        ("prune_heads", {"save": False}, []),
        ("quantize", {"quantization": "dynamic"}, ["onnx/int8/model.onnx"]),
        ("quantize", {"quantization": "aware"}, ["onnx/int8/model.onnx", "model/config.json"]),
        ("quantize", {"quantization": "aware"}, ["model/config.json", "onnx/int8/model.onnx"]),
        ("ablate_heads", {}, []),
        ("latency_table", {}, []),
    ],
)
def test_weights_are_gone_where_any_that_were_left_are(
    tmp_path: Path, verb: str, config: dict[str, Any], files: list[str]
) -> None:
    record = {"verb": verb, "config": config}
    assert weights_gone(record, tmp_path) == bool(files)
    for number, name in enumerate(files, 1):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
        assert weights_gone(record, tmp_path) == (number < len(files))
