"""What stays of each sublayer, fitted by least squares: scales of the kept units (mask tuning, Kwon et al. 2022), or
the whole output projection.

In the order of the model every sublayer is fitted to the target model's. Its units' scales m minimise

    ‖(x + sublayer(x; m)) - (x' + sublayer(x'; 1))‖²

summed over all tokens, with x the sublayer's input in the pruned model whose earlier sublayers are tuned already,
and x' in the target model. With ``refit="weights"`` the columns of the output projection take the place of the scales,
from the same equations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.data.batches import Batch
from prunekit.models.blocks import Block, blocks
from prunekit.models.checkpoints import has_head
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.refit.layerwise import SideBySide
from prunekit.stages.refit.least_squares import NormalEquations, solve
from prunekit.stages.refit.replaced import module_names
from prunekit.stages.score.projection_inputs import projections
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OPTIONS = {
    "refit": ("scales", "weights"), "variant": ("paper", "released"), "target": ("dense", "assistant"),
    "on_failure": ("skip", "stop"),
}  # fmt: skip

LARGEST_SCALE = 10.0
"""A sublayer with a scale outside [-10, 10] is discarded."""

NO_SOLUTION, TOO_LARGE = "skipped: no finite solution", "skipped: scale outside [-10, 10]"


@dataclass(frozen=True)
class Tuned:
    """Soft masks, and how well each sublayer could be fitted."""

    masks: Masks
    """Float64; 0 where the unit is removed, its scale (1 with ``refit="weights"``) where it is kept.
    :func:`prunekit.prune` folds them into the weights."""
    report: list[dict[str, Any]]
    """One row per sublayer, in order: ``layer``; ``sublayer`` (attention, ffn); ``status`` (tuned, skipped: why, not
    reached); ``units`` that are kept; ``error_before`` and ``error_after``, ‖output - target‖ / ‖target‖ at scales of
    1 and as they are left; ``largest_scale`` of the solution by magnitude, also of a discarded one. What is not
    known is None."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Output projections that were fitted as a whole, by the names of the model's parameters and in its shape, 0 in the
    columns of removed units."""


@torch.no_grad()
def tune(
    model: PreTrainedModel,
    masks: Masks,
    batches: Iterable[Batch],
    *,
    refit: str = "scales",
    target: str = "dense",
    assistant: Masks | None = None,
    variant: str = "paper",
    on_failure: str = "skip",
    max_tokens: int | None = None,
    progress: Callable[[int], None] = lambda sublayers: None,
) -> Tuned:
    """Scales for the heads and neurons that masks keep; exact solutions, in float64.

    ``paper``: m = 1 + (AᵀA + I)⁻¹ Aᵀr, damping 1 on A, with r the difference to the target at m = 1.
    ``released``: what the authors' code computes where its solver runs to convergence. Damping 1 is on AᵀA. The
    attention of the first layer stays as it is; that of later ones has a column of ones in A, started at 1, whose
    coefficient is dropped, so that their error is not always below the one before. An FFN is fitted to the *whole*
    FFN of the model at the assistant's hidden states (their hook takes its input before the neurons are masked).

    In both, the last FFN of a sequence classifier is fitted on the first token only, which is all that the
    classifier reads; its last attention is fitted on all tokens, as in the released code. The result does not
    depend on how rows are batched or padded. Hidden states wait in temporary files, at most three times (token, d).

    Args:
        model: of the architecture table, pruned or not, each of its layers at one depth only; on any device.
        masks: what to keep, as in :func:`prunekit.prune`.
        batches: ``input_ids``, ``attention_mask``, ``token_type_ids`` if the family has them; padding on the right.
        refit: ``scales`` of units, or whole ``weights``, damped (:meth:`NormalEquations.weights`); ``paper`` alone.
        target: whose outputs are fitted: those of the model itself (``dense``), or of an ``assistant``.
        assistant: masks of the assistant; the released code takes those that the same search finds at the square
            root of the constraint.
        on_failure: a sublayer whose solution is not finite or leaves [-10, 10] keeps scales of 1. Then ``skip`` goes
            on with the next sublayer; ``stop`` leaves all later ones at 1, as paper and released code do.
        max_tokens: how many tokens run at once; a single row may be longer.
        progress: called with the number of sublayers done since the last call; there are two per layer.

    Raises:
        UserError: an unknown option, no rows, padding that is not on the right, masks of another shape or that drop
            hidden dimensions, or layers that several depths share.
    """
    for name, value in (("refit", refit), ("variant", variant), ("target", target), ("on_failure", on_failure)):
        if value not in OPTIONS[name]:
            raise UserError(f"{name}={value}: not known, there are {', '.join(OPTIONS[name])}")
    if refit == "weights" and variant == "released":
        raise UserError("tuning: variant=released has scales only, use refit=scales")
    if (assistant is None) == (target == "assistant"):
        raise UserError("tuning: masks of an assistant are needed with target=assistant, and only there")
    check_tunable(model)
    if masks.hidden is not None and not bool(masks.hidden.all()):
        raise UserError("tuning: masks.hidden drops dimensions; only heads and neurons can be fitted")
    pruned = blocks(prune(model, masks))
    fitted = blocks(model if assistant is None else prune(model, assistant))
    heads = {kind: mask.to(torch.float64, copy=True) for kind, mask in masks.heads.items()}
    soft = Masks(heads, masks.neurons.to(torch.float64, copy=True), masks.layers, masks.hidden)
    report = [_row(block, sublayer) for block in pruned for sublayer in ("attention", "ffn")]
    weights: dict[str, Tensor] = {}
    whole_projections = _projections(model)
    training = model.training
    model.eval()
    try:
        with ExitStack() as files:
            tokens = max_tokens or (2**12 if model.device.type == "cpu" else 2**16)
            states = SideBySide(model, batches, tokens, files, refit == "weights")
            released = variant == "released"
            whole = blocks(model) if released and assistant is not None else None
            problems = _problems(states, pruned, fitted, whole, ones=released, classifier=has_head(model))
            for row, (projection, equations) in zip(report, problems, strict=True):
                attention = row["sublayer"] == "attention"
                own = (soft.heads["self"] if attention else soft.neurons)[row["layer"]]
                if refit == "weights":
                    if (change := _weights(row, equations)) is not None:
                        projection.weight += change.to(projection.weight)
                        name, wide = whole_projections[row["layer"], row["sublayer"]]
                        columns = (own[: wide.shape[1] // equations.size] != 0).repeat_interleave(equations.size)
                        weights[name] = torch.zeros_like(wide)
                        weights[name][:, columns.to(wide.device)] = projection.weight
                        own[own != 0] = 1  # what it was is part of the weights
                elif (scales := _scales(row, equations, variant)) is not None:
                    projection.weight *= scales.to(projection.weight).repeat_interleave(equations.size)
                    own[own != 0] *= scales.to(own)
                progress(1)
                if on_failure == "stop" and row["status"] in (NO_SOLUTION, TOO_LARGE):
                    break
    finally:
        model.train(training)
    return Tuned(soft, report, weights)


def check_tunable(model: PreTrainedModel, instead: str = "tune=false") -> None:
    """Raise a :class:`UserError` for a model whose layers several depths share.

    Args:
        instead: what its user can say.
    """
    if any(len(block.calls) != 1 for block in blocks(model)):
        raise UserError(
            f"tuning: this {model.config.model_type} runs the same layer at several depths, and one layer cannot be "
            f"fitted to the outputs of several; use {instead}"
        )


def _problems(
    states: SideBySide,
    pruned: list[Block],
    fitted: list[Block],
    whole: list[Block] | None,
    *,
    ones: bool,
    classifier: bool,
) -> Iterator[tuple[Any, NormalEquations]]:
    """Output projection and equations of every sublayer in order; what is done to one, those after it see.

    Args:
        whole: layers whose FFNs are fitted, at the states of ``fitted``; None for its own.
    """
    denses = whole or repeat(None, len(pruned))
    for block, other, dense in zip(pruned, fitted, denses, strict=True):
        last = block is pruned[-1]
        yield block.o, states.attention(block, other, ones=ones, first_token=last and classifier)
        yield block.ffn_out, states.ffn(block, other, dense)
        if not last:
            states.finish(block)


def _projections(model: PreTrainedModel) -> dict[tuple[int, str], tuple[str, Tensor]]:
    """Name and weight (d, feature) of the output projection of each sublayer that has units."""
    names = module_names(model)
    return {
        (block.layer, name): (f"{names[projection]}.weight", projection.get_parameter("weight"))
        for block in blocks(model)
        for name, projection, units, _ in projections(block)
        if units
    }


def _row(block: Block, sublayer: str) -> dict[str, Any]:
    units = block.heads if sublayer == "attention" else block.neurons
    return {
        "layer": block.layer, "sublayer": sublayer, "status": "not reached", "units": units,
        "error_before": None, "error_after": None, "largest_scale": None,
    }  # fmt: skip


def _weights(row: dict[str, Any], equations: NormalEquations) -> Tensor | None:
    """The change of a sublayer's output projection, (d, feature), if it is fitted; completes its row of the report."""
    row["error_before"] = row["error_after"] = equations.error()
    if row["units"] == 0:
        row["status"] = "skipped: no units left"
        return None
    change, error = equations.weights()
    if not change.isfinite().all():
        row["status"] = NO_SOLUTION
        return None
    row["status"], row["error_after"] = "tuned", error
    return change


def _scales(row: dict[str, Any], equations: NormalEquations, variant: str) -> Tensor | None:
    """The scales of a sublayer, (unit,), if it is tuned; completes its row of the report."""
    row["error_before"] = row["error_after"] = equations.error()
    if row["units"] == 0:
        row["status"] = "skipped: no units left"
        return None
    if variant == "released" and row["sublayer"] == "attention" and row["layer"] == 0:
        row["status"] = "skipped: first attention"
        return None
    change = solve(equations, variant)
    largest = row["largest_scale"] = float((1 + change).abs().max())
    if not math.isfinite(largest):
        row["status"] = NO_SOLUTION
    elif largest > LARGEST_SCALE:
        row["status"] = TOO_LARGE
    else:
        row["status"], row["error_after"] = "tuned", equations.error(change)
        return 1 + change
    return None
