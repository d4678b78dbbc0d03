"""Fisher pruning in all its stages, beside a plain implementation of the authors' procedure.

Both search half of the MACs from gradients of batches of 32 in the given order, and fit sublayers to the model masked
at the square root of that (``variant=released``). The plain one keeps the order of rows and pads each batch to its
longest, builds sums anew for every candidate of rearrangement, and passes over the data six times a layer in tuning.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from experiments.benchmarks.paired import BenchmarkCase, Results, paired
from experiments.benchmarks.plain.fisher import plain_gradients, plain_rearrange, plain_search
from experiments.benchmarks.plain.tuning import plain_tune
from prunekit.data.batches import Batch, Examples, evaluation_batches, model_inputs, to_device
from prunekit.models.blocks import blocks
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from prunekit.stages.refine.rearrange import rearrange
from prunekit.stages.refit.tuning import tune
from prunekit.stages.score.gradients import GROUP, by_batch, diagonal, mask_gradients
from prunekit.stages.search.mac_search import mac_search

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SHARES = (0.5, 0.5**0.5)
"""MACs that remain in the pruned model and in its assistant."""


@dataclass(frozen=True)
class Pruning:
    """What an implementation found, and the seconds of its stages."""

    hard: Masks
    """Before tuning."""
    soft: Masks
    assistant: Masks
    seconds: dict[str, float]
    errors: Callable[[Masks, Masks], Tensor]
    """:func:`reconstruction_errors` of masks towards others', on the data at hand."""


class Clock:
    """Seconds of named stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, stage: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The function's result; every stage ends with results on the CPU, which waits for a GPU."""
        start = time.perf_counter()
        result = function(*arguments, **options)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
        return result


def compare(case: BenchmarkCase) -> Results:
    functions = variants(case.model, case.data, case.batch_size, case.device)
    return paired(case, functions, agreement)


def variants(model: PreTrainedModel, examples: Examples, batch_size: int, device: torch.device) -> dict[str, Any]:
    """Functions that prune a classifier."""
    lengths = examples.lengths
    groups = torch.arange(len(examples)).split(GROUP)
    in_order = [to_device(examples.batch(rows.numpy(), int(lengths[rows].max())), device) for rows in groups]
    bucketed = [to_device(batch, device) for batch in evaluation_batches(examples, batch_size)]
    length, _ = examples.mean_lengths
    errors = partial(reconstruction_errors, model, bucketed)

    def plain() -> Pruning:
        clock = Clock()
        gradients = clock.time("gradients", plain_gradients, model, in_order)
        hard, assistant = (clock.time("search", plain_search, gradients, model, length, share) for share in SHARES)
        hard = clock.time("rearrange", plain_rearrange, gradients, hard)
        soft = clock.time("tune", plain_tune, model, hard, in_order, assistant)
        return Pruning(hard, soft, assistant, clock.seconds, errors)

    def fast() -> Pruning:
        clock = Clock()
        gradients = by_batch(clock.time("gradients", mask_gradients, model, bucketed), GROUP)
        scores = diagonal(gradients)
        hard, assistant = (
            clock.time("search", mac_search, scores, model, length, share, variant="released") for share in SHARES
        )
        hard = clock.time("rearrange", rearrange, gradients, hard)
        options = {"target": "assistant", "assistant": assistant, "variant": "released", "on_failure": "stop"}
        soft = clock.time("tune", tune, model, hard, bucketed, **options).masks
        return Pruning(hard, soft, assistant, clock.seconds, errors)

    return {"plain": plain, "fast": fast}


@torch.inference_mode()
def reconstruction_errors(model: PreTrainedModel, batches: list[Batch], masks: Masks, target: Masks) -> Tensor:
    """How far each sublayer's output is from what tuning fits it to, relative to that: (sublayer,), float64.

    Outputs with their residuals, of all tokens; of the last FFN, for the first token only. An FFN's are to be those
    of the whole FFN at the target's hidden states.
    """
    layers = blocks(model)
    norms = [norm for block in layers for norm in (block.attention_norm, block.ffn_norm)]
    watched = [module for block in layers for module in (block.attention_norm, block.ffn_in)]
    squares = torch.zeros(2, len(norms), dtype=torch.float64)
    for batch in batches:
        real = batch["attention_mask"].bool()
        seen: list[list[Tensor]] = []
        for gates, modules in ((masks, norms), (target, watched)):
            outputs: list[Tensor] = []
            hooks = [part.register_forward_pre_hook(lambda _module, x, to=outputs: to.append(x[0])) for part in modules]
            with gated(model, gates):
                model(**model_inputs(batch))
            for hook in hooks:
                hook.remove()
            if modules is watched:
                for block, place in zip(layers, range(1, len(outputs), 2), strict=True):
                    y = outputs[place]
                    outputs[place] = y + block.ffn_out(block.activation(block.ffn_in(y)))
            seen.append([*(x[real] for x in outputs[:-1]), outputs[-1][:, 0]])
        for at, (own, wanted) in enumerate(zip(*seen, strict=True)):
            squares[:, at] += torch.stack([(own - wanted).square().sum(), wanted.square().sum()]).double().cpu()
    return (squares[0] / squares[1]).sqrt()


def agreement(results: dict[str, Pruning]) -> dict[str, float]:
    """Units on whose masks before tuning the two disagree; each one's mean reconstruction error over sublayers, tuned
    and not."""
    plain, fast = results["plain"], results["fast"]
    differing = sum(
        int((own != other).sum())
        for own, other in zip(
            (plain.hard.heads["self"], plain.hard.neurons), (fast.hard.heads["self"], fast.hard.neurons), strict=True
        )
    )
    return {
        "same_masks": differing == 0,
        "different_units": differing,
        "error_untuned": float(fast.errors(fast.hard, fast.assistant).mean()),
        "error_plain": float(plain.errors(plain.soft, plain.assistant).mean()),
        "error_fast": float(fast.errors(fast.soft, fast.assistant).mean()),
    }
