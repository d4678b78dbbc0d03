"""Models that ONNX Runtime answers for, so that whatever evaluates models evaluates a graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.models.export.sessions import Session

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
