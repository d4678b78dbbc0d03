"""ONNX Runtime: graphs that are run beside torch, and whether this machine can run them."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prunekit.support.errors import UserError, first_line
from prunekit.support.extras import of_extra

if TYPE_CHECKING:
    import torch


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
        # Threads that wait for more work take the CPUs from what is timed in turn with this.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of a dozen classes without a common one
            raise UserError(
                f"{path}: ONNX Runtime {onnxruntime.__version__} cannot run this graph on this machine "
                f"({_reason(error)}); export it again with the versions that are installed here"
            ) from error
        self._path = path
        self.inputs = [item.name for item in self._session.get_inputs()]
        self.outputs = [item.name for item in self._session.get_outputs()]

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        """Outputs by name, from arrays or tensors by name, wherever they are; inputs that the graph does not have are
        left out.

        Raises:
            UserError: the graph cannot compute them, as ids that its model has no embedding for.
        """
        arrays = {name: _array(inputs[name]) for name in self.inputs}
        try:
            outputs = self._session.run(None, arrays)
        except Exception as error:  # of as many classes as above
            raise UserError(
                f"{self._path}: ONNX Runtime stopped in this graph ({_reason(error)}); give it what its model takes"
            ) from error
        return dict(zip(self.outputs, outputs, strict=True))


def _array(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)  # of a GPU's tensors numpy sees nothing


def _reason(error: Exception) -> str:
    """What ONNX Runtime says, without where in its source."""
    return first_line(error).rpartition("&) ")[2].rpartition("] : ")[2]


def check_installed() -> None:
    """
    Raises:
        UserError: a package is not installed that graphs are written or run with.
    """
    with of_extra("onnx"):
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401


def check_int8(setting: str, right: str) -> None:
    """Run a matrix product in 8 bits with unsigned weights, as quantised graphs have it.

    Args:
        setting: that asks for it, and its value.
        right: what would be right where it is not there.

    Raises:
        UserError: ONNX Runtime is not installed, or has no such operator on this processor.
    """
    check_installed()
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
        try:
            Session(path, 1)({"x": np.ones((2, 4), np.float32)})
        except UserError as error:  # names a file that is nobody's
            cause = error.__cause__
            reason = _reason(cause) if isinstance(cause, Exception) else str(error)
            raise UserError(
                f"{setting}: ONNX Runtime does not multiply in 8 bits on this machine ({reason}); {right}"
            ) from error


def check_runtimes(setting: str, runtimes: Collection[str], device: torch.device) -> None:
    """Refuse to time models in what this machine cannot run, or beside other models that a GPU runs, before anything
    is computed.

    Args:
        setting: that names the runtimes.
        device: that the run computes on.

    Raises:
        UserError: ONNX Runtime is one of them, and the device is no CPU, or see :func:`check_int8`.
    """
    if not any("onnx" in runtime for runtime in runtimes):
        return
    if device.type != "cpu":
        raise UserError(f"run.device: ONNX Runtime is timed on CPUs, not on {device}; use run.device=cpu")
    check_installed()
    if "onnx-int8" in runtimes:
        check_int8(f"{setting}: onnx-int8", "use onnx, which is in float32")
