"""The equations of an encoder-decoder, to translate without paying twice for what does not change.

A model is run block by block: the encoder from any of its layers on, the cross attention's keys and values once for
all beams of a sentence, the decoder one word at a time. Projections are called as modules, so gates and surgery act as
they do in the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from prunekit.data.batches import Batch
from prunekit.forward.replay import context
from prunekit.models.blocks import AttentionBlock, FFNBlock, attention_blocks, ffn_blocks
from prunekit.models.checkpoints import check_translator
from prunekit.models.families.encoder_decoders import CROSS
from prunekit.models.families.table import translator_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HeadGates = Mapping[tuple[str, int], Tensor]
"""By kind and layer: what multiplies the context of each sentence, (sentence, 1, heads * head size)."""


@dataclass(frozen=True)
class Memory:
    """What a decoder reads of its sources."""

    mask: Tensor
    """bool, (sentence, 1, 1, token)."""
    keys_values: list[tuple[Tensor, Tensor] | None]
    """By decoder layer, (sentence, head, token, head size) each; None where no head is left."""
    gates: HeadGates = field(default_factory=dict)
    """Of the decoder, while these sentences are translated."""

    def take(self, sentences: Tensor) -> Memory:
        """Of some of the sentences; one may be taken several times."""
        pairs = [None if pair is None else (pair[0][sentences], pair[1][sentences]) for pair in self.keys_values]
        return Memory(self.mask[sentences], pairs, {place: gate[sentences] for place, gate in self.gates.items()})


@dataclass
class Heard:
    """What the decoder's self attention has seen: the words of all beams of a sentence side by side.

    A beam's own words are told by a mask, so nothing is copied when beams change places."""

    keys_values: list[tuple[Tensor, Tensor] | None]
    """By decoder layer, (sentence, head, place for a word of a beam, head size) each."""
    words: int = 0
    """Words so far; word t of beam b is at t * beams + b."""

    beams: int = 1
    """Beams of every sentence."""

    def take(self, sentences: Tensor) -> Heard:
        """Of some of the sentences; only what was heard is copied."""

        def some(whole: Tensor) -> Tensor:
            places = self.words * self.beams
            left = whole.new_empty(len(sentences), *whole.shape[1:])
            left[:, :, :places] = whole[sentences, :, :places]
            return left

        pairs = [None if pair is None else (some(pair[0]), some(pair[1])) for pair in self.keys_values]
        return Heard(pairs, self.words, self.beams)


@dataclass(frozen=True)
class _EncoderLayer:
    attention: AttentionBlock
    ffn: FFNBlock


@dataclass(frozen=True)
class _DecoderLayer:
    attention: AttentionBlock
    cross: AttentionBlock
    ffn: FFNBlock


class Seq2Seq:
    """A translation model in its parts."""

    def __init__(self, model: PreTrainedModel) -> None:
        check_translator(model)
        self.model = model
        self.family = translator_of(model.config)
        by_kind: dict[str, list[AttentionBlock]] = {}
        for block in attention_blocks(model):
            by_kind.setdefault(block.kind, []).append(block)
        encoder_kind, cross, decoder_kind = self.family.kinds
        assert cross == CROSS
        ffn = ffn_blocks(model)
        first = len(by_kind[encoder_kind])
        self.encoder = [_EncoderLayer(*pair) for pair in zip(by_kind[encoder_kind], ffn[:first], strict=True)]
        decoder = zip(by_kind[decoder_kind], by_kind[cross], ffn[first:], strict=True)
        self.decoder = [_DecoderLayer(*parts) for parts in decoder]

    def encoder_inputs(self, batch: Batch) -> list[Tensor]:
        """Input of every encoder layer, and the output of the last, (sentence, token, d) each."""
        mask = batch["attention_mask"].bool()
        states = [self.family.embed_source(self.model, batch["input_ids"])]
        for layer in self.encoder:
            states.append(self._encode(layer, states[-1], mask, {}))
        return states

    def encode_from(self, layer: int, state: Tensor, batch: Batch, gates: HeadGates | None = None) -> Tensor:
        """Output of the encoder from the input of one of its layers."""
        mask = batch["attention_mask"].bool()
        for part in self.encoder[layer:]:
            state = self._encode(part, state, mask, gates or {})
        return state

    def _encode(self, layer: _EncoderLayer, x: Tensor, mask: Tensor, gates: HeadGates) -> Tensor:
        attention = layer.attention
        y = attention.attention_norm(x + attention.o(_gated(attention, context(attention, x, mask), gates)))
        return _feed_forward(layer.ffn, y)

    def read(self, batch: Batch) -> Memory:
        """What the decoder reads of a batch of sources."""
        return self.memory(self.encode_from(0, self.family.embed_source(self.model, batch["input_ids"]), batch), batch)

    def memory(self, encoded: Tensor, batch: Batch) -> Memory:
        """Keys and values of the cross attention."""
        pairs: list[tuple[Tensor, Tensor] | None] = []
        for layer in self.decoder:
            block = layer.cross
            if block.k is None or block.v is None:
                pairs.append(None)
            else:
                pairs.append((_by_head(block, block.k(encoded)), _by_head(block, block.v(encoded))))
        return Memory(batch["attention_mask"].bool()[:, None, None, :], pairs)

    def nothing_heard(self, sentences: int, beams: int, longest: int) -> Heard:
        """Room for so many words of every beam of each sentence."""
        pairs: list[tuple[Tensor, Tensor] | None] = []
        for layer in self.decoder:
            block = layer.attention
            if block.k is None:
                pairs.append(None)
                continue
            shape = (sentences, block.heads, beams * longest, block.head_size)
            weight = block.k.weight
            pairs.append((weight.new_empty(shape), weight.new_empty(shape)))
        return Heard(pairs, beams=beams)

    def next_words(self, words: Tensor, heard: Heard, own: Tensor, memory: Memory) -> Tensor:
        """Scores of the word after each beam's last one.

        Args:
            words: the last one of every beam, (sentence, beam).
            heard: grows by these words.
            own: bool, (sentence, beam, places so far with these words): those of the beam itself.

        Returns:
            logits, (sentence, beam, word).
        """
        beams = words.shape[1]
        low, high = heard.words * beams, (heard.words + 1) * beams
        x = self.family.embed_target(self.model, words, heard.words)
        for layer, pair, read in zip(self.decoder, heard.keys_values, memory.keys_values, strict=True):
            block = layer.attention
            seen = x
            if pair is not None and block.q is not None and block.k is not None and block.v is not None:
                keys, values = pair
                keys[:, :, low:high] = _by_head(block, block.k(x))
                values[:, :, low:high] = _by_head(block, block.v(x))
                seen = _attend(_by_head(block, block.q(x)), keys[:, :, :high], values[:, :, :high], own[:, None])
            x = block.attention_norm(x + block.o(_gated(block, seen, memory.gates)))
            cross = layer.cross
            seen = x
            if read is not None and cross.q is not None:
                seen = _attend(_by_head(cross, cross.q(x)), *read, memory.mask)
            x = _feed_forward(layer.ffn, cross.attention_norm(x + cross.o(_gated(cross, seen, memory.gates))))
        heard.words += 1
        return self.model.get_output_embeddings()(x) + self.model.final_logits_bias


def _gated(block: AttentionBlock, seen: Tensor, gates: HeadGates) -> Tensor:
    """A context, (sentence, place, heads * head size), times its gates, if it has some."""
    gate = gates.get((block.kind, block.layer))
    return seen if gate is None else seen * gate


def _by_head(block: AttentionBlock, projected: Tensor) -> Tensor:
    """(sentence, head, place, head size)."""
    return projected.unflatten(-1, (block.heads, block.head_size)).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)


def _feed_forward(block: FFNBlock, y: Tensor) -> Tensor:
    return block.ffn_norm(y + block.ffn_out(block.activation(block.ffn_in(y))))
