"""Every head off, one at a time, and every head alone in its layer: exact, in one pass over the data.

A head changes nothing before its own layer, so each ablation starts from the cached state of that layer and
only replays the layers after it, all heads of a layer stacked in one batch. In the ablated layer everything
before the output projection is shared: with c_h = W_h context_h the contribution of head h, one head off is
attended - c_h, and all but one off is bias + c_h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.data.batches import Batch, model_inputs
from prunekit.forward.checked_batches import checked_batches
from prunekit.forward.replay import (
    check_equations,
    context,
    equal_length_groups,
    finish,
    last_context,
    layer_input,
    read_tokens,
)
from prunekit.models.blocks import Block, blocks, call_order, describe
from prunekit.models.families.table import check_classifier, classify
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MODES = ("one_off", "all_but_one")
GROUP_TOKENS = {"cpu": 2**11, "cuda": 2**16}
"""The most tokens that are replayed together, over all heads of a layer, by device."""


@dataclass(frozen=True)
class Ablation:
    """Logits on the CPU, of the model's dtype, rows in the order of ``index``."""

    baseline: Tensor
    """(example, label), of the model as it is; of a classifier of tokens (example, token, label), 0 behind a row's
    last token."""
    logits: dict[str, Tensor]
    """By mode: (layer, head, *baseline); NaN for heads that the model does not have."""


@dataclass(frozen=True)
class _Trace:
    """What one position in the sequence of layers saw in the ordinary run."""

    x: Tensor
    """Input of the layer, (row, token, d)."""
    context: Tensor
    """Input of the attention output projection, (row, token, heads * head size)."""
    attended: Tensor
    """Output of the attention output projection, (row, token, d)."""


@torch.inference_mode()
def ablate_heads(
    model: PreTrainedModel,
    batches: Iterable[Batch],
    *,
    modes: Sequence[str] = MODES,
    max_tokens: int | None = None,
    progress: Callable[[int], None] = lambda rows: None,
) -> Ablation:
    """Logits of a classifier with each head removed, and with each head as the only one of its layer.

    Equal to running the model once per head with gates (Michel et al. 2019, Sec. 3.2 and 3.3), for whatever
    batches the rows come in. A head of a shared layer is off in every call of that layer.

    Args:
        model: a classifier of sequences or tokens of the architecture table, pruned or not, on any device.
        batches: ``input_ids``, ``attention_mask``, ``token_type_ids`` if the family has them, and ``index``, the
            rows' places in the data, (batch,), as they come where there is none; other tensors are ignored. Padding
            is on the right.
        modes: ``one_off``, ``all_but_one`` or both.
        max_tokens: how many tokens of stacked copies run at once; the default suits the caches of a CPU, or
            fills a GPU.
        progress: called with the number of rows done since the last call.

    Raises:
        UserError: unknown mode, a model that is not supported or no classifier, or padding that is not on the right.
        RuntimeError: the replay does not reproduce the model's own logits, as with hooks that change it.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise UserError(f"ablation mode {', '.join(unknown)}: not known, there are {', '.join(MODES)}")
    describe(model)
    check_classifier(model)
    layers = blocks(model)
    sequence = [layers[index] for index in call_order(model)]
    heads = max(block.heads for block in layers)
    max_tokens = max_tokens or GROUP_TOKENS[model.device.type]
    was_training = model.training
    model.eval()
    checked = checked_batches(model, batches, targets=False)
    try:
        places: list[Tensor] = []
        baseline: list[Tensor] = []
        ablated: dict[str, list[Tensor]] = {mode: [] for mode in modes}
        for group in equal_length_groups(checked, max_tokens // max(heads, 1)):
            places.append(group.pop("index"))
            logits, traces = _trace(model, layers, group)
            if not baseline:
                check_equations(model, _replay(model, traces[0].x, sequence, 0, {}), logits)
            baseline.append(logits)
            for mode in modes:
                table = logits.new_full((len(layers), heads, *logits.shape), torch.nan)
                for block in layers:
                    if block.heads:
                        table[block.layer, : block.heads] = _ablate(model, block, sequence, traces, mode)
                ablated[mode].append(table)
            progress(len(logits))
    finally:
        model.train(was_training)
    order = torch.cat(places).argsort().cpu()
    if baseline[0].dim() == 3:  # of tokens; groups are of one length each
        longest = max(logits.shape[1] for logits in baseline)
        baseline = [_lengthened(logits, longest) for logits in baseline]
        ablated = {mode: [_lengthened(table, longest) for table in tables] for mode, tables in ablated.items()}
    return Ablation(
        torch.cat(baseline).cpu()[order],
        {mode: torch.cat(tables, dim=2).cpu()[:, :, order] for mode, tables in ablated.items()},
    )


def _lengthened(logits: Tensor, tokens: int) -> Tensor:
    """(..., token, label), 0 behind the last token."""
    return nn.functional.pad(logits, (0, 0, 0, tokens - logits.shape[-2]))


def _trace(model: PreTrainedModel, layers: list[Block], group: Batch) -> tuple[Tensor, list[_Trace]]:
    """An ordinary run: logits, and what every position saw."""
    inputs: list[Tensor] = []
    projections: list[tuple[Tensor, Tensor]] = []

    def keep_input(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        inputs.append(layer_input(args, kwargs))

    def keep_projection(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        projections.append((args[0], output))

    with ExitStack() as hooks:
        for block in layers:
            hooks.callback(block.module.register_forward_pre_hook(keep_input, with_kwargs=True).remove)
            hooks.callback(block.o.register_forward_hook(keep_projection).remove)
        logits = model(**model_inputs(group, model.device)).logits
    traces = [_Trace(x, *seen) for x, seen in zip(inputs, projections, strict=True)]
    return logits, traces


def _ablate(model: PreTrainedModel, block: Block, sequence: list[Block], traces: list[_Trace], mode: str) -> Tensor:
    """Logits with each head of one physical layer ablated, (head, row, ..., label)."""
    first = block.calls[0]
    last = first == len(sequence) - 1
    trace = traces[first]
    x, seen, attended = (read_tokens(model, t) if last else t for t in (trace.x, trace.context, trace.attended))
    # The contribution of each head, (head, row, token, d).
    weight = block.o.get_parameter("weight").unflatten(1, (block.heads, block.head_size)).permute(1, 2, 0)
    by_head = seen.unflatten(-1, (block.heads, block.head_size)).flatten(0, 1).transpose(0, 1)
    contribution = (by_head @ weight).unflatten(1, x.shape[:2])
    without = attended - contribution if mode == "one_off" else contribution + block.o.get_parameter("bias")
    copies = finish(block, x, without).flatten(0, 1)
    if last:
        logits = classify(model, copies)
    else:
        mask = torch.eye(block.heads, device=x.device, dtype=x.dtype)
        mask = 1 - mask if mode == "one_off" else mask
        gate = mask.repeat_interleave(block.head_size, 1).repeat_interleave(len(x), 0).unsqueeze(1)
        logits = _replay(model, copies, sequence, first + 1, {block.layer: gate})
    return logits.unflatten(0, (block.heads, len(x)))


def _replay(model: PreTrainedModel, x: Tensor, sequence: list[Block], start: int, gates: dict[int, Tensor]) -> Tensor:
    """Logits from the input of position ``start``, (row, token, d).

    Args:
        gates: by physical layer, (row, 1, heads * head size), for calls of a layer that is ablated.
    """
    last = len(sequence) - 1
    for position in range(start, len(sequence)):
        block = sequence[position]
        seen = last_context(model, block, x) if position == last else context(block, x)
        if block.layer in gates:
            seen = seen * gates[block.layer]
        x = finish(block, read_tokens(model, x) if position == last else x, block.o(seen))
    return classify(model, x)
