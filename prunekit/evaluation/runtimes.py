"""Models in the runtimes that serve them, ready to be timed side by side on what their graphs take."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunekit.models.export.graphs import MODEL, Inputs, write_graph, write_graphs
from prunekit.models.export.sessions import Session
from prunekit.support.errors import UserError, first_line

ALL_SHAPES = 10**6
"""Compilations of one code in a process, of all shapes of all models: more than PyTorch's own limit, some hundreds."""


class Served:
    """A graph in ONNX Runtime, with as many threads as torch has, called as the model that it is of.

    Args:
        config: the model's, or that of one of the same words.
        path: of the graph.
    """

    def __init__(self, config: Any, path: Path) -> None:
        self.config, self._session = config, Session(path, torch.get_num_threads())

    def __call__(self, **inputs: Tensor) -> dict[str, Any]:
        return self._session(inputs)


class Compiled:
    """A model of which `torch.compile` makes code of its own for every shape of inputs.

    PyTorch counts compilations by the code that it compiles, which all models of a class share, and runs what is beyond
    its limits as if it were not compiled, with a warning. So every shape is counted apart, and the limit is an error.
    """

    def __init__(self, model: nn.Module, backend: Any = "inductor") -> None:
        self.config, self._model, self._backend = model.config, model, backend
        self._by_shape: dict[tuple[tuple[str, tuple[int, ...]], ...], Any] = {}

    def __call__(self, **inputs: Tensor) -> Any:
        """
        Raises:
            UserError: PyTorch does not compile the model any more.
        """
        shape = tuple((name, tuple(tensor.shape)) for name, tensor in inputs.items())
        if (known := self._by_shape.get(shape)) is not None:
            return known(**inputs)
        compiling: Any = torch.compile  # its typed overloads lack what its documentation has
        try:
            made = compiling(self._model, dynamic=False, isolate_recompiles=True, backend=self._backend)
        except TypeError as error:  # without it a model's second shape could run as it is, uncompiled
            raise UserError(
                f"runtime: torch.compile of PyTorch {torch.__version__} has no isolate_recompiles, which the times of "
                "several shapes need; install a newer one, or time it without compile"
            ) from error
        output = _compiled_first(made, inputs)
        self._by_shape[shape] = made
        return output


def _compiled_first(made: Any, inputs: Mapping[str, Tensor]) -> Any:
    """The first call, in which it is compiled."""
    import torch._dynamo  # seconds of imports, for this runtime alone
    from torch._dynamo.exc import FailOnRecompileLimitHit

    try:
        with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True, accumulated_recompile_limit=ALL_SHAPES):
            return made(**inputs)
    except FailOnRecompileLimitHit as error:
        raise UserError(
            f"runtime: PyTorch {torch.__version__} does not compile all of this model "
            f"({first_line(error.__cause__ or error)}), so that its time would be of both; time it without compile"
        ) from error


def in_runtime(model: nn.Module, runtime: str, inputs: Inputs) -> Any:
    """A model in eval mode as a runtime has it; called with inputs by name, it gives its outputs.

    Args:
        runtime: ``torch``, ``compile``, ``onnx`` or ``onnx-int8``.
        inputs: examples of what the graph of a model that is not of transformers takes; one of transformers has the
            graph that it is exported as.

    Raises:
        UserError: ONNX Runtime is not installed, or the model has no graph.
    """
    if runtime == "torch":
        return model
    if runtime == "compile":
        return Compiled(model)
    precision = "int8" if runtime == "onnx-int8" else "float32"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        if isinstance(model, PreTrainedModel):
            write_graphs(model, path.parent, precision)
        else:
            write_graph(model, inputs, ["logits"], path, precision)
        return Served(model.config, path)
