"""ONNX Runtime: graphs that are run beside torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prunekit.support.errors import UserError, first_line
from prunekit.support.extras import of_extra


class Session:
    """A graph in ONNX Runtime, on CPUs.

    Args:
        path: of the ``.onnx`` file.
        threads: of one operator; None for all cores.

    Raises:
        UserError: ONNX Runtime is not installed, or cannot run this graph (another opset, an operator that it or this
            processor does not have, a file that is no graph).
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        with of_extra("onnx"):
            import onnxruntime
        if not Path(path).is_file():
            raise UserError(f"{path}: there is no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of a dozen classes without a common one
            reason = first_line(error).rpartition("&) ")[2].rpartition("] : ")[2]  # without where in its source
            raise UserError(
                f"{path}: ONNX Runtime {onnxruntime.__version__} cannot run this graph on this machine ({reason}); "
                "export it again with the versions that are installed here"
            ) from error
        self.inputs = [item.name for item in self._session.get_inputs()]
        self.outputs = [item.name for item in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Outputs by name, from arrays or tensors by name, wherever they are; inputs that the graph does not have are
        left out."""
        arrays = {name: _array(inputs[name]) for name in self.inputs}
        return dict(zip(self.outputs, self._session.run(None, arrays), strict=True))


def _array(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)  # of a GPU's tensors numpy sees nothing
