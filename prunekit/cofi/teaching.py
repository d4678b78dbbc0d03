"""What a teacher says of a batch: its predictions and the states of the layers that students are matched to.

A teacher never changes, so that what it says of an example is computed once and kept where memory allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from prunekit.data.batches import Batch, Examples, evaluation_batches, iterate, model_inputs
from prunekit.support.devices import autocast

PREDICTIONS = ("logits", "start_logits", "end_logits")


@dataclass(frozen=True)
class Taught:
    """Of one batch."""

    output: Any
    """With ``logits``, or ``start_logits`` and ``end_logits``."""
    states: Mapping[int, Tensor]
    """By teacher layer: (batch, token, hidden)."""


Teaching = Callable[[Batch], Taught]


class Asked:
    """The teacher is asked anew for every batch."""

    def __init__(self, teacher: Any, layers: Sequence[int], precision: str) -> None:
        """
        Args:
            teacher: in eval mode, on the device.
            layers: whose states are needed, 0-based.
        """
        self.teacher, self.layers, self.precision = teacher, layers, precision

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Taught:
        with autocast(batch["input_ids"].device, self.precision):
            output = self.teacher(**model_inputs(batch), output_hidden_states=bool(self.layers))
        return Taught(output, {layer: output.hidden_states[layer + 1] for layer in self.layers})


class Kept:
    """What the teacher said of every example, token by token without padding.

    States at padding are those of some other token: whoever reads them must not look there.
    """

    def __init__(self, ask: Asked, examples: Examples, device: torch.device, batch_size: int = 64) -> None:
        """Ask the teacher once, in a fixed order; states are kept as precisely as ``ask`` computes them."""
        lengths = torch.from_numpy(examples.lengths)
        self.starts = (lengths.cumsum(0) - lengths).to(device)
        self.layers, tokens = ask.layers, int(lengths.sum())
        dtype = torch.bfloat16 if ask.precision == "bfloat16" else ask.teacher.dtype
        self.states = torch.empty(tokens, len(ask.layers), hidden_size(ask.teacher), dtype=dtype, device=device)
        self.predictions: dict[str, Tensor] = {}
        self.by_token = examples.rows.task.questions
        for batch in iterate(evaluation_batches(examples, batch_size), device):
            taught = ask(batch)
            mask = batch["attention_mask"].bool()
            places = self._places(batch)[mask]
            for number, layer in enumerate(ask.layers):
                self.states[places, number] = taught.states[layer][mask].to(dtype)
            for name in PREDICTIONS:
                if hasattr(taught.output, name):
                    found = getattr(taught.output, name).to(ask.teacher.dtype)
                    size = (tokens,) if self.by_token else (len(examples), found.shape[-1])
                    kept = self.predictions.setdefault(name, found.new_zeros(size))
                    if self.by_token:
                        kept[places] = found[mask]
                    else:
                        kept[batch["index"]] = found

    def __call__(self, batch: Batch) -> Taught:
        places = self._places(batch)
        chosen = places if self.by_token else batch["index"]
        output = SimpleNamespace(**{name: kept[chosen] for name, kept in self.predictions.items()})
        states = self.states[places]
        return Taught(output, {layer: states[:, :, number] for number, layer in enumerate(self.layers)})

    def _places(self, batch: Batch) -> Tensor:
        """Row of every token of a batch in what is kept, (batch, token)."""
        token = torch.arange(batch["input_ids"].shape[1], device=self.starts.device)
        return (self.starts[batch["index"]][:, None] + token).clamp_max(len(self.states) - 1)


def teaching(
    teacher: Any, layers: Sequence[int], examples: Examples, device: torch.device, precision: str, gigabytes: float
) -> Teaching:
    """What answers for the teacher: kept where it fits into so much memory, else asked."""
    ask = Asked(teacher, layers, precision)
    size = 2 if precision == "bfloat16" else 4
    needed = int(examples.lengths.sum()) * max(1, len(layers)) * hidden_size(teacher) * size
    return Kept(ask, examples, device) if needed <= gigabytes * 1e9 else ask


def hidden_size(teacher: Any) -> int:
    return int(teacher.config.hidden_size)
