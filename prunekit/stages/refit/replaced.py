"""Parameters of a model that are others for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor, nn

from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def module_names(model: PreTrainedModel) -> dict[nn.Module, str]:
    """The name of every module in the model, of one that several layers share the first."""
    return {module: name for name, module in model.named_modules()}


@contextmanager
def replaced(model: PreTrainedModel, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Run, prune or save a model with other parameters; its own are back afterwards, on exceptions too.

    Args:
        weights: by the names of the model's parameters, each of the parameter's shape.

    Raises:
        UserError: no such parameter, another shape, or a value that is not finite.
    """
    parameters = dict(model.named_parameters())
    for name, value in weights.items():
        if name not in parameters:
            raise UserError(f"weights: {name} is no parameter of this {type(model).__name__}")
        if value.shape != parameters[name].shape:
            wanted = tuple(parameters[name].shape)
            raise UserError(f"weights: {name} should be {wanted}, it is {tuple(value.shape)}")
        if not value.isfinite().all():
            raise UserError(f"weights: {name} has values that are not finite")
    own = {name: parameters[name].data for name in weights}
    try:
        for name, value in weights.items():
            parameters[name].data = value.to(parameters[name])
        yield
    finally:
        for name, value in own.items():
            parameters[name].data = value
