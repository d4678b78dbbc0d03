"""Models in the runtimes that serve them, ready to be timed side by side."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prunekit.models.export.graphs import write_graph
from prunekit.models.export.sessions import Session


class InOnnxRuntime:
    """A model's graph in ONNX Runtime, with as many threads as torch has; takes token ids without padding.

    Args:
        precision: ``float32``, or ``int8`` for weights in 8 bits.
    """

    def __init__(self, model: Any, precision: str = "float32") -> None:
        self.config = model.config
        ids = torch.randint(0, model.config.vocab_size, (2, 8), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            output = model(input_ids=ids)
        names = ["logits"] if isinstance(output, Tensor) else [
            name for name, value in output.items() if isinstance(value, Tensor)
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            write_graph(model, {"input_ids": ids}, names, path, precision)
            self._session = Session(path, torch.get_num_threads())

    def __call__(self, input_ids: Tensor) -> list[Any]:
        return list(self._session({"input_ids": input_ids.numpy()}).values())


def in_runtime(model: nn.Module, runtime: str) -> Any:
    """A model in eval mode as a runtime has it; called with ``input_ids``, (batch, token), it gives its outputs.

    Args:
        runtime: ``torch``, ``compile``, ``onnx`` or ``onnx-int8``.

    Raises:
        UserError: ONNX Runtime is not installed.
    """
    if runtime == "torch":
        return model
    if runtime == "compile":
        compiled: Any = torch.compile(model, dynamic=False)
        return compiled
    return InOnnxRuntime(model, "int8" if runtime == "onnx-int8" else "float32")
