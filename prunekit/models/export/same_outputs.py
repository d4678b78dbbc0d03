"""How far outputs of what was exported are from the model's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.models.checkpoints import is_translator
from prunekit.models.export.graphs import random_inputs, random_targets
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Array = np.ndarray[Any, Any]
Answers = Callable[[dict[str, torch.Tensor]], list[Array]]
"""Outputs of what was written to inputs of the model."""
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Largest difference of outputs, as a share of the largest output; of other dtypes a twentieth."""
RIGHT = {
    "format": "nothing was written, use another format or precision",
    "exact": "they are another model's; give a folder that this one was exported to in float32",
}
"""By the setting that outputs come from: what would be right where they cannot be the model's."""


def tolerance(model: PreTrainedModel) -> float:
    """The largest difference between outputs that are equal but for rounding."""
    return TOLERANCE.get(model.dtype, 0.05)


def answers_of(model: Any) -> Answers:
    """What a model says to inputs; of an encoder-decoder without words what its task head is given."""
    translates = is_translator(model)

    @torch.no_grad()
    def answers(inputs: dict[str, torch.Tensor]) -> list[Array]:
        asked = model
        if model.config.is_encoder_decoder and not translates:
            asked = model.base_model
        elif "MultipleChoice" in type(model).__name__:
            inputs = {name: tensor.unsqueeze(1) for name, tensor in inputs.items()}
        output = asked(**inputs)
        values = [output.logits] if translates else output.values()
        return [value.cpu().double().numpy() for value in values if isinstance(value, torch.Tensor)]

    return answers


def difference(model: PreTrainedModel, written: Answers, setting: str = "format") -> float:
    """Largest difference from a model's outputs, as a share of the largest, on two batches of random tokens.

    Args:
        setting: of :data:`RIGHT`.

    Raises:
        UserError: outputs of the model, or of what was written, that are not finite, or of other shapes.
    """
    largest = apart = 0.0
    for rows, length, seed in ((3, 11, 1), (1, 5, 2)):
        inputs = random_inputs(model, rows, length, seed)
        if model.config.is_encoder_decoder:
            inputs["decoder_input_ids"] = random_targets(model, rows, 4, seed)
        ours, theirs = answers_of(model)(inputs), written(inputs)
        shapes = [[answer.shape for answer in answers] for answers in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"{setting}: outputs are of shape {shapes[1]}, the model's are of {shapes[0]}; {RIGHT[setting]}"
            )
        for own, other in zip(ours, theirs, strict=True):
            if not np.isfinite(own).all():
                raise UserError("model: its outputs are not finite; check its weights")
            if not np.isfinite(other).all():
                raise UserError(
                    f"{setting}: outputs of what was written are not finite, the model's are; {RIGHT[setting]}"
                )
            largest = max(largest, float(np.abs(own).max()))
            apart = max(apart, float(np.abs(own - other).max()))
    return apart / largest if largest else apart
