"""Every head of a translation model off, one at a time, or alone in its layer: what is translated then.

What an ablation does not change is not computed again: the encoder runs from the ablated layer on, and where only the
decoder is ablated its sources, and the cross attention's keys and values of them, are those of the whole model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from prunekit.beam_search import Hypothesis, beam_search
from prunekit.blocks import describe
from prunekit.gates import gated
from prunekit.masks import Masks
from prunekit.seq2seq import Memory, Seq2Seq
from prunekit.tasks.batches import Batch, evaluation_batches, to_device
from prunekit.tasks.parallel import Pairs
from prunekit.translations import in_order


@dataclass(frozen=True)
class _Source:
    """A batch of sources as the whole model reads them."""

    batch: Batch
    states: list[Tensor]
    memory: Memory


class TranslationAblation:
    """Translations of a set of sentences with heads of one sublayer off."""

    @torch.inference_mode()
    def __init__(self, model: Any, pairs: Pairs, *, device: torch.device, beams: int, batch_size: int) -> None:
        """Args: as of :func:`prunekit.translations.translate`."""
        model.eval()
        self.layout = describe(model)
        self._parts = Seq2Seq(model)
        self._pairs, self._beams = pairs, beams
        self._sources = []
        for batch in evaluation_batches(pairs, batch_size):
            moved = to_device(batch, device)
            states = self._parts.encoder_inputs(moved)
            self._sources.append(_Source(moved, states, self._parts.memory(states[-1], moved)))

    def without(
        self, kind: str, layer: int, mode: str, on_rows: Callable[[int], None] = lambda rows: None
    ) -> list[list[Hypothesis]]:
        """Hypotheses of all sentences for every head of a sublayer.

        Args:
            mode: ``one_off``, this head goes, or ``all_but_one``, it alone stays.
        """
        heads = self.layout.of_kind(kind)[layer].heads
        found = []
        for head in range(heads):
            masks = Masks.ones(self.layout, device=self._parts.model.device)
            if mode == "all_but_one":
                masks.heads[kind][layer] = False
            masks.heads[kind][layer, head] = mode == "all_but_one"
            with gated(self._parts.model, masks):
                found.append(self._translate(kind, layer, on_rows))
        return found

    @torch.inference_mode()
    def _translate(self, kind: str, layer: int, on_rows: Callable[[int], None]) -> list[Hypothesis]:
        found = []
        longest = self._pairs.rows.task.max_length
        in_encoder = kind == self._parts.family.kinds[0]
        for source in self._sources:
            memory = source.memory
            if in_encoder:
                encoded = self._parts.encode_from(layer, source.states[layer], source.batch)
                memory = self._parts.memory(encoded, source.batch)
            found.append((source.batch, beam_search(self._parts, memory, beams=self._beams, longest=longest)))
            on_rows(len(source.batch["index"]))
        return in_order(found)
