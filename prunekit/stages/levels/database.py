"""The levels of every sublayer of a model from one pass over calibration data, from which models of any size come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.models.blocks import blocks, describe
from prunekit.models.masks import Masks
from prunekit.stages.levels.second_order import DAMPING, damped_quadratic
from prunekit.stages.levels.sublayer_levels import RATIO, SublayerLevels, sublayer_levels
from prunekit.stages.refit.replaced import module_names
from prunekit.stages.score.projection_inputs import projections
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Counts = Mapping[str, int]
"""Units that every sublayer keeps, by ``LAYER.SUBLAYER``."""


@dataclass(frozen=True)
class LevelDatabase:
    """What one calibration gives."""

    sublayers: Mapping[str, SublayerLevels]
    """By ``LAYER.SUBLAYER``, every sublayer (``attention`` or ``ffn``) that has a unit, in the order of the layers."""

    def masks(self, model: PreTrainedModel, counts: Counts) -> Masks:
        """The units that are left when each sublayer keeps so many."""
        masks = Masks.ones(describe(model))
        for place, levels in self.sublayers.items():
            layer, sublayer = place.split(".")
            rows = masks.heads["self"] if sublayer == "attention" else masks.neurons
            rows[int(layer), : levels.units] = levels.mask(counts[place])
        return masks

    def weights(self, model: PreTrainedModel, counts: Counts) -> dict[str, Tensor]:
        """Output weights of the sublayers that lose some units and not all, by the name of the model's parameter and in
        its shape; 0 for what is gone."""
        names, weights = module_names(model), {}
        for block in blocks(model):
            for sublayer, projection, _, _ in projections(block):
                levels = self.sublayers.get(place := f"{block.layer}.{sublayer}")
                if levels is not None and 0 < counts[place] < levels.units:
                    whole = torch.zeros_like(projection.get_parameter("weight"), requires_grad=False)
                    kept = levels.mask(counts[place]).repeat_interleave(levels.size).to(whole.device)
                    whole[:, kept] = levels.weight(counts[place]).to(whole)
                    weights[f"{names[projection]}.weight"] = whole
        return weights

    def rows(self) -> list[dict[str, Any]]:
        """A row a level, as the table ``levels`` of records has them: ``layer``, ``sublayer``, ``units``;
        ``damped_error``, what the search adds up, and ``measured_error``, the mean squared error of the output on the
        calibration tokens, both as shares of the mean squared output without bias; and the ``damping`` that was
        needed."""
        return [
            {
                "layer": int(place.partition(".")[0]), "sublayer": place.partition(".")[2], "units": int(count),
                "damped_error": float(damped / power), "measured_error": float(measured / power),
                "damping": float(levels.damping),
            }
            for place, levels in self.sublayers.items()
            for power in [levels.power.clamp_min(1e-300)]
            for count, damped, measured in zip(levels.counts, levels.damped, levels.measured, strict=True)
        ]  # fmt: skip

    def to_tensors(self) -> dict[str, Tensor]:
        """All of it by name, on the CPU."""
        return {
            f"{place}.{name}": tensor.cpu()
            for place, levels in self.sublayers.items()
            for name, tensor in levels.tensors().items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LevelDatabase:
        """The same again."""
        parts: dict[tuple[int, str], dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            layer, sublayer, name = key.split(".")
            parts.setdefault((int(layer), sublayer), {})[name] = tensor
        return cls({f"{at}.{sublayer}": SublayerLevels(**parts[at, sublayer]) for at, sublayer in sorted(parts)})


@torch.no_grad()
def take_levels(
    model: PreTrainedModel,
    statistics: Mapping[str, Tensor],
    *,
    damping: float = DAMPING,
    ratio: float = RATIO,
    progress: Callable[[int], None] = lambda sublayers: None,
) -> LevelDatabase:
    """The levels of all sublayers, each with the inputs that it has in the whole model.

    A layer that several depths share has the inputs of all of them, so that its error is that of all of its calls.
    Beside the statistics, memory holds a matrix of the model's precision as large as X'X for every sublayer, and about
    eight of float64 while one of them is worked on.

    Args:
        model: of the architecture table, pruned or not, with any task head.
        statistics: of its inputs, with products; see
            :func:`prunekit.stages.score.projection_inputs.input_statistics`.
        damping: share of the mean of the diagonal of H that is added to it; a singular H gets more.
        ratio: neurons of a level by those of the one above it; heads have every level.
        progress: called with the number of sublayers done since the last call.

    Raises:
        UserError: inputs of a sublayer that are not finite (which).
    """
    done = {}
    for block in blocks(model):
        for sublayer, projection, units, size in projections(block):
            if units:
                place = f"{block.layer}.{sublayer}"
                weight = projection.get_parameter("weight").detach()
                products = statistics[f"{place}.products"].to(weight.device, torch.float64)
                tokens = int(statistics[f"{place}.tokens"])
                quadratic = damped_quadratic(products, tokens, weight, damping)
                if quadratic is None:
                    raise UserError(f"levels: the inputs of layer {block.layer}'s {sublayer} output are not finite")
                done[place] = sublayer_levels(quadratic, products, tokens, weight, size, ratio)
            progress(1)
    return LevelDatabase(done)
