"""Models that ONNX Runtime answers for, so that whatever evaluates models evaluates a graph."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from prunekit.models.export.sessions import Session
from prunekit.support.extras import of_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def answered_by(model: PreTrainedModel, session: Session) -> Iterator[None]:
    """While it is entered, a call of the model gives what the session's graph gives; all else is the model's own."""

    def forward(**inputs: Tensor) -> SimpleNamespace:
        given = {name: inputs.get(name, torch.zeros_like(inputs["input_ids"])) for name in session.inputs}
        outputs = session(given)  # token types that are not given are the first
        return SimpleNamespace(**{name: torch.from_numpy(array) for name, array in outputs.items()})

    model.forward = forward
    try:
        yield
    finally:
        del model.forward


def check_int8() -> None:
    """Run a matrix product in 8 bits with unsigned weights, as quantised graphs have it.

    Raises:
        UserError: ONNX Runtime is not installed, or has no such operator on this processor.
    """
    with of_extra("onnx"):
        import onnx
    real = onnx.TensorProto.FLOAT
    nodes = [
        onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        onnx.helper.make_node("MatMulInteger", ["q", "w", "zero"], ["whole"]),
        onnx.helper.make_node("Cast", ["whole"], ["y"], to=real),
    ]
    weight = onnx.numpy_helper.from_array(np.eye(4, dtype=np.uint8), "w")  # as `quantize_graph` stores them
    ends = [onnx.helper.make_tensor_value_info(name, real, [2, 4]) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "int8", ends[:1], ends[1:], [weight])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        onnx.save(model, path)
        Session(path, 1)({"x": np.ones((2, 4), np.float32)})
