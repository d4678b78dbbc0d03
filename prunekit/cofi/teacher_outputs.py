"""A teacher's outputs of a batch: its predictions, and the states of the layers that students are matched to.

A teacher never changes, so that its outputs of an example are computed once and stored where memory allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.data.batches import Batch, Examples, evaluation_batches, iterate, model_inputs
from prunekit.data.kinds import kind_of
from prunekit.support.devices import autocast

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREDICTIONS = ("logits", "start_logits", "end_logits")


@dataclass(frozen=True)
class TeacherOutputs:
    """Of one batch."""

    output: Any
    """With ``logits``, or ``start_logits`` and ``end_logits``."""
    states: Mapping[int, Tensor]
    """By teacher layer: (batch, token, hidden)."""


OutputsOf = Callable[[Batch], TeacherOutputs]


class ComputedOutputs:
    """The teacher runs anew for every batch."""

    def __init__(self, teacher: PreTrainedModel, layers: Sequence[int], precision: str) -> None:
        """
        Args:
            teacher: in eval mode, on the device.
            layers: whose states are needed, 0-based.
        """
        self.teacher, self.layers, self.precision = teacher, layers, precision

    @torch.no_grad()
    def __call__(self, batch: Batch) -> TeacherOutputs:
        with autocast(batch["input_ids"].device, self.precision):
            output = self.teacher(**model_inputs(batch), output_hidden_states=bool(self.layers))
        return TeacherOutputs(output, {layer: output.hidden_states[layer + 1] for layer in self.layers})


class StoredOutputs:
    """The teacher's outputs of every example, computed once, token by token without padding.

    States at padding are those of some other token: whoever reads them must not look there.
    """

    def __init__(
        self, computed: ComputedOutputs, examples: Examples, device: torch.device, batch_size: int = 64
    ) -> None:
        """Run the teacher once, in a fixed order; states are stored as precisely as they are ``computed``."""
        lengths = torch.from_numpy(examples.lengths)
        self.starts = (lengths.cumsum(0) - lengths).to(device)
        self.layers, tokens = computed.layers, int(lengths.sum())
        dtype = torch.bfloat16 if computed.precision == "bfloat16" else computed.teacher.dtype
        shape = (tokens, len(computed.layers), hidden_size(computed.teacher))
        self.states = torch.empty(shape, dtype=dtype, device=device)
        self.predictions: dict[str, Tensor] = {}
        self.by_token = kind_of(examples.rows.task).by_token
        for batch in iterate(evaluation_batches(examples, batch_size), device):
            outputs = computed(batch)
            mask = batch["attention_mask"].bool()
            places = self._places(batch)[mask]
            for number, layer in enumerate(computed.layers):
                self.states[places, number] = outputs.states[layer][mask].to(dtype)
            for name in PREDICTIONS:
                if hasattr(outputs.output, name):
                    values = getattr(outputs.output, name).to(computed.teacher.dtype)
                    size = (tokens, *values.shape[2:]) if self.by_token else (len(examples), values.shape[-1])
                    rows = self.predictions.setdefault(name, values.new_zeros(size))
                    if self.by_token:
                        rows[places] = values[mask]
                    else:
                        rows[batch["index"]] = values

    def __call__(self, batch: Batch) -> TeacherOutputs:
        places = self._places(batch)
        chosen = places if self.by_token else batch["index"]
        output = SimpleNamespace(**{name: rows[chosen] for name, rows in self.predictions.items()})
        states = self.states[places]
        return TeacherOutputs(output, {layer: states[:, :, number] for number, layer in enumerate(self.layers)})

    def _places(self, batch: Batch) -> Tensor:
        """Row of every token of a batch in what is kept, (batch, token)."""
        token = torch.arange(batch["input_ids"].shape[1], device=self.starts.device)
        return (self.starts[batch["index"]][:, None] + token).clamp_max(len(self.states) - 1)


def teacher_outputs(
    teacher: PreTrainedModel,
    layers: Sequence[int],
    examples: Examples,
    device: torch.device,
    precision: str,
    gigabytes: float,
) -> OutputsOf:
    """A teacher's outputs: stored where they fit into so much memory, else computed for every batch."""
    computed = ComputedOutputs(teacher, layers, precision)
    size = 2 if precision == "bfloat16" else 4
    needed = int(examples.lengths.sum()) * max(1, len(layers)) * hidden_size(teacher) * size
    return StoredOutputs(computed, examples, device) if needed <= gigabytes * 1e9 else computed


def hidden_size(teacher: PreTrainedModel) -> int:
    return int(teacher.config.hidden_size)
