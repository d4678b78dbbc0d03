"""Ablated translation models beside ``generate`` with gates, and pruning of their heads by kind."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

import prunekit
from prunekit.data.kinds.translation import Pairs
from prunekit.forward.translate import translate
from prunekit.forward.translation_ablation import TranslationAblation
from prunekit.heads.curves import kept_masks, kept_rows, pruning_steps, score_rows
from prunekit.heads.ranked import kinds_of, stacked
from prunekit.heads.scores import random_scores
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError
from tests.support.families import PAD
from tests.support.translators import END, HEADS, LONGEST, ROWS, TRANSLATORS, some_pairs, talkative, translator

CPU = torch.device("cpu")
MODES = ("one_off", "all_but_one")


def generated(model: Any, pairs: Pairs, beams: int) -> list[list[int]]:
    """Sentences of one length at a time, so that nothing is padded."""
    results: dict[int, list[int]] = {}
    for length in {len(ids) for ids in pairs.input_ids}:
        rows = [row for row, ids in enumerate(pairs.input_ids) if len(ids) == length]
        words = model.generate(
            input_ids=torch.tensor([pairs.input_ids[row] for row in rows]), num_beams=beams, do_sample=False,
            max_length=LONGEST + 1, bad_words_ids=[[PAD]], forced_eos_token_id=None,
        )[:, 1:].tolist()  # fmt: skip
        results |= {row: own[: own.index(END) + 1] if END in own else own for row, own in zip(rows, words, strict=True)}
    return [results[row] for row in range(len(pairs))]


@cache
def whole() -> list[list[int]]:
    return generated(talkative("marian"), some_pairs(), 2)


@cache
def gated(kind: str, mode: str, layer: int, head: int) -> list[list[int]]:
    """What the model says with a gate of zero at a head, or at all others of its layer."""
    model = talkative("marian")
    masks = Masks.ones(describe(model))
    if mode == "all_but_one":
        masks.heads[kind][layer] = False
    masks.heads[kind][layer, head] = mode == "all_but_one"
    with prunekit.gated(model, masks):
        return generated(model, some_pairs(), 2)


@pytest.mark.parametrize("family", TRANSLATORS)
def test_a_whole_model(family: str) -> None:
    model, pairs = talkative(family), some_pairs()
    done: list[int] = []
    found = translate(model, pairs, device=CPU, beams=2, batch_size=5, on_rows=done.append)
    assert [one.tokens for one in found] == generated(model, pairs, 2) and sum(done) == len(pairs)


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", HEADS)
def test_every_head_as_with_gates(kind: str, mode: str, at_once: int) -> None:
    """One by one, and side by side in one batch, from which finished sentences of each leave on their own."""
    model, pairs = talkative("marian"), some_pairs()
    ablation = TranslationAblation(model, pairs, device=CPU, beams=2, batch_size=5, at_once=at_once)
    changed = 0
    for layer in range(ROWS[kind]):
        ablated = ablation.without(kind, layer, mode)
        assert len(ablated) == HEADS[kind]
        for head, hypotheses in enumerate(ablated):
            expected = gated(kind, mode, layer, head)
            assert [one.tokens for one in hypotheses] == expected
            changed += expected != whole()
    assert changed > 0


class TestKinds:
    def test_all_kinds_are_ranked_together(self) -> None:
        model = translator("marian")
        scores = random_scores(model, 0)
        *_, step = pruning_steps(model, [0.0, 0.5], lambda _: scores)
        values = stacked(scores, tuple(HEADS))
        assert step.keep.shape == (8, 4) and step.keep.sum() == 10
        assert np.nanmin(values[step.keep]) > max(values[place] for place in step.removed)
        assert describe(step.model).heads == 10
        kept = {kind: sum(row["heads_kept"] for row in kept_rows(step) if row["kind"] == kind) for kind in HEADS}
        assert sum(kept.values()) == 10
        assert {kind: sum(map(sum, mask)) for kind, mask in kept_masks(step).items()} == kept
        assert [row["rank"] for row in score_rows(step)] == list(range(20))

    @pytest.mark.parametrize("kind", HEADS)
    def test_one_kind_alone(self, kind: str) -> None:
        model = translator("bart")
        *_, step = pruning_steps(model, [0.0, 0.5, 1.0], lambda pruned: random_scores(pruned, 3), kinds=[kind])
        left = {name: sum(shape.heads for shape in describe(step.model).of_kind(name)) for name in HEADS}
        assert left == {name: 0 if name == kind else ROWS[name] * HEADS[name] for name in HEADS}
        assert step.rows == [(kind, layer) for layer in range(ROWS[kind])]
        assert {row["heads"] for row in kept_rows(step)} == {HEADS[kind]}

    def test_step_by_step(self) -> None:
        """Scores of what is left find their places among heads of different numbers and kinds."""
        model = translator("marian")
        widths = []

        def estimate(pruned: Any) -> dict[str, torch.Tensor]:
            widths.append(describe(pruned).heads)
            return random_scores(pruned, len(widths))

        steps = list(pruning_steps(model, [0.0, 0.25, 0.5, 0.75], estimate, stepwise=True))
        assert widths == [20, 15, 10] and [int(step.keep.sum()) for step in steps] == [20, 15, 10, 5]
        for before, after in pairwise(steps):
            assert not (after.keep & ~before.keep).any()
            assert describe(after.model).heads == after.keep.sum()

    def test_unknown_kinds_are_named(self) -> None:
        layout = describe(translator("marian"))
        with pytest.raises(UserError, match="'self' is unknown, heads of a marian are enc-enc, enc-dec, dec-dec"):
            kinds_of(layout, ["self"])
        with pytest.raises(UserError, match="kinds: 'none' is unknown"):
            kinds_of(layout, [])
        assert kinds_of(layout, ["dec-dec", "enc-enc"]) == ("enc-enc", "dec-dec")


@pytest.mark.parametrize("family", TRANSLATORS)
def test_outputs_that_are_no_numbers(family: str) -> None:
    model, pairs = talkative(family), some_pairs()
    ablation = TranslationAblation(model, pairs, device=CPU, beams=2, batch_size=5)
    assert len(ablation.without("dec-dec", 0, "one_off")) == HEADS["dec-dec"]
    model.get_buffer("final_logits_bias")[0, 7] = torch.nan
    line = r"^row 0: the model's output is nan, as of 12 of 12 examples; check its weights"
    with pytest.raises(UserError, match=line):
        ablation.without("dec-dec", 0, "one_off")
    with pytest.raises(UserError, match=line):
        translate(model, pairs, device=CPU, beams=2)
