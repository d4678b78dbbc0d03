"""Saved models that something was done to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

Change = Callable[[dict[str, Tensor]], None]


def change_weights(folder: Path, change: Change) -> None:
    (file,) = folder.glob("*.safetensors")
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def drop(name: str) -> Change:
    return lambda tensors: tensors.__delitem__(name)


QUERY = "bert.encoder.layer.1.attention.self.query.weight"
