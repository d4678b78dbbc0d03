"""Shapes that are not learned: CoFi's baselines at the same sparsity.

``fisher`` and ``magnitude`` take the best heads and neurons by a score, ``layers`` whole layers (as DistilBERT does),
``random`` draws units in the shape of another model, ``dense`` is a small Transformer of its own (as TinyBERT without
general distillation).
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.cofi.sparsity import PrunableSize
from prunekit.data.batches import Examples, evaluation_batches
from prunekit.models.blocks import blocks, describe
from prunekit.models.families.table import encoder_of
from prunekit.models.masks import Masks
from prunekit.models.pretrained import from_shape, on_device
from prunekit.stages.refine.rearrange import rearrange
from prunekit.stages.score.gradients import diagonal, mask_gradients
from prunekit.stages.score.unit_scores import unit_scores
from prunekit.stages.search.mac_search import most_important
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DEPTH = 3
"""A small dense Transformer has one layer for so many of its teacher's: TinyBERT has 4 for 12."""


def scored(model: PreTrainedModel, name: str, sparsity: float, examples: Examples) -> Masks:
    """Heads and neurons of most importance within a number of parameters.

    Args:
        model: fine-tuned.
        name: ``fisher``, with rearrangement (Kwon et al. 2022), or ``magnitude``.
        examples: that Fisher information is computed from.

    Raises:
        UserError: no unit fits.
    """
    size, hidden = PrunableSize.of(model), describe(model).hidden
    head, neuron = int(size.per_head * hidden), int(size.per_neuron * hidden)

    def best(scores: UnitTensors) -> Masks:
        masks = most_important(scores, model, head, neuron, math.floor((1 - sparsity) * size.total))
        if masks is None:
            raise UserError(f"sparsity: {sparsity} leaves no room for a single head or neuron of this model")
        return masks

    if name != "fisher":
        return best(unit_scores("magnitude", model))
    best(UnitTensors.zeros(Masks.ones(describe(model))))  # no room is said before gradients are taken
    gradients = mask_gradients(model, evaluation_batches(examples, 32))
    return rearrange(gradients, best(diagonal(gradients)))


def whole_layers(model: PreTrainedModel, sparsity: float) -> Masks:
    """As many whole layers as come nearest to a sparsity, one at least, at even distances from the first on."""
    encoder_of(model.config)
    masks = Masks.ones(describe(model))
    [kind] = masks.heads
    layers = len(masks.neurons)
    remaining = max(1, round((1 - sparsity) * layers))
    stays = torch.zeros(layers, dtype=torch.bool)
    stays[torch.linspace(0, layers - 1, remaining).round().long()] = True
    masks.layers = {name: mask & stays.to(mask.device) for name, mask in masks.layers.items()}
    masks.heads[kind] &= stays.to(masks.neurons.device)[:, None]
    masks.neurons &= stays.to(masks.neurons.device)[:, None]
    return masks


def drawn(model: PreTrainedModel, shape: dict[str, list[int]], seed: int) -> Masks:
    """Random units, as many in every sublayer as another model has.

    Args:
        shape: units that are kept, by group and layer: ``heads``, ``neurons``, one entry of ``hidden``, and for the
            sublayers of attention and FFN 0 or 1, ``KIND layers`` and ``ffn layers``.
    """
    encoder_of(model.config)
    masks = Masks.ones(describe(model))
    generator = torch.Generator().manual_seed(seed)

    def draw(row: Tensor, remaining: int) -> None:
        row[torch.randperm(len(row), generator=generator)[remaining:].to(row.device)] = False

    for kind, heads in masks.heads.items():
        for layer, remaining in enumerate(shape["heads"]):
            draw(heads[layer], remaining)
        masks.layers[kind] &= torch.tensor(shape[f"{kind} layers"], device=heads.device) > 0
    for layer, remaining in enumerate(shape["neurons"]):
        draw(masks.neurons[layer], remaining)
    masks.layers["ffn"] &= torch.tensor(shape["ffn layers"], device=masks.neurons.device) > 0
    assert masks.hidden is not None
    draw(masks.hidden, *shape["hidden"])
    return masks


def small_dense(teacher: PreTrainedModel, sparsity: float, seed: int) -> PreTrainedModel:
    """A Transformer of the teacher's family with a third of its layers, and as narrow as a sparsity asks for; its
    weights are random. Heads have the teacher's size, and the FFN takes what attention leaves of the parameters.

    Raises:
        UserError: fewer parameters than one head and one neuron a layer need.
    """
    whole, size = PrunableSize.of(teacher), blocks(teacher)[0].head_size
    layout = describe(teacher)
    depth = math.ceil(len(layout.ffn) / DEPTH)
    a_layer = (1 - sparsity) * whole.total / depth
    heads = min(max(1, round(math.sqrt(a_layer / 12) / size)), layout.hidden // size)
    hidden = heads * size
    neurons = round((a_layer - 4 * hidden**2) / (2 * hidden))
    if neurons < 1:
        raise UserError(f"sparsity: {sparsity} leaves less than one head and one neuron a layer of a dense model")
    config: Any = copy.deepcopy(teacher.config)
    config.hidden_size, config.num_hidden_layers, config.num_attention_heads = hidden, depth, heads
    config.intermediate_size = neurons
    architecture: Any = type(teacher)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = from_shape(architecture._from_config, config, config._attn_implementation)
    return on_device(model, teacher.device)

