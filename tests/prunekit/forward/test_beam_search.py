"""Our beam search beside ``generate`` of transformers, which runs the models as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import prunekit
from prunekit.forward.beam_search import beam_search
from prunekit.forward.seq2seq import Seq2Seq
from prunekit.models.blocks import describe
from prunekit.models.families.table import translator_of
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from tests.support.families import PAD, tiny
from tests.support.translators import END, LONGEST, TRANSLATORS, pairs_for, talkative, uneven

SENTENCES = 16

Found = list[tuple[list[int], float]]


def sources(rows: slice = slice(None)) -> dict[str, Tensor]:
    batch = pairs_for(rows=SENTENCES, source=9)
    return {name: batch[name][rows] for name in ("input_ids", "attention_mask")}


def ours(model: Any, beams: int, rows: slice = slice(None)) -> Found:
    parts, batch = Seq2Seq(model), sources(rows)
    with torch.inference_mode():
        memory = parts.memory(parts.encoder_inputs(batch)[-1], batch)
    found = beam_search(parts, memory, beams=beams, longest=LONGEST)
    return [(hypothesis.tokens, hypothesis.score) for hypothesis in found]


def theirs(model: Any, beams: int, rows: slice = slice(None)) -> Found:
    """Tokens without start and padding; scores of beam search over the number of tokens."""
    found = model.generate(
        **sources(rows), num_beams=beams, do_sample=False, max_length=LONGEST + 1, bad_words_ids=[[PAD]],
        forced_eos_token_id=None, return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    tokens = [row[1:] for row in found.sequences.tolist()]
    tokens = [row[: row.index(END) + 1] if END in row else row for row in tokens]
    return list(zip(tokens, found.sequences_scores.tolist() if beams > 1 else [0.0] * len(tokens), strict=True))


@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("family", TRANSLATORS)
def test_translations_are_those_of_generate(family: str, beams: int) -> None:
    model = talkative(family)
    expected = theirs(model, beams)
    assert len({len(tokens) for tokens, _ in expected}) > 2  # so sentences leave the batch one after another
    found = ours(model, beams)
    assert [tokens for tokens, _ in found] == [tokens for tokens, _ in expected]
    if beams > 1:
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-6)


@pytest.mark.parametrize("family", TRANSLATORS)
def test_gates_and_surgery_act_as_in_the_model(family: str) -> None:
    model = talkative(family)
    masks = uneven(model)
    whole = theirs(model, 3)
    with prunekit.gated(model, masks):
        expected = theirs(model, 3)
        found = ours(model, 3)
    assert [tokens for tokens, _ in expected] != [tokens for tokens, _ in whole]
    for other in (found, ours(prune(model, masks), 3)):
        assert [tokens for tokens, _ in other] == [tokens for tokens, _ in expected]
        assert [score for _, score in other] == pytest.approx([score for _, score in expected], abs=1e-6)


@pytest.mark.parametrize("kind", ["enc-dec", "dec-dec"])
def test_a_decoder_without_heads(kind: str) -> None:
    model = talkative("bart")
    masks = Masks.ones(describe(model))
    masks.heads[kind][:] = False
    small = prune(model, masks)
    assert [tokens for tokens, _ in ours(small, 2)] == [tokens for tokens, _ in theirs(small, 2)]


def test_a_sentence_does_not_depend_on_its_batch() -> None:
    model = talkative("marian")
    together = ours(model, 4)
    alone = [ours(model, 4, slice(row, row + 1))[0] for row in range(SENTENCES)]
    assert [tokens for tokens, _ in together] == [tokens for tokens, _ in alone]


def test_encoder_layers_can_be_run_from_any_of_them() -> None:
    model, batch = talkative("marian"), sources()
    parts = Seq2Seq(model)
    with torch.inference_mode():
        states = parts.encoder_inputs(batch)
        expected = model.get_encoder()(**batch).last_hidden_state
        tokens = batch["attention_mask"].bool()
        for layer, state in enumerate(states):
            torch.testing.assert_close(parts.encode_from(layer, state, batch)[tokens], expected[tokens])


def test_an_encoder_is_refused() -> None:
    with pytest.raises(UserError, match="bert is an encoder; this works with encoder-decoders only: marian, bart"):
        translator_of(tiny("bert").config)
