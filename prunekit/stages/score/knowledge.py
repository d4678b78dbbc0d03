"""What units know that the rest of a model does not (K-prune, Park et al. 2024), and which of them a budget keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prunekit.data.batches import Batch, labelled_tokens, model_inputs
from prunekit.data.losses import at_least_float32
from prunekit.forward.frozen import frozen_for_evaluation
from prunekit.forward.resumed import resumed
from prunekit.models.blocks import blocks
from prunekit.models.families.table import task_head
from prunekit.stages.score.projection_inputs import SUBLAYERS, projections
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OUTPUTS = ("logits", "start_logits", "end_logits")
WHOLE = "whole_"
"""Before the name of an output of the whole model in a batch."""
PREDICTING = (
    "ForSequenceClassification", "ForQuestionAnswering", "ForTokenClassification", "ForMaskedLM",
    "ForNextSentencePrediction", "ForCausalLM", "LMHeadModel",
)  # fmt: skip
"""Task heads whose outputs are predictions about each example, of a batch of ordinary inputs."""


def check_predicts(model: PreTrainedModel) -> None:
    """Refuse a model whose answers cannot be compared with those of a smaller one.

    Raises:
        UserError: it has no task head, or one that is not in :data:`PREDICTING`, or gives several labels at once.
    """
    if getattr(model.config, "problem_type", None) == "multi_label_classification":
        raise UserError(
            f"{type(model).__name__}: problem_type=multi_label_classification gives several labels at once; this "
            "method compares one distribution an example; fisher, flap, magnitude and random prune such models"
        )
    if (head := task_head(model)) not in PREDICTING:
        what = "has no task head, and so" if head == "Model" else "gives"
        raise UserError(
            f"{type(model).__name__} {what} no predictions about its inputs, which this method compares; it takes "
            f"{', '.join(PREDICTING)}"
        )


def divergences(output: Any, batch: Batch, temperature: float) -> Tensor:
    """How far each example's prediction is from the whole model's, (row,).

    KL(whole ‖ own) at a temperature, times its square; of question answering the mean over first and last token of the
    answer, padding left out; of tags the sum over the tokens that have one; of regression, which has no distribution,
    the squared difference.

    Args:
        batch: with the whole model's outputs, from :func:`with_whole_outputs`.
    """
    parts = []
    for name in OUTPUTS:
        if WHOLE + name not in batch:
            continue
        own = at_least_float32(getattr(output, name))
        whole = batch[WHOLE + name].to(own)
        if name != "logits":  # a place of the text each
            tokens = batch["attention_mask"].to(own.device).bool()
            own, whole = own.masked_fill(~tokens, -1e4), whole.masked_fill(~tokens, -1e4)
        if own.shape[-1] == 1:
            return (own - whole).square().sum(-1)
        ours, theirs = (F.log_softmax(logits / temperature, -1) for logits in (own, whole))
        divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1) * temperature**2
        if divergence.dim() == 2:
            divergence = divergence.where(labelled_tokens(batch).to(divergence.device), 0.0).sum(1)
        parts.append(divergence)
    return torch.stack(parts).mean(0)


@torch.no_grad()
def with_whole_outputs(model: PreTrainedModel, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches with what the whole model, in eval mode, answers to them.

    Raises:
        UserError: see :func:`check_predicts`.
    """
    check_predicts(model)
    for batch in batches:
        output = model(**model_inputs(batch, model.device))
        yield batch | {WHOLE + name: output[name].cpu() for name in OUTPUTS if name in output}


def derivatives_and_squares(
    model: PreTrainedModel,
    batches: Iterable[tuple[Batch, Tensor]],
    losses_of: Callable[[Any, Batch], Tensor],
    *,
    layer: int,
    sublayer: str,
) -> dict[str, tuple[Tensor, Tensor]]:
    """What a sublayer and all after it that have units do to a loss, and how strong their features are.

    One forward and one backward pass over the rest of the model, none over what is before it.

    Args:
        model: an encoder, pruned or not.
        batches: rows of one length each, without padding, each with its ``index``; and the hidden states that go into
            the sublayer, (row, token, d).
        losses_of: of each example, (row,), from a model's output and a batch.
        layer, sublayer: the first sublayer, ``attention`` or ``ffn``.

    Returns:
        by ``LAYER.SUBLAYER``, on the CPU: derivatives of each example's loss by the gates of the units, (example,
        unit), in the order of ``index`` and the model's precision; and the mean over tokens of the squared features,
        (feature,), float64.

    Raises:
        UserError: a loss or derivative that is not finite (naming the example).
    """
    places = {
        f"{block.layer}.{name}": (projection, units, size)
        for block in blocks(model)[layer:]
        for name, projection, units, size in projections(block)
        if units and (block.layer > layer or SUBLAYERS.index(name) >= SUBLAYERS.index(sublayer))
    }
    features: dict[str, Tensor] = {}

    def watched(place: str) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:
        def before(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            x, *rest = inputs
            features[place] = x if features else x.detach().requires_grad_()  # autograd starts at the first
            return (features[place], *rest)

        return before

    derivatives: dict[str, list[Tensor]] = {place: [] for place in places}
    squares: dict[str, Tensor] = {}
    examples: list[Tensor] = []
    tokens = 0
    with frozen_for_evaluation(model), resumed(model, layer, sublayer) as run, ExitStack() as hooks:
        for place, (projection, _, _) in places.items():
            hooks.callback(projection.register_forward_pre_hook(watched(place)).remove)
        for batch, x in batches:
            features.clear()
            losses = losses_of(run(batch, x), batch)
            finite = losses.isfinite()
            gradients = torch.autograd.grad(losses.sum(), [features[place] for place in places])
            for (place, (_, units, size)), gradient in zip(places.items(), gradients, strict=True):
                values = features[place].detach()
                by_unit = (values * gradient).unflatten(-1, (units, size)).sum((1, 3))
                finite &= by_unit.isfinite().all(1)
                derivatives[place].append(by_unit.cpu())
                own = values.double().square().sum((0, 1))
                squares[place] = squares[place] + own if place in squares else own
            examples.append(batch["index"].cpu())
            tokens += x.shape[0] * x.shape[1]
            if not bool(finite.all()):
                example = int(examples[-1][~finite.cpu()][0])
                raise UserError(f"knowledge: loss or gradients of example {example} (from 0) are not finite")
    order = torch.cat(examples).argsort()
    return {place: (torch.cat(derivatives[place])[order], squares[place].cpu() / tokens) for place in places}


def unit_knowledge(
    weight: Tensor,
    squared_gradients: Tensor,
    squares: Tensor,
    *,
    flops: float,
    predictive: float,
    representational: float,
    importance: float = 1.0,
) -> Tensor:
    """K of the units of a sublayer, (unit,), float64.

    K = (λ_pred ½ E[(∂KL/∂m)²] + λ_rep mean_j E[x_j²] mean_i W_ij²) / FLOPs, the mean over the features j of the unit;
    of a head times μ.

    Args:
        weight: of the output projection, (d, feature).
        squared_gradients: mean over examples of the squared derivative by the unit's gate, (unit,).
        squares: mean over tokens of the squared features, (feature,).
        flops: of one unit.
        predictive, representational: λ_pred and λ_rep.
        importance: μ for heads.
    """
    by_feature = squares.double() * weight.double().square().mean(0)
    units = len(squared_gradients)
    represented = by_feature.view(units, -1).mean(1)
    knowledge = predictive * squared_gradients.double() / 2 + representational * represented
    return importance * knowledge / flops


def kept_by_threshold(
    knowledge: Mapping[str, Tensor], costs: Mapping[str, float], budget: float, place: str
) -> Tensor:
    """The units of one sublayer above the one threshold at which all units together fit a budget.

    Args:
        knowledge: K of all units that are not decided on yet, the sublayer's own among them, by sublayer, (unit,).
        costs: of one unit of a sublayer.
        budget: what all that are kept may cost.

    Returns:
        bool, (unit,).
    """
    places = list(knowledge)
    values = torch.cat([knowledge[one] for one in places]).cpu()
    prices = torch.cat([values.new_full((len(knowledge[one]),), costs[one]) for one in places])
    order = values.argsort(descending=True, stable=True)
    fitting = int((prices[order].cumsum(0) <= budget).sum())
    kept = torch.zeros(len(values), dtype=torch.bool)
    kept[order[:fitting]] = True
    start = sum(len(knowledge[one]) for one in places[: places.index(place)])
    return kept[start : start + len(knowledge[place])]


def of_most_knowledge(knowledge: Tensor, number: int) -> Tensor:
    """So many units of a sublayer, those that know most, or all where there are fewer; of equal ones the first. Bool,
    (unit,)."""
    kept = torch.zeros(len(knowledge), dtype=torch.bool)
    kept[knowledge.cpu().argsort(descending=True, stable=True)[:number]] = True
    return kept
