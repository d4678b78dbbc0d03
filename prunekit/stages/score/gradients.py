"""Derivatives of the loss by a gate on every head and every neuron, and the Fisher information they give.

With m the gates, all 1, and g = dL/dm for one example, the Fisher information matrix of the mask is the mean
of g gᵀ over examples (Kwon et al. 2022, Sec. 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.config.choices import LABELS
from prunekit.data.batches import Batch, model_inputs, to_device, with_padding
from prunekit.data.kinds import example_losses, kind_of_batch, predicted_labels
from prunekit.forward.checked_batches import checked_batches
from prunekit.forward.frozen import frozen_for_evaluation
from prunekit.forward.replay import check_equations, classifier_logits, first_layer_input
from prunekit.models.blocks import Block, blocks, describe
from prunekit.models.families.table import is_classifier
from prunekit.models.masks import Masks
from prunekit.stages.units import UnitTensors
from prunekit.support.cache import EntryKind
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


GRADIENTS = EntryKind("gradients", revision=2)
"""As a cache keeps them."""
GROUP = 32
"""Examples that the released code takes one gradient of, for sentences and models of base size."""


def released_group(*, questions: bool, large: bool) -> int:
    """Examples that the released code takes one gradient of: fewer of question answering, half for large models."""
    return (12 if questions else GROUP) // (2 if large else 1)


def mask_gradients(
    model: PreTrainedModel,
    batches: Iterable[Batch],
    *,
    labels: str = "gold",
    padding: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> UnitTensors:
    """Each example's derivatives of its loss by the gates of all heads and neurons, at gates of 1.

    A gate multiplies what its unit gives to an output projection, so the derivative by it is the scalar product
    of that with its gradient. One backward pass gives the derivatives of all units for every example of a
    batch, without a gradient for any weight. They do not depend on how rows are batched or padded.

    Args:
        model: of the architecture table, for classification, regression, question answering or tags, pruned or not.
        batches: with the labels that :func:`prunekit.data.kinds.example_losses` needs. Rows are returned in the
            order of ``index``, or as they come where there is none.
        labels: ``gold`` or ``predicted``.
        padding: let places without a token compete for a question's answer, as the released code does; the
            derivatives then depend on how its rows are padded.
        progress: called with the number of rows done since the last call.

    Returns:
        heads (example, layer, head) and neurons (example, layer, neuron), on the CPU in the model's precision. A
        shared layer's unit has one gate for all calls of the layer.

    Raises:
        UserError: unknown labels, a model without the task head that the targets need, no rows, a batch that is not
            what this model's loss needs, regression with predicted labels, or a loss or derivative that is not finite
            (naming the batch).
    """
    if labels not in LABELS:
        raise UserError(f"labels={labels}: not known, there are {', '.join(LABELS)}")
    ones = Masks.ones(describe(model))
    heads: list[Tensor] = []
    neurons: list[Tensor] = []
    finite: list[Tensor] = []
    places: list[Tensor] = []
    with frozen_for_evaluation(model), ExitStack() as hooks:
        collector = _Collector(model, ones, hooks)
        for batch in checked_batches(model, batches, scored=labels == "gold"):
            batch = to_device(batch, model.device)
            rows = len(batch["input_ids"])
            kind = kind_of_batch(batch, model)
            if not kind.fits(model):
                name = type(model).__name__
                raise UserError(f"mask gradients: these targets need {kind.needs}, the model is a {name}")
            collector.start(rows)
            output = _output(model, batch, check=not places)
            answers = with_padding(batch) if padding else batch
            losses = example_losses(output, predicted_labels(output, answers) if labels == "predicted" else answers)
            collector.backward(losses.sum())
            heads.append(collector.heads)
            neurons.append(collector.neurons)
            taken = (losses, collector.heads, collector.neurons)
            finite.append(torch.stack([values.isfinite().all() for values in taken]).all())
            places.append(batch["index"].cpu())
            progress(rows)
    if not places:
        raise UserError("mask gradients: no examples to take them from, at least one is needed")
    bad = (~torch.stack(finite)).nonzero().flatten().tolist()
    if bad:
        raise UserError(f"mask gradients: loss or gradients of batch {bad[0]} (from 0) are not finite")
    order = torch.cat(places).argsort()
    return UnitTensors(torch.cat(heads).cpu()[order], torch.cat(neurons).cpu()[order])


def _output(model: PreTrainedModel, batch: Batch, *, check: bool) -> Any:
    """The model's output. Of a classifier's last layer only the first token is computed, as no other is read.

    Args:
        check: whether to compare the logits with those of the whole model.
    """
    if not is_classifier(model):
        return model(**model_inputs(batch))
    with torch.no_grad():
        x = first_layer_input(model, batch)
    logits = classifier_logits(model, x, batch["attention_mask"].bool())
    if check:
        with torch.no_grad():
            check_equations(model, logits, model(**model_inputs(batch)).logits)
    return SimpleNamespace(logits=logits)


class _Collector:
    """Sums of (input * gradient) over the tokens and features of every unit, taken while autograd runs."""

    heads: Tensor
    neurons: Tensor

    def __init__(self, model: PreTrainedModel, ones: Masks, hooks: ExitStack) -> None:
        self.ones = ones
        self.example = next(model.parameters())
        self.first: Tensor | None = None
        for block in blocks(model):
            if block.heads:
                hooks.callback(block.o.register_forward_pre_hook(self._watch(block, heads=True)).remove)
            if block.neurons:
                hooks.callback(block.ffn_out.register_forward_pre_hook(self._watch(block, heads=False)).remove)

    def start(self, rows: int) -> None:
        """Expect a batch."""
        self.first = None
        self.heads = self.example.new_zeros(rows, *self.ones.heads["self"].shape)
        self.neurons = self.example.new_zeros(rows, *self.ones.neurons.shape)

    def backward(self, loss: Tensor) -> None:
        if self.first is not None:
            torch.autograd.grad(loss, self.first)

    def _watch(self, block: Block, *, heads: bool) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        def before(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            if not torch.is_grad_enabled():  # the whole model, run to check the equations
                return inputs
            features, *rest = inputs
            if self.first is None:  # autograd starts here: no weight before it has a gradient
                self.first = features = features.detach().requires_grad_()
            values = features.detach()  # of its own, so that the hook's tensor does not hold itself
            features.register_hook(lambda gradient: self._add(block, values * gradient, heads))
            return (features, *rest)

        return before

    def _add(self, block: Block, product: Tensor, heads: bool) -> None:
        if heads:
            by_head = product.unflatten(-1, (block.heads, block.head_size)).sum((1, 3))
            self.heads[:, block.layer, : block.heads] += by_head
        else:
            self.neurons[:, block.layer, : block.neurons] += product.sum(1)


def by_batch(gradients: UnitTensors, size: int) -> UnitTensors:
    """:func:`group_means` of heads and neurons."""
    return UnitTensors(group_means(gradients.heads, size), group_means(gradients.neurons, size))


def group_means(rows: Tensor, size: int) -> Tensor:
    """Derivatives of the mean loss of every ``size`` consecutive examples; the last group may be smaller."""
    return torch.stack([group.mean(0) for group in rows.split(size)])


def diagonal(gradients: UnitTensors) -> UnitTensors:
    """Diagonal of the Fisher information, float64: heads (layer, head), neurons (layer, neuron)."""
    return UnitTensors(mean_squares(gradients.heads), mean_squares(gradients.neurons))


def mean_squares(rows: Tensor) -> Tensor:
    """Over examples, float64."""
    return sum((part.double().square().sum(0) for part in rows.split(256)), torch.zeros(())) / len(rows)
