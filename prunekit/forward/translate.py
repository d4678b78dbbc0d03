"""Translations of a set of sentences by beam search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch

from prunekit.data.batches import Batch, evaluation_batches, to_device
from prunekit.data.kinds.translation import Pairs
from prunekit.forward.beam_search import Hypothesis, beam_search
from prunekit.forward.seq2seq import Seq2Seq
from prunekit.support.devices import autocast
from prunekit.support.finite import require_finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def translate(
    model: PreTrainedModel,
    pairs: Pairs,
    *,
    device: torch.device,
    beams: int,
    batch_size: int = 64,
    precision: str = "float32",
    on_rows: Callable[[int], None] = lambda rows: None,
) -> list[Hypothesis]:
    """The best hypothesis of every source, in their order; the targets are not looked at.

    Args:
        model: a translation model of the architecture table, gated or pruned or neither.
        beams: 1 is greedy.
    """
    model.eval()
    parts = Seq2Seq(model)
    longest = pairs.rows.task.max_length
    results = []
    with torch.inference_mode(), autocast(device, precision):
        for batch in evaluation_batches(pairs, batch_size):
            memory = parts.read(to_device(batch, device))
            results.append((batch, beam_search(parts, memory, beams=beams, longest=longest)))
            on_rows(len(batch["index"]))
    return in_order(results)


def in_order(results: Iterable[tuple[Batch, list[Hypothesis]]]) -> list[Hypothesis]:
    """The hypotheses of batches that share out a set of sentences, in the order of the data.

    Raises:
        UserError: some have no finite score, as where a model's output is no number (naming the first row).
    """
    by_place = {
        place: hypothesis
        for batch, hypotheses in results
        for place, hypothesis in zip(batch["index"].tolist(), hypotheses, strict=True)
    }
    hypotheses = [by_place[place] for place in range(len(by_place))]
    require_finite(np.asarray([hypothesis.score for hypothesis in hypotheses]))
    return hypotheses


def texts(pairs: Pairs, hypotheses: list[Hypothesis]) -> list[str]:
    """What the hypotheses say, in plain text."""
    tokens = [hypothesis.tokens for hypothesis in hypotheses]
    return list(pairs.tokenizer.batch_decode(tokens, skip_special_tokens=True))
