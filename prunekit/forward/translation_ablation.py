"""Every head of a translation model off, one at a time, or alone in its layer: what is translated then.

What an ablation does not change is not computed again: the encoder runs from the ablated layer on, and where only the
decoder is ablated its sources, and the cross attention's keys and values of them, are those of the whole model. A GPU,
which one batch does not fill, decodes the ablations of a sublayer side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.data.batches import Batch, evaluation_batches, to_device
from prunekit.data.kinds.translation import Pairs
from prunekit.forward.beam_search import Hypothesis, beam_search
from prunekit.forward.seq2seq import HeadGates, Memory, Seq2Seq
from prunekit.forward.translate import in_order
from prunekit.models.blocks import describe
from prunekit.models.layout import AttentionShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILLS_GPU = 512
"""Sentences that a GPU translates at once."""


@dataclass(frozen=True)
class _Source:
    """A batch of sources as the whole model reads them."""

    batch: Batch
    states: list[Tensor]
    memory: Memory


class TranslationAblation:
    """Translations of a set of sentences with heads of one sublayer off."""

    @torch.inference_mode()
    def __init__(
        self, model: PreTrainedModel, pairs: Pairs, *, device: torch.device, beams: int, batch_size: int,
        at_once: int | None = None,
    ) -> None:  # fmt: skip
        """Args: as of :func:`prunekit.forward.translate.translate`, and ``at_once``: how many ablations are decoded in
        one batch; the default is one on a CPU, where more were seen to be slower, and what fills a GPU."""
        model.eval()
        self.layout = describe(model)
        self._parts = Seq2Seq(model)
        self._pairs, self._beams = pairs, beams
        self._at_once = at_once or (1 if device.type == "cpu" else max(1, FILLS_GPU // batch_size))
        self._sources = []
        for batch in evaluation_batches(pairs, batch_size):
            moved = to_device(batch, device)
            states = self._parts.encoder_inputs(moved)
            self._sources.append(_Source(moved, states, self._parts.memory(states[-1], moved)))

    @torch.inference_mode()
    def without(
        self, kind: str, layer: int, mode: str, on_rows: Callable[[int], None] = lambda rows: None
    ) -> list[list[Hypothesis]]:
        """Hypotheses of all sentences for every head of a sublayer.

        Args:
            mode: ``one_off``, this head goes, or ``all_but_one``, it alone stays.
        """
        shape = self.layout.of_kind(kind)[layer]
        masks = torch.eye(shape.heads, device=self._parts.model.device, dtype=self._parts.model.dtype)
        if mode == "one_off":
            masks = 1 - masks
        return [
            hypotheses
            for some in masks.repeat_interleave(shape.head_size, 1).split(self._at_once)
            for hypotheses in self._translate(shape, some, on_rows)
        ]

    def _translate(
        self, shape: AttentionShape, gates: Tensor, on_rows: Callable[[int], None]
    ) -> list[list[Hypothesis]]:
        """Hypotheses of all sentences for every ablation, (ablation, heads * head size)."""
        ablations = len(gates)
        results: list[list[tuple[Batch, list[Hypothesis]]]] = [[] for _ in range(ablations)]
        longest = self._pairs.rows.task.max_length
        for source in self._sources:
            sentences = len(source.batch["index"])
            by_row = {(shape.kind, shape.layer): gates.repeat_interleave(sentences, 0).unsqueeze(1)}
            memory = self._memory(source, shape, by_row, ablations)
            hypotheses = beam_search(self._parts, memory, beams=self._beams, longest=longest)
            for ablation in range(ablations):
                own = hypotheses[ablation * sentences : (ablation + 1) * sentences]
                results[ablation].append((source.batch, own))
            on_rows(len(hypotheses))
        return [in_order(batches) for batches in results]

    def _memory(self, source: _Source, shape: AttentionShape, gates: HeadGates, ablations: int) -> Memory:
        """Of the same sources for every ablation in turn."""
        rows = torch.arange(len(source.batch["index"]), device=source.memory.mask.device).repeat(ablations)
        if shape.kind != self._parts.family.kinds[0]:
            return replace(source.memory.take(rows), gates=gates)
        copies = {name: value[rows] for name, value in source.batch.items()}
        encoded = self._parts.encode_from(shape.layer, source.states[shape.layer][rows], copies, gates)
        return self._parts.memory(encoded, copies)
