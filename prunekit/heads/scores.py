"""Scores of heads: gradient importance, weight magnitude and chance.

All are (layer, head) by attention kind, float64 on the CPU, higher is more important, NaN where a pruned
model has no head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.config.choices import VARIANTS
from prunekit.data.batches import Batch
from prunekit.forward.checked_batches import checked_batches
from prunekit.forward.derivatives import of_classifier, of_translation
from prunekit.forward.frozen import frozen_for_evaluation
from prunekit.models.blocks import describe
from prunekit.models.families.table import check_classifier
from prunekit.models.masks import Masks
from prunekit.stages.score.head_magnitude import head_magnitude
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
    normalisation. Of an encoder-decoder the loss is -log p(target | source), and the tokens are those that ask: the
    source's for ``enc-enc``, the target's for ``enc-dec`` and ``dec-dec``. Of a classifier of tokens it is
    -log p(tags | sentence), the sum over the words; there, every token of the last layer may have a gradient.

    The derivative by a gate is the scalar product of the head's output with its gradient, so one backward
    pass gives every head's derivative for every example, without a gradient for any weight. Scores do not
    depend on how rows are batched, and memory does not grow with their number.

    Args:
        model: a classifier of sequences or tokens or a translation model of the architecture table, pruned or not.
        batches: ``input_ids``, ``attention_mask``, ``token_type_ids`` if the family has them, and ``labels``:
            classes (cross-entropy), or real numbers (squared error); for tags the class of every token, (row, token),
            -100 where it has none; for translation the tokens of the target, (row, token), -100 behind them.
        variant: ``paper`` or ``released``.
        normalise: divide the scores of each layer by their L2 norm, as the paper does before ranking.
        progress: called with the number of rows done since the last call.

    Returns:
        by attention kind: (layer, head). A shared layer's head has one gate for all calls of the layer.

    Raises:
        UserError: unknown variant, a model with another task head, no rows, a batch that is not what this model's loss
            needs, or a loss or score that is not finite (naming the batch).
        RuntimeError: the layer equations do not give the model's own logits, as with hooks that change it.
    """
    if variant not in VARIANTS:
        raise UserError(f"importance variant {variant!r}: not known, there are {', '.join(VARIANTS)}")
    layout = describe(model)
    if layout.is_encoder:
        check_classifier(model)
    derive = of_classifier if layout.is_encoder else of_translation
    exists = Masks.ones(layout, device=model.device).heads
    total = {kind: torch.zeros(mask.shape, dtype=torch.float64, device=model.device) for kind, mask in exists.items()}
    gates = {kind: torch.zeros_like(sums[:, :1]) for kind, sums in total.items()}
    first_bad = torch.full((), -1, device=model.device)
    rows = 0
    with frozen_for_evaluation(model):
        for number, batch in enumerate(checked_batches(model, batches)):
            outputs, derivatives = derive(model, batch, gates, check=number == 0)
            finite = outputs.isfinite().all()
            for block, derivative in derivatives.items():
                per_gate = derivative if variant == "released" else derivative.sum(1)
                score = per_gate.abs().flatten(0, -2).sum(0, dtype=torch.float64)
                total[block.kind][block.layer, : block.heads] += score
                finite = finite & score.isfinite().all()
            first_bad = torch.where((first_bad < 0) & ~finite, number, first_bad)
            rows += len(batch["input_ids"])
            progress(len(batch["input_ids"]))
    if rows == 0:
        raise UserError("head importance: no rows to estimate it from, at least one is needed")
    if int(first_bad) >= 0:
        raise UserError(f"head importance: the loss of batch {int(first_bad)} (from 0) is not finite")
    scores = {}
    for kind, sums in total.items():
        mean = sums / (gates[kind] if variant == "released" else rows)
        if normalise:
            mean /= mean.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
        scores[kind] = mean.masked_fill(~exists[kind], torch.nan).cpu()
    return scores


def random_scores(model: PreTrainedModel, seed: int) -> dict[str, Tensor]:
    """Uniform in [0, 1), the same for the same seed and shape."""
    generator = torch.Generator().manual_seed(seed)
    return {
        kind: torch.rand(exists.shape, generator=generator, dtype=torch.float64).masked_fill(~exists, torch.nan)
        for kind, exists in Masks.ones(describe(model)).heads.items()
    }


OF_WEIGHTS: dict[str, Callable[[PreTrainedModel, int], dict[str, Tensor]]] = {
    "magnitude": lambda model, _seed: head_magnitude(model),
    "random": random_scores,
}
"""Orders of pruning that need no data, by name: from a model and a seed to the scores of its heads."""
