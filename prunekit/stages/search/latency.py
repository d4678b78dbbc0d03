"""Latency tables: how long a layer's sublayers take by the number of units they keep, measured on this machine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from prunekit.evaluation.speed import rounds
from prunekit.models.blocks import Block, blocks, describe, install_attention
from prunekit.models.families.table import encoder_of
from prunekit.models.masks import Masks
from prunekit.models.surgery import shrink_attention, shrink_ffn
from prunekit.stages.score.projection_inputs import SUBLAYERS
from prunekit.support.cache import Cache, EntryKind, Json
from prunekit.support.devices import autocast, describe_device
from prunekit.support.errors import UserError
from prunekit.support.quiet import Quietness, note_timing
from prunekit.support.timing import interleaved

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TABLES = EntryKind("latency", revision=2, alone=True)


@dataclass(frozen=True)
class Subject:
    """What a table was measured on. A table serves only what has the same subject."""

    device: str
    """``cpu`` or ``cuda``."""
    device_name: str
    threads: int
    dtype: str
    """float32, float64, or bfloat16 for autocast."""
    family: str
    activation: str
    """Of the FFN."""
    attention: str
    """Attention implementation."""
    hidden: int
    head_size: int
    heads: int
    """Of the widest layer."""
    neurons: int
    """Of the widest layer."""
    batch_size: int
    length: int
    """Tokens of every example, without padding."""

    @classmethod
    def of(cls, model: PreTrainedModel, batch_size: int, length: int, dtype: str) -> Subject:
        """The layers of a model on its device, as they would be measured now."""
        encoder_of(model.config)
        layout, device, activation = describe(model), describe_device(model.device), blocks(model)[0].activation
        return cls(
            device=device.type, device_name=device.name, threads=device.threads, dtype=dtype,
            family=layout.family, activation=getattr(activation, "__name__", type(activation).__name__),
            attention=str(model.config._attn_implementation), hidden=layout.hidden,
            head_size=layout.attention[0].head_size, heads=max(shape.heads for shape in layout.attention),
            neurons=max(shape.neurons for shape in layout.ffn), batch_size=batch_size, length=length,
        )  # fmt: skip


@dataclass(frozen=True)
class LatencyTable:
    """Measured latencies of one layer's sublayers, each with its residual and LayerNorm."""

    subject: Subject
    rows: tuple[dict[str, Any], ...]
    """sublayer (``attention`` or ``ffn``), units, median_ms, low_ms and high_ms (quartiles), repeats; by sublayer
    and rising units. As measured: no smoothing, and more units may be faster."""
    quiet: Quietness | None = None
    """How quiet the machine was while it was measured; None where nobody watched."""

    def milliseconds(self, sublayer: str, units: Sequence[int] | np.ndarray) -> np.ndarray:
        """Medians at any numbers of units, interpolated between measured numbers, for one call of a layer."""
        measured = [(row["units"], row["median_ms"]) for row in self.rows if row["sublayer"] == sublayer]
        return np.asarray(np.interp(units, *np.array(measured).T))

    def costs(self, model: PreTrainedModel) -> list[np.ndarray]:
        """Milliseconds of every sublayer of a model with 0, 1, 2, ... units, (unit + 1,) each: attention and FFN of the
        first layer, of the second, and so on.

        Raises:
            UserError: the table was measured on something else.
        """
        self.check_fits(model)
        return [
            len(block.calls) * self.milliseconds(sublayer, np.arange(units + 1))
            for block in blocks(model)
            for sublayer, units in (("attention", block.heads), ("ffn", block.neurons))
        ]

    def model_milliseconds(self, model: PreTrainedModel, masks: Masks | None = None) -> float:
        """What the table says of all layers of a model, or of what masks leave of it; nothing else is counted."""
        self.check_fits(model)
        masks = masks or Masks.ones(describe(model))
        total = 0.0
        for block in blocks(model):
            by_sublayer = {"attention": masks.heads["self"][block.layer], "ffn": masks.neurons[block.layer]}
            for sublayer, mask in by_sublayer.items():
                total += len(block.calls) * float(self.milliseconds(sublayer, [int(mask.count_nonzero())])[0])
        return total

    def check_fits(self, model: PreTrainedModel) -> None:
        """Raise a :class:`UserError` unless the table was measured on this machine for this model's layers."""
        own = self.subject
        here = asdict(Subject.of(model, own.batch_size, own.length, own.dtype))
        other = {name: value for name, value in asdict(own).items() if value != here[name]}
        if other:
            differing = ", ".join(f"{name} is {value!r} there and {here[name]!r} here" for name, value in other.items())
            raise UserError(
                f"latency table: it was measured on something else ({differing}); "
                "measure one for this with `python -m experiments.latency_table`"
            )


def latency_table(
    model: PreTrainedModel, batch_size: int, length: int, folder: str | Path, *, dtype: str = "float32",
    stride: int = 32, warmup: int = 2, repeats: int = 5, fresh: bool = False,
) -> LatencyTable:  # fmt: skip
    """The table of a model's layers on its device, measured unless ``folder/cache/latency`` has it.

    Args:
        model: pruned or not; weights do not matter.
        batch_size, length: shape of the input, tokens without padding.
        folder: of the runs; processes wait for each other: two that measured at once would measure each other.
        dtype: as configured: float32 and float64 name the model's own precision, bfloat16 is autocast.
        stride: between measured numbers of neurons; 0, 1 and all are measured too, and every number of heads.
        warmup: rounds that are not counted.
        repeats: rounds that are; up to 20 times as many for small inputs.
        fresh: measure again.

    Raises:
        UserError: no example, no token, a stride below 1, or an encoder-decoder.
    """
    for name, value in (("batch_size", batch_size), ("length", length), ("stride", stride)):
        if value < 1:
            raise UserError(f"{name}: {value} must be at least 1")
    subject = Subject.of(model, batch_size, length, dtype)
    # One call of a sublayer on a GPU is mostly launch; in a row, as in a model, launches overlap with computation.
    # On a CPU the variants in between take its weights out of the caches, as other layers do in a model.
    turns = len(blocks(model)) if model.device.type == "cuda" else 1
    how = (stride, warmup, repeats, turns)
    identity = {"subject": subject, "weights": model.dtype, "how": how}
    form = Json(_encoded, partial(_decoded, subject))
    table = Cache(folder, model.device).get(
        TABLES, identity, lambda: _measured(model, subject, *how), form, fresh=fresh
    )
    if table.quiet is not None:  # whenever it was measured
        note_timing(table.quiet)
    return table


def _encoded(table: LatencyTable) -> dict[str, Any]:
    return {"rows": list(table.rows), "quiet": None if table.quiet is None else table.quiet.as_dict()}


def _decoded(subject: Subject, content: dict[str, Any]) -> LatencyTable:
    mark = content["quiet"]
    return LatencyTable(
        subject, tuple({**row} for row in content["rows"]), None if mark is None else Quietness.from_dict(mark)
    )


def _measured(
    model: PreTrainedModel, subject: Subject, stride: int, warmup: int, repeats: int, turns: int
) -> LatencyTable:
    install_attention(model)
    widest_attention = max(blocks(model), key=lambda block: block.heads)
    widest_ffn = max(blocks(model), key=lambda block: block.neurons)
    x = torch.randn(subject.batch_size, subject.length, subject.hidden, device=model.device, dtype=model.dtype)
    numbers = {"attention": range(subject.heads + 1), "ffn": _widths(subject.neurons, stride)}
    calls: dict[str, Callable[[], object]] = {}
    with torch.no_grad():
        for units in numbers["attention"]:
            calls[f"attention {units}"] = partial(_repeat, attention_sublayer(widest_attention, units), x, turns)
        for units in numbers["ffn"]:
            calls[f"ffn {units}"] = partial(_repeat, ffn_sublayer(widest_ffn, units), x, turns)
    repeats = rounds(repeats, subject.batch_size, subject.length)
    with torch.inference_mode(), autocast(model.device, subject.dtype):
        timings = interleaved(calls, warmup=warmup, repeats=repeats)
    rows = tuple(
        {
            "sublayer": sublayer, "units": units, "median_ms": timing.median * 1e3 / turns,
            "low_ms": timing.low * 1e3 / turns, "high_ms": timing.high * 1e3 / turns, "repeats": timing.repeats,
        }
        for sublayer in SUBLAYERS
        for units in numbers[sublayer]
        for timing in [timings[f"{sublayer} {units}"]]
    )  # fmt: skip
    return LatencyTable(subject, rows, next(iter(timings.values())).quiet)


def _widths(neurons: int, stride: int) -> list[int]:
    return sorted({0, min(1, neurons), *range(stride, neurons, stride), neurons})


def _repeat(sublayer: Callable[[Tensor], Tensor], x: Tensor, turns: int) -> None:
    for _ in range(turns):
        x = sublayer(x)


def attention_sublayer(block: Block, heads: int) -> Callable[[Tensor], Tensor]:
    """A copy of a layer's attention with its first heads alone, residual and LayerNorm included.

    A bias of the heads is computed once for all calls of one length, as a model does for all of its layers.
    """
    of_all, bias = block.bias_of_all, block.paths.bias
    block = copy.deepcopy(replace(block, bias_of_all=None))  # which holds the whole model
    given: dict[int, dict[str, Tensor]] = {}
    shrink_attention(block, torch.arange(block.heads) < heads, torch.tensor(True))
    attention = block.module.get_submodule(block.paths.attention).eval()

    def run(x: Tensor) -> Tensor:
        if of_all is not None and bias is not None and x.shape[1] not in given:
            given[x.shape[1]] = {bias.argument: of_all(x)}
        output = attention(x, **given.get(x.shape[1], {}))[0]
        return output if block.paths.norm_inside else block.attention_norm(x + output)

    return run


def ffn_sublayer(block: Block, neurons: int) -> Callable[[Tensor], Tensor]:
    """A copy of a layer's FFN with its first neurons alone, residual and LayerNorm included."""
    block = copy.deepcopy(block)
    shrink_ffn(block, torch.arange(block.neurons) < neurons, torch.tensor(True))
    paths = block.ffn_paths
    first, second = (block.module.get_submodule(path).eval() for path in (paths.ffn_in, paths.ffn_out))
    return lambda x: block.ffn_norm(x + second(block.activation(first(x))))
