"""Beam search as ``generate`` of transformers does it (no early stopping, scores over length), sentence by sentence.

A sentence is done when its running beams can no longer beat its finished ones; it then leaves the batch, which
``generate`` keeps whole until its last sentence is done.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from prunekit.forward.seq2seq import Memory, Seq2Seq

RETIRE_SHARE = 0.125
"""Share of a batch that is done before it is made smaller: each time, what is left is copied."""


@dataclass(frozen=True)
class Hypothesis:
    """The best one of a sentence."""

    tokens: list[int]
    """Up to and with the end of the sentence, if it came before the longest length."""
    score: float
    """Log-probability over the number of tokens."""


@dataclass
class _Beams:
    """What is known of the sentences that are still in the batch; the first axis of everything."""

    place: Tensor
    """In the whole batch, (sentence,)."""
    running: Tensor
    """Log-probabilities of the running beams, (sentence, beam)."""
    history: Tensor
    """Their words, (sentence, beam, longest)."""
    ancestry: Tensor
    """The beam that had each of them, (sentence, beam, longest)."""
    finished: Tensor
    """Scores of the best finished hypotheses, best first, -inf where there is none, (sentence, beam)."""
    best: Tensor
    """Words of the best of them, (sentence, longest)."""
    best_length: Tensor
    """How many they are, (sentence,)."""

    def take(self, sentences: Tensor) -> _Beams:
        return _Beams(**{name: value[sentences] for name, value in vars(self).items()})


@torch.inference_mode()
def beam_search(
    parts: Seq2Seq, memory: Memory, *, beams: int, longest: int, endless: bool = False
) -> list[Hypothesis]:
    """The best translation of every sentence.

    Args:
        memory: of the sentences, see :meth:`prunekit.forward.seq2seq.Seq2Seq.memory`.
        beams: 1 is greedy.
        longest: tokens of a translation, at most.
        endless: no translation ends before; for timing.
    """
    config = parts.model.config
    end, pad = (-1 if endless else config.eos_token_id), config.pad_token_id
    sentences, device = len(memory.mask), memory.mask.device
    state = _start(sentences, beams, longest, device)
    words = torch.full((sentences, beams), config.decoder_start_token_id, device=device)
    heard = parts.nothing_heard(sentences, beams, longest)
    hypotheses: list[Hypothesis | None] = [None] * sentences
    slots = torch.arange(beams, device=device)
    for length in range(1, longest + 1):
        state.ancestry[:, :, length - 1] = slots
        own = (state.ancestry[:, :, :length, None] == slots).flatten(2)
        words = _advance(state, parts.next_words(words, heard, own, memory).float(), pad, end, length, longest)
        leaving = _cannot_improve(state, length) | (length == longest)
        if leaving.float().mean() >= RETIRE_SHARE:
            _collect(hypotheses, state.take(leaving.nonzero()[:, 0]))
            stay = (~leaving).nonzero()[:, 0]
            if not len(stay):
                break
            state, memory, heard, words = state.take(stay), memory.take(stay), heard.take(stay), words[stay]
    return [hypothesis for hypothesis in hypotheses if hypothesis is not None]


def _start(sentences: int, beams: int, longest: int, device: torch.device) -> _Beams:
    running = torch.full((sentences, beams), -1e9, device=device)
    running[:, 0] = 0  # all beams are alike at first: only one may have offspring
    words = torch.zeros(sentences, beams, longest, dtype=torch.long, device=device)
    return _Beams(
        torch.arange(sentences, device=device), running, words, words.clone(),
        torch.full((sentences, beams), -torch.inf, device=device), words[:, 0].clone(),
        torch.zeros(sentences, dtype=torch.long, device=device),
    )  # fmt: skip


def _advance(state: _Beams, logits: Tensor, pad: int, end: int, length: int, longest: int) -> Tensor:
    """One word more: what ends goes to the finished hypotheses, the best others run on. Returns their words.

    Args:
        logits: (sentence, beam, word).
        length: of the hypotheses with this word.
    """
    beams = state.running.shape[1]
    every_word = logits.logsumexp(-1, keepdim=True)
    logits[..., pad] = -torch.inf  # no model is taught not to say it
    # the best 2 * beams over all beams are among the best 2 * beams of each; so at least `beams` of them do not end
    top, word = logits.topk(min(2 * beams, logits.shape[-1]), dim=-1)
    total = state.running[..., None] + top - every_word
    scores, place = total.flatten(1).topk(2 * beams)
    beam = place // word.shape[-1]
    words = word.flatten(1).gather(1, place)
    over = (words == end) | (length == longest)
    counted = over & (torch.arange(2 * beams, device=words.device) < beams)
    _finish(state, torch.where(counted, scores / length, -torch.inf), beam, words, length)
    state.running, chosen = scores.masked_fill(over, -1e9).topk(beams)
    beam, words = beam.gather(1, chosen), words.gather(1, chosen)
    index = beam[..., None].expand_as(state.history)
    state.history, state.ancestry = state.history.gather(1, index), state.ancestry.gather(1, index)
    state.history[:, :, length - 1] = words
    return words


def _finish(state: _Beams, scores: Tensor, beam: Tensor, words: Tensor, length: int) -> None:
    """Take the hypotheses that end here, -inf for those that do not, among the finished ones."""
    value, place = scores.max(1)
    better = value > state.finished[:, 0]
    parent = beam.gather(1, place[:, None])
    hypothesis = state.history.gather(1, parent[..., None].expand(-1, 1, state.history.shape[2]))[:, 0]
    hypothesis[:, length - 1] = words.gather(1, place[:, None])[:, 0]
    state.best = torch.where(better[:, None], hypothesis, state.best)
    state.best_length = torch.where(better, length, state.best_length)
    state.finished = torch.cat([state.finished, scores], 1).topk(scores.shape[1] // 2).values


def _cannot_improve(state: _Beams, length: int) -> Tensor:
    """bool, (sentence,): as many are finished as there are beams, and no running one is better than the worst."""
    full = state.finished[:, -1].isfinite()
    if state.finished.shape[1] == 1:
        return full
    return full & (state.running[:, 0] / length <= state.finished[:, -1])


def _collect(hypotheses: list[Hypothesis | None], state: _Beams) -> None:
    columns = (state.place, state.best, state.best_length, state.finished[:, 0])
    for place, words, length, score in zip(*(column.tolist() for column in columns), strict=True):
        hypotheses[place] = Hypothesis(words[:length], score)
