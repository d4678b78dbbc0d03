"""Derivatives of the loss by the gates of all heads, one backward pass a batch, no gradient for any weight.

They are taken on a model that is frozen for evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.data.batches import Batch, model_inputs
from prunekit.data.losses import label_losses, target_losses
from prunekit.forward.replay import (
    check_equations,
    context,
    finish,
    first_layer_input,
    last_context,
    read_tokens,
)
from prunekit.models.blocks import AttentionBlock, Block, attention_blocks, blocks, call_order, describe
from prunekit.models.checkpoints import check_translator
from prunekit.models.families.table import classify, is_tagger
from prunekit.models.gates import gated
from prunekit.models.masks import Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def of_classifier(
    model: PreTrainedModel, batch: Batch, gates: dict[str, Tensor], *, check: bool
) -> tuple[Tensor, dict[AttentionBlock, Tensor]]:
    """Logits, and the derivatives by the gates of the heads of every physical layer, (row, token, head).

    Args:
        gates: by kind, (layer, 1): how many gates have a derivative, a gate for every row, token and head apart;
            raised by the tokens of the batch, in the last layer of a classifier of sequences by its rows.
        check: whether to compare the logits with those of the whole model.
    """
    layers = blocks(model)
    sequence = [layers[index] for index in call_order(model)]
    mask = batch["attention_mask"].to(model.device).bool()
    asking = mask.sum().expand(len(layers), 1).clone()
    if not is_tagger(model):
        asking[sequence[-1].layer] = len(mask)
    gates["self"] += asking
    with torch.no_grad():
        x = first_layer_input(model, batch)
    logits, derivatives = _gate_derivatives(model, sequence, x, mask, batch["labels"].to(model.device))
    if check:
        with torch.no_grad():
            check_equations(model, logits, model(**model_inputs(batch, model.device)).logits)
    return logits, derivatives


def _gate_derivatives(
    model: PreTrainedModel, sequence: list[Block], x: Tensor, mask: Tensor, labels: Tensor
) -> tuple[Tensor, dict[AttentionBlock, Tensor]]:
    contexts: list[Tensor] = []
    gated = [block for block in sequence if block.heads]
    for position, block in enumerate(sequence):
        last = position == len(sequence) - 1
        seen = last_context(model, block, x, mask) if last else context(block, x, mask)
        if block.heads:
            contexts.append(seen.requires_grad_())
        x = finish(block, read_tokens(model, x) if last else x, block.o(seen))
    logits = classify(model, x)
    if not contexts:
        return logits, {}
    gradients = torch.autograd.grad(label_losses(logits, labels).sum(), contexts)
    derivatives: dict[AttentionBlock, Tensor] = {}
    for block, seen, gradient in zip(gated, contexts, gradients, strict=True):
        product = (seen.detach() * gradient).unflatten(-1, (block.heads, block.head_size)).sum(-1)
        if block in derivatives:  # a shared layer; the last call may be for the first token only
            derivatives[block][:, : product.shape[1]] += product
        else:
            derivatives[block] = product
    return logits.detach(), derivatives


def of_translation(
    model: PreTrainedModel, batch: Batch, gates: dict[str, Tensor], *, check: bool = False
) -> tuple[Tensor, dict[AttentionBlock, Tensor]]:
    """As :func:`of_classifier`, with losses in place of logits; the model itself runs, so there is nothing to check."""
    check_translator(model)
    attention_mask, labels = (batch[name].to(model.device) for name in ("attention_mask", "labels"))
    sublayers = attention_blocks(model)
    tokens = {block.kind: labels != -100 if block.in_decoder else attention_mask != 0 for block in sublayers}
    open_, ones = Masks.ones(describe(model)), Masks.ones(describe(model), model.dtype, model.device).heads
    heads = {kind: ones[kind].expand(*tokens[kind].shape, -1, -1).clone().requires_grad_() for kind in ones}
    shifted: Any = model.prepare_decoder_input_ids_from_labels
    with gated(model, Masks(heads, open_.neurons, open_.layers)):
        logits = model(
            input_ids=batch["input_ids"].to(model.device), attention_mask=attention_mask, use_cache=False,
            decoder_input_ids=shifted(labels),
        ).logits  # fmt: skip
    losses = target_losses(logits, labels)
    for kind, count in gates.items():
        count += tokens[kind].sum()
    living = [block for block in sublayers if block.heads]
    if not living:
        return losses, {}
    gradients = torch.autograd.grad(losses.sum(), list(heads.values()), materialize_grads=True)
    by_kind = dict(zip(heads, gradients, strict=True))
    return losses.detach(), {block: by_kind[block.kind][..., block.layer, : block.heads] for block in living}
