"""Scores of heads: gradient importance, weight magnitude and chance.

All are (layer, head) by attention kind, float64 on the CPU, higher is more important, NaN where a pruned
model has no head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.architectures import classify
from prunekit.blocks import Block, attention_blocks, blocks, call_order, describe
from prunekit.errors import UserError
from prunekit.frozen import frozen_for_evaluation
from prunekit.losses import task_loss
from prunekit.masks import Masks
from prunekit.replay import (
    Batch,
    check_equations,
    context,
    finish,
    first_layer_input,
    first_token_context,
    model_inputs,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VARIANTS = ("paper", "released")


def head_importance(
    model: PreTrainedModel,
    batches: Iterable[Batch],
    *,
    variant: str = "paper",
    normalise: bool = True,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, Tensor]:
    """How much the loss would change with each head's gate (Michel et al. 2019, Sec. 4.1, Eq. 2).

    ``paper``: I_h = E |dL/dξ_h|, the mean over examples, with ξ_h the gate on the head's whole output.
    ``released``: as the authors' code computes it, with a gate ξ_ht for every token t: the sum of |dL/dξ_ht|
    over tokens and examples, over the number of tokens; over the number of examples in the last layer. There,
    only the first token has a gradient. The two kinds of average make layers comparable only after
    normalisation.

    The derivative by a gate is the scalar product of the head's output with its gradient, so one backward
    pass gives every head's derivative for every example, without a gradient for any weight. Scores do not
    depend on how rows are batched, and memory does not grow with their number.

    Args:
        model: a sequence classifier of the architecture table, pruned or not.
        batches: ``input_ids``, ``attention_mask``, ``token_type_ids`` if the family has them, and ``labels``:
            classes (cross-entropy), or real numbers (squared error).
        variant: ``paper`` or ``released``.
        normalise: divide the scores of each layer by their L2 norm, as the paper does before ranking.
        progress: called with the number of rows done since the last call.

    Returns:
        by attention kind: (layer, head). A shared layer's head has one gate for all calls of the layer.

    Raises:
        UserError: unknown variant, no rows, or a loss or score that is not finite (naming the batch).
        RuntimeError: the layer equations do not give the model's own logits, as with hooks that change it.
    """
    if variant not in VARIANTS:
        raise UserError(f"importance variant {variant!r}: not known, there are {', '.join(VARIANTS)}")
    layers = blocks(model)
    sequence = [layers[index] for index in call_order(model)]
    heads = Masks.ones(describe(model)).heads["self"]
    total = torch.zeros(heads.shape, dtype=torch.float64, device=model.device)
    first_bad = torch.full((), -1, device=model.device)
    rows, tokens = 0, torch.zeros((), dtype=torch.long, device=model.device)
    with frozen_for_evaluation(model):
        for number, batch in enumerate(batches):
            mask = batch["attention_mask"].to(model.device).bool()
            with torch.no_grad():
                x = first_layer_input(model, batch)
            labels = batch["labels"].to(model.device)
            logits, derivatives = _gate_derivatives(model, sequence, x, mask, labels)
            if number == 0:
                with torch.no_grad():
                    check_equations(model, logits, model(**model_inputs(model, batch)).logits)
            finite = logits.isfinite().all()
            for block, derivative in derivatives.items():
                per_gate = derivative if variant == "released" else derivative.sum(1)
                score = per_gate.abs().flatten(0, -2).sum(0, dtype=torch.float64)
                total[block.layer, : block.heads] += score
                finite = finite & score.isfinite().all()
            first_bad = torch.where((first_bad < 0) & ~finite, number, first_bad)
            rows, tokens = rows + len(mask), tokens + mask.sum()
            progress(len(mask))
    if rows == 0:
        raise UserError("head importance: no rows to estimate it from, at least one is needed")
    if int(first_bad) >= 0:
        raise UserError(f"head importance: the loss of batch {int(first_bad)} (from 0) is not finite")
    if variant == "released":
        rows_or_tokens = torch.full((len(total), 1), float(tokens), dtype=torch.float64, device=total.device)
        rows_or_tokens[sequence[-1].layer] = rows
        total /= rows_or_tokens
    else:
        total /= rows
    if normalise:
        total /= total.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    return {"self": total.cpu().masked_fill(~heads, torch.nan)}


def _gate_derivatives(
    model: PreTrainedModel, sequence: list[Block], x: Tensor, mask: Tensor, labels: Tensor
) -> tuple[Tensor, dict[Block, Tensor]]:
    """Logits, and the loss's derivative by a gate for every (row, token, head) of each physical layer."""
    contexts: list[Tensor] = []
    gated = [block for block in sequence if block.heads]
    for position, block in enumerate(sequence):
        last = position == len(sequence) - 1
        seen = first_token_context(block, x, mask) if last else context(block, x, mask)
        if block.heads:
            contexts.append(seen.requires_grad_())
        x = finish(block, x[:, :1] if last else x, block.o(seen))
    logits = classify(model, x)
    if not contexts:
        return logits, {}
    gradients = torch.autograd.grad(task_loss(logits, labels).sum(), contexts)
    derivatives: dict[Block, Tensor] = {}
    for block, seen, gradient in zip(gated, contexts, gradients, strict=True):
        product = (seen.detach() * gradient).unflatten(-1, (block.heads, block.head_size)).sum(-1)
        if block in derivatives:  # a shared layer; the last call may be for the first token only
            derivatives[block][:, : product.shape[1]] += product
        else:
            derivatives[block] = product
    return logits.detach(), derivatives


def head_magnitude(model: PreTrainedModel) -> dict[str, Tensor]:
    """L2 norm of all weights that belong to a head: its rows of the query, key and value matrices, and its
    columns of the output matrix (no biases)."""
    exists = Masks.ones(describe(model)).heads
    scores = {kind: torch.full(mask.shape, torch.nan, dtype=torch.float64) for kind, mask in exists.items()}
    for block in attention_blocks(model):
        if block.q is None or block.k is None or block.v is None:
            continue
        matrices = [block.q.weight, block.k.weight, block.v.weight, block.o.get_parameter("weight").T]
        by_head = torch.cat([m.detach().double().unflatten(0, (block.heads, -1)) for m in matrices], 1)
        scores[block.kind][block.layer, : block.heads] = by_head.flatten(1).norm(dim=1).cpu()
    return scores


def random_scores(model: PreTrainedModel, seed: int) -> dict[str, Tensor]:
    """Uniform in [0, 1), the same for the same seed and shape."""
    generator = torch.Generator().manual_seed(seed)
    return {
        kind: torch.rand(exists.shape, generator=generator, dtype=torch.float64).masked_fill(~exists, torch.nan)
        for kind, exists in Masks.ones(describe(model)).heads.items()
    }
