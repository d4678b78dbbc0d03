"""Importance of heads and neurons by other measures than Fisher information, for the same search and budget.

A search adds up importance and pays for units by their cost, so that heads and neurons must be measured on one
scale. All measures here are additive over the weights or features of a unit, and none is normalised by layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.config.choices import UNIT_SCORES
from prunekit.models.blocks import blocks, describe
from prunekit.models.costs import head_weights, neuron_weights
from prunekit.models.families.table import encoder_of
from prunekit.models.masks import Masks
from prunekit.stages.score.gradients import diagonal
from prunekit.stages.score.head_magnitude import head_magnitude
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def unit_scores(name: str, model: PreTrainedModel, gradients: UnitTensors | None = None, seed: int = 0) -> UnitTensors:
    """Additive importance of every head and neuron, float64 on the CPU, 0 where a pruned model has no unit.

    ``fisher``: the diagonal of the Fisher information, E g² (Kwon et al. 2022).
    ``importance``: E |g|, the mean over examples, of Michel et al. 2019, Eq. 2, for neurons as for heads. The paper
    normalises each layer's scores before it ranks heads; here the derivatives by the gates are compared as they are,
    because a layer has two kinds of units that share one budget.
    ``magnitude``: sum of the squared weights that belong to the unit: a head's rows of query, key and value and
    columns of the output matrix; a neuron's row of the first and column of the second matrix.
    ``random``: uniform in [0, 1) times the number of those weights. A head costs some hundred times what a neuron
    costs; were both worth the same, the search would drop the heads first and not choose at random.

    Args:
        gradients: of every example by every gate, see :func:`prunekit.stages.score.gradients.mask_gradients`;
            needed for ``fisher`` and ``importance``.
        seed: of ``random``.

    Raises:
        UserError: an unknown score, or an encoder-decoder.
    """
    encoder_of(model.config)
    if name == "magnitude":
        heads = head_magnitude(model)["self"].nan_to_num(nan=0.0)
        return UnitTensors(heads**2, _neuron_magnitude(model))
    if name == "random":
        return _random(model, seed)
    if name not in UNIT_SCORES:
        raise UserError(f"score={name}: not known, there are {', '.join(UNIT_SCORES)}")
    if gradients is None:
        raise ValueError(f"score={name} is computed from gradients")
    if name == "fisher":
        return diagonal(gradients)
    heads, neurons = (rows.abs().mean(0, dtype=torch.float64).cpu() for rows in (gradients.heads, gradients.neurons))
    return UnitTensors(heads, neurons)


def _neuron_magnitude(model: PreTrainedModel) -> Tensor:
    scores = torch.zeros(Masks.ones(describe(model)).neurons.shape, dtype=torch.float64)
    for block in blocks(model):
        if block.neurons:
            rows = block.ffn_in.get_parameter("weight").detach().double()
            columns = block.ffn_out.get_parameter("weight").detach().double()
            scores[block.layer, : block.neurons] = (rows.square().sum(1) + columns.square().sum(0)).cpu()
    return scores


def _random(model: PreTrainedModel, seed: int) -> UnitTensors:
    exists = Masks.ones(describe(model))
    generator = torch.Generator().manual_seed(seed)
    hidden = describe(model).hidden
    head, neuron = head_weights(hidden, blocks(model)[0].head_size), neuron_weights(hidden)
    heads, neurons = (
        torch.rand(units.shape, generator=generator, dtype=torch.float64) * units * weights
        for units, weights in ((exists.heads["self"], head), (exists.neurons, neuron))
    )
    return UnitTensors(heads, neurons)
