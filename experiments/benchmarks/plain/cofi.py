"""A step of CoFi the plain way, as the authors' code takes it.

Whole matrices are multiplied and gates multiply what comes out, all but the LayerNorms, which read the dimensions that
are on. Teacher and student return their attention maps, which nobody reads. Of every layer of the student, the
distance to each matched layer of the teacher is taken with autograd, though one of them is used. Gates are sampled on
the CPU. The expected sparsity sums over all pairs of a hidden dimension and a head or neuron.

What is computed is ``variant=paper``: padding does not count in distances, only layers whose FFN is alive match, and a
sublayer that is off leaves its LayerNorm (the authors' code looks into the output of every sublayer for that).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.benchmarks.trainee import Trainee
from prunekit.cofi.distillation import TEMPERATURE, teacher_layers
from prunekit.cofi.learned_gates import EPSILON, HIGH, LOW, Gates
from prunekit.cofi.learned_gates import TEMPERATURE as GATE_TEMPERATURE
from prunekit.cofi.sparsity import PrunableSize
from prunekit.data.batches import Batch, model_inputs
from prunekit.models.blocks import blocks, call_order
from prunekit.models.masks import Masks
from prunekit.models.residual import embedding_writer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREDICTION_WEIGHT = 0.5


def plain_loss(teacher: Any, size: PrunableSize, trainee: Trainee, batch: Batch, step: int) -> Tensor:
    """The loss of a step, ().

    Args:
        teacher: with eager attention, as the student.
        trainee: its ``layers`` is the linear map to the teacher's layers.
    """
    masks = None if trainee.gates is None else drawn(trainee.gates)
    inputs, everything = model_inputs(batch), {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        teacher_output = teacher(**inputs, **everything)
    with masked(trainee.student, masks):
        output = trainee.student(**inputs, **everything)
    alive = alive_ffns(masks, call_order(trainee.student))
    tokens = batch["attention_mask"].bool()
    of_layers = layer_loss(trainee.layers, output.hidden_states[1:], teacher_output.hidden_states[1:], alive, tokens)
    loss = PREDICTION_WEIGHT * answer_loss(output.logits, teacher_output.logits) + (1 - PREDICTION_WEIGHT) * of_layers
    if trainee.gates is None:
        return loss
    return loss + trainee.constraint(expected_sparsity(trainee.gates.probabilities(), size), step)


def drawn(gates: Gates) -> Masks:
    """A draw of all gates, in the order of :meth:`Gates.sampled`, sampled on the CPU."""

    def draw(name: str) -> Tensor:
        log_alpha = gates.log_alpha[name]
        # the random numbers are the device's own, so that they are the same that the library draws there
        uniform = torch.rand(log_alpha.shape, device=log_alpha.device, dtype=log_alpha.dtype).cpu()
        uniform = uniform * (1 - 2 * EPSILON) + EPSILON
        concrete = ((uniform.logit() + log_alpha.cpu()) / GATE_TEMPERATURE).sigmoid()
        return (concrete * (HIGH - LOW) + LOW).clamp(0, 1).to(log_alpha.device)

    heads, neurons, attention, ffn, hidden = map(draw, ("heads", "neurons", "attention", "ffn", "hidden"))
    return Masks({gates.kind: heads}, neurons, {gates.kind: attention, "ffn": ffn}, hidden)


@contextmanager
def masked(model: PreTrainedModel, masks: Masks | None) -> Iterator[None]:
    """Multiply by gates whatever heads, neurons and sublayers give, and whatever is written to the residual stream."""
    with ExitStack() as hooks:
        if masks is not None:
            assert masks.hidden is not None
            writer = embedding_writer(model)
            if isinstance(writer, nn.LayerNorm):
                _before(hooks, writer, masks.hidden)
                _norm(hooks, writer, masks.hidden)
            else:
                _after(hooks, writer, masks.hidden)
            for block in blocks(model):
                _before(hooks, block.o, masks.heads[block.kind][block.layer].repeat_interleave(block.head_size))
                _after(hooks, block.o, masks.layers[block.kind][block.layer], masks.hidden)
                _before(hooks, block.ffn_out, masks.neurons[block.layer])
                _after(hooks, block.ffn_out, masks.layers["ffn"][block.layer], masks.hidden)
                _norm(hooks, block.attention_norm, masks.hidden)
                _norm(hooks, block.ffn_norm, masks.hidden)
        yield


def _before(hooks: ExitStack, module: nn.Module, gate: Tensor) -> None:
    hooks.callback(module.register_forward_pre_hook(lambda _module, inputs: (inputs[0] * gate, *inputs[1:])).remove)


def _after(hooks: ExitStack, module: nn.Module, *gates: Tensor) -> None:
    hooks.callback(module.register_forward_hook(lambda _module, _inputs, output: math.prod(gates, start=output)).remove)


def _norm(hooks: ExitStack, norm: Any, z: Tensor) -> None:
    norm.forward = partial(norm_of_remaining, norm, z)
    hooks.callback(delattr, norm, "forward")


def norm_of_remaining(norm: Any, z: Tensor, x: Tensor) -> Tensor:
    """LayerNorm over the dimensions where z, (hidden,), is not 0, put back in their places, times z."""
    left = (z != 0).nonzero().squeeze(1)
    normed = F.layer_norm(x.index_select(-1, left), (len(left),), norm.weight[left], norm.bias[left], norm.eps)
    output = x.clone()
    output[..., left] = normed
    return output * z


def alive_ffns(masks: Masks | None, order: list[int]) -> list[bool]:
    """Of every student layer; looked up on the CPU."""
    if masks is None:
        return [True] * len(order)
    sublayers, neurons = masks.layers["ffn"].detach().cpu(), masks.neurons.detach().cpu()
    return [bool(sublayers[row] != 0 and (neurons[row] != 0).any()) for row in order]


def answer_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of predictions at a temperature, (); of regression the squared difference."""
    own, other = student.float(), teacher.float()
    if own.shape[-1] == 1:
        return F.mse_loss(own, other)
    own, other = F.log_softmax(own / TEMPERATURE, -1), F.softmax(other / TEMPERATURE, -1)
    return F.kl_div(own, other, reduction="batchmean") * TEMPERATURE**2


def layer_loss(
    mapping: nn.Module, student: Sequence[Tensor], teacher: Sequence[Tensor], alive: list[bool], tokens: Tensor
) -> Tensor:
    """Distances of the nearest living layers, (), out of those of all layers.

    Args:
        student, teacher: outputs of their layers, (batch, token, hidden) each.
        tokens: bool, (batch, token), False for padding.
    """
    mapped = [mapping(states) for states in student]
    total = student[0].new_zeros(())
    for layer in teacher_layers(len(teacher)):
        squares = [(states - teacher[layer]).square().mean(-1) for states in mapped]
        distances = [(square * tokens).sum() / tokens.sum() for square in squares]
        living = [distance for distance, lives in zip(distances, alive, strict=True) if lives]
        if living:
            total = total + living[int(torch.stack(living).argmin())]
    return total


def expected_sparsity(gates: Masks, size: PrunableSize) -> Tensor:
    """From the probability of each gate not to be 0, pair by pair, ()."""
    [kind] = gates.heads
    assert gates.hidden is not None
    heads = (gates.layers[kind][:, None] * gates.heads[kind]).flatten()
    neurons = (gates.layers["ffn"][:, None] * gates.neurons).flatten()
    parameters = size.per_head * gates.hidden.outer(heads).sum() + size.per_neuron * gates.hidden.outer(neurons).sum()
    return 1 - parameters / size.total
