"""Biases that give a sublayer the mean output of the units that went (An et al. 2024, FLAP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.models.blocks import blocks
from prunekit.models.masks import Masks
from prunekit.stages.refit.replaced import module_names
from prunekit.stages.score.projection_inputs import projections

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def compensated(model: PreTrainedModel, masks: Masks, statistics: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """New biases of the output projections: b + Σ W_j E[x_j] over the columns j of units that are removed.

    Args:
        masks: of units that stay.
        statistics: of :func:`prunekit.stages.score.projection_inputs.input_statistics`, of the same model.

    Returns:
        biases (d,) by the names of the model's parameters, those that change.
    """
    names, biases = module_names(model), {}
    for block in blocks(model):
        own = (masks.heads["self"][block.layer], masks.neurons[block.layer])
        for (name, projection, units, size), mask in zip(projections(block), own, strict=True):
            gone = (mask[:units] == 0).repeat_interleave(size).cpu()
            if gone.any():
                weight = projection.get_parameter("weight").detach().double().cpu()
                bias = projection.get_parameter("bias").detach()
                missing = weight[:, gone] @ statistics[f"{block.layer}.{name}.mean"][gone]
                biases[f"{names[projection]}.bias"] = (bias.double().cpu() + missing).to(bias)
    return biases


def compensation_report(model: PreTrainedModel, masks: Masks, biases: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """A row a sublayer, as the table ``refit`` has them: whether its bias is one of ``biases``; errors are unknown."""
    names, rows = module_names(model), []
    for block in blocks(model):
        own = (masks.heads["self"][block.layer], masks.neurons[block.layer])
        for (name, projection, units, _), mask in zip(projections(block), own, strict=True):
            changed = f"{names[projection]}.bias" in biases
            rows.append({
                "layer": block.layer, "sublayer": name, "status": "tuned" if changed else "skipped: nothing is gone",
                "units": int((mask[:units] != 0).sum()), "error_before": None, "error_after": None,
                "largest_scale": None,
            })  # fmt: skip
    return rows
