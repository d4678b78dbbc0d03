"""Classifiers of tokens: gradients, importance, ablation and pruning against plain loops."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForTokenClassification, PreTrainedModel

import prunekit
from prunekit.cofi.distillation import output_loss
from prunekit.data.kinds import kind_of_batch, mean_loss
from prunekit.forward.ablation import ablate_heads
from prunekit.forward.checked_batches import checked_batches
from prunekit.methods.common.registry import names
from prunekit.models.masks import Masks
from prunekit.stages.score.gradients import diagonal, mask_gradients
from prunekit.stages.score.knowledge import divergences, with_whole_outputs
from prunekit.support.errors import UserError
from tests.support.families import HEADS, LABELS, batch_for, logits, one_by_one, tiny
from tests.support.masks import uneven_masks

FAMILIES = ["bert", "distilbert", "mpnet", "albert"]
NONE = -100


def tagger(family: str) -> PreTrainedModel:
    return tiny(family, head=AutoModelForTokenClassification)


def tagged(model: PreTrainedModel, rows: int = 3, length: int = 7, seed: int = 0) -> dict[str, Tensor]:
    """A batch in which some tokens begin a word: never the first."""
    batch = batch_for(model, rows=rows, length=length, seed=seed)
    generator = torch.Generator().manual_seed(seed + 5)
    labels = torch.randint(LABELS, (rows, length), generator=generator)
    begins = (torch.rand(rows, length, generator=generator) < 0.7) & batch["attention_mask"].bool()
    begins[:, 0], begins[:, 1] = False, True
    return batch | {"labels": labels.where(begins, NONE)}


def sentence_loss(model: PreTrainedModel, row: dict[str, Tensor]) -> Tensor:
    """-log p of the tags of one sentence, word by word."""
    [scores] = model(**{name: value for name, value in row.items() if name != "labels"}).logits
    [labels] = row["labels"]
    return -torch.stack([scores[t].log_softmax(-1)[tag] for t, tag in enumerate(labels.tolist()) if tag != NONE]).sum()


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_of_the_sum_over_the_words_of_each_sentence(family: str) -> None:
    model = tagger(family)
    batches = [tagged(model), tagged(model, rows=2, length=9, seed=1)]
    found = mask_gradients(model, batches)
    heads, neurons = [], []
    for row in one_by_one(batches):
        ones = Masks.ones(prunekit.describe(model), torch.float64)
        gates = [gate.clone().requires_grad_() for gate in (ones.heads["self"], ones.neurons)]
        with prunekit.gated(model, Masks({"self": gates[0]}, gates[1], ones.layers)):
            own = torch.autograd.grad(sentence_loss(model, row), gates)
        heads.append(own[0])
        neurons.append(own[1])
    torch.testing.assert_close(found.heads, torch.stack(heads), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found.neurons, torch.stack(neurons), rtol=1e-9, atol=1e-12)
    expected = torch.stack([own.square() for own in neurons]).mean(0)  # squared sums, not sums of squares
    torch.testing.assert_close(diagonal(found).neurons, expected, rtol=1e-9, atol=1e-12)


def test_gradients_of_the_own_answers() -> None:
    model = tagger("bert")
    batch = tagged(model)
    with torch.no_grad():
        own = model(**{name: value for name, value in batch.items() if name != "labels"}).logits.argmax(-1)
    answered = batch | {"labels": own.where(batch["labels"] != NONE, NONE)}
    assert not torch.equal(answered["labels"], batch["labels"])
    found, expected = mask_gradients(model, [batch], labels="predicted"), mask_gradients(model, [answered])
    torch.testing.assert_close(found.heads, expected.heads, rtol=0, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_importance_is_that_of_a_loop_over_sentences(family: str, variant: str) -> None:
    model = tagger(family)
    batches = [tagged(model), tagged(model, rows=1, length=9, seed=1)]
    found = prunekit.head_importance(model, batches, normalise=False, variant=variant)["self"]
    ones = Masks.ones(prunekit.describe(model), torch.float64)
    total, gates_asked = torch.zeros_like(ones.heads["self"]), 0
    rows = one_by_one(batches)
    for row in rows:
        tokens = row["input_ids"].shape[1]
        by_token = ones.heads["self"].expand(1, tokens, -1, -1).clone().requires_grad_()
        with prunekit.gated(model, Masks({"self": by_token}, ones.neurons, ones.layers)):
            [gradient] = torch.autograd.grad(sentence_loss(model, row), by_token)
        own = gradient[0] if variant == "released" else gradient[0].sum(0, keepdim=True)
        total += own.abs().sum(0)
        gates_asked += tokens
    expected = total / (gates_asked if variant == "released" else len(rows))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_off_are_those_of_the_gated_model(family: str) -> None:
    model = tagger(family)
    batches = [tagged(model), tagged(model, rows=2, length=9, seed=1)]
    result = ablate_heads(model, batches, max_tokens=20)
    rows = one_by_one(batches)
    assert result.logits["one_off"].shape[-3:] == result.baseline.shape == (5, 9, LABELS)
    for layer in range(len(prunekit.describe(model).attention)):
        for mode, head in (("one_off", 1), ("all_but_one", HEADS - 1)):
            masks = Masks.ones(prunekit.describe(model))
            masks.heads["self"][layer] = mode == "one_off"
            masks.heads["self"][layer, head] = mode == "all_but_one"
            with prunekit.gated(model, masks):
                expected = [logits(model, {n: v for n, v in row.items() if n != "labels"})[0] for row in rows]
            for given, own in zip(result.logits[mode][layer, head], expected, strict=True):
                torch.testing.assert_close(given[: len(own)], own, atol=1e-10, rtol=0)
                assert not given[len(own) :].any()


@pytest.mark.parametrize("family", ["bert", "electra", "distilbert", "mpnet"])
def test_gated_is_removed_is_reloaded_with_hidden_dimensions(family: str, tmp_path: Path) -> None:
    model = tagger(family)
    masks, batch = uneven_masks(model), tagged(model)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    assert masks.hidden is not None and not masks.hidden.all()
    with prunekit.gated(model, masks):
        expected = logits(model, inputs)
    small = prunekit.prune(model, masks)
    assert small.get_parameter("classifier.weight").shape[1] == int(masks.hidden.sum())
    torch.testing.assert_close(logits(small, inputs), expected, atol=1e-10, rtol=0)
    prunekit.save(small, tmp_path / "small")
    again = prunekit.load(tmp_path / "small", dtype=torch.float64)
    torch.testing.assert_close(logits(again, inputs), expected, atol=1e-10, rtol=0)
    assert prunekit.cost(small, 8).parameters == sum(p.numel() for p in small.parameters())
    gradients = mask_gradients(small, [batch])  # a pruned tagger can be pruned again
    assert gradients.heads.isfinite().all() and gradients.heads.any()


@pytest.mark.parametrize("method", names())
def test_every_method_prunes_a_tagger(method: str) -> None:
    model = tagger("bert").float()
    batches = [tagged(model, rows=4), tagged(model, rows=4, seed=1)]
    small = prunekit.compress(model, batches, method=method, constraint=0.5, length=7)
    assert prunekit.cost(small, 7).macs <= prunekit.cost(model, 7).macs / 2
    inputs = {name: value for name, value in batches[0].items() if name != "labels"}
    assert logits(small, inputs).shape == (4, 7, LABELS) and logits(small, inputs).isfinite().all()


def test_students_learn_from_words_alone() -> None:
    """Of the teacher the mean over tokens with a tag, whatever is said of other tokens; of labels likewise."""
    student, teacher, batch = tagger("bert"), tagger("distilbert"), tagged(tagger("bert"))
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    own, other = (model(**inputs) for model in (student, teacher))
    words = batch["labels"] != NONE
    divergence = [
        (q.div(2).softmax(-1) * (q.div(2).log_softmax(-1) - p.div(2).log_softmax(-1))).sum() * 4
        for p, q in zip(own.logits.float()[words], other.logits.float()[words], strict=True)
    ]
    torch.testing.assert_close(output_loss(own, other, words), torch.stack(divergence).mean())
    entropies = [-p.log_softmax(-1)[tag] for p, tag in zip(own.logits[words], batch["labels"][words], strict=True)]
    torch.testing.assert_close(mean_loss(own, batch), torch.stack(entropies).mean())
    with_whole = next(with_whole_outputs(teacher, [batch]))
    per_row = divergences(own, with_whole, 2.0)
    assert per_row.shape == (3,)
    torch.testing.assert_close(per_row.sum().float(), torch.stack(divergence).sum())


def test_the_kind_of_labels_by_token_is_that_of_the_model() -> None:
    batch = tagged(tagger("bert"))
    assert kind_of_batch(batch, tagger("bert")).name == "tags"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels, mask: labels[:, 0], r"batch 0 \(from 0\): labels are int64 \(3,\), they should be a class of"),
        (lambda labels, mask: labels.clamp(min=LABELS), "labels should be classes, 0 to 2, or -100 for a token"),
        (lambda labels, mask: labels * 0 - 100, "labels leave all rows without a tag, all of them are -100"),
        (lambda labels, mask: labels.where(mask, 0), "labels tag padding, they should be -100 there"),
    ],
)
def test_labels_that_a_tagger_cannot_have(change: object, message: str) -> None:
    model = tagger("bert")
    batch = tagged(model)
    batch["attention_mask"][1, 5:] = 0
    batch["labels"][1, 5:] = NONE
    labels = change(batch["labels"], batch["attention_mask"].bool())  # type: ignore[operator]
    with pytest.raises(UserError, match=message):
        list(checked_batches(model, [batch | {"labels": labels}]))
