"""Shapes of the baselines: as many parameters as the sparsity leaves, and the units that their rules ask for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import prunekit
from prunekit.cofi.sparsity import PrunableSize
from prunekit.cofi.structures import drawn, scored, small_dense, whole_layers
from prunekit.data.batches import Examples, evaluation_batches
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.blocks import blocks, describe
from prunekit.models.checkpoints import build
from prunekit.models.masks import Masks
from prunekit.stages.score.gradients import diagonal, mask_gradients
from prunekit.stages.score.unit_scores import unit_scores
from prunekit.stages.search.mac_search import most_important
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, tiny
from tests.support.trainings import SHAPE, TASK


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer()).take(range(60))


@pytest.mark.parametrize("name", ["fisher", "magnitude"])
@pytest.mark.parametrize("sparsity", [0.3, 0.6, 0.9])
def test_the_best_units_within_the_parameters(name: str, sparsity: float, examples: Examples) -> None:
    model = build("bert", SHAPE, 3)
    size, masks = PrunableSize.of(model), scored(model, name, sparsity, examples)
    left = size.remaining(masks).item() / size.total
    head = 4 * 4 * 16 / size.total
    assert 1 - sparsity - head < left <= 1 - sparsity
    gradients = mask_gradients(model, evaluation_batches(examples, 32)) if name == "fisher" else None
    scores = unit_scores("magnitude", model) if gradients is None else diagonal(gradients)
    value = float((scores.heads * masks.heads["self"]).sum() + (scores.neurons * masks.neurons).sum())
    best = best_value(scores, int((1 - sparsity) * size.total))
    if name == "magnitude":
        assert value == pytest.approx(best)
    else:  # rearranged after the search: the same numbers of units
        assert masks.heads_kept * 256 + masks.neurons_kept * 32 <= (1 - sparsity) * size.total
        assert gradients is not None
        searched = most_important(scores, model, 256, 32, int((1 - sparsity) * size.total))
        assert searched is not None
        assert expected_rise(gradients, masks) < expected_rise(gradients, searched)


def expected_rise(gradients: UnitTensors, masks: Masks) -> float:
    """(1 - m)ᵀ I (1 - m) with all of the Fisher information of a layer's heads, and of its neurons."""
    gone = ((gradients.heads, ~masks.heads["self"]), (gradients.neurons, ~masks.neurons))
    return sum(float((rows.double() * off).sum(-1).square().sum()) for rows, off in gone)


def best_value(scores: Any, budget: int) -> float:
    """By trying every number of heads (256 parameters each) and of neurons (32)."""
    heads = scores.heads.flatten().sort(descending=True).values
    neurons = scores.neurons.flatten().sort(descending=True).values
    return max(
        float(heads[:count].sum() + neurons[: (budget - 256 * count) // 32].sum())
        for count in range(len(heads) + 1) if 256 * count <= budget
    )  # fmt: skip


@pytest.mark.parametrize("name", ["magnitude", "fisher"])
def test_no_room_for_a_unit(name: str, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before gradients are taken."""
    monkeypatch.setattr("prunekit.cofi.structures.mask_gradients", None)
    with pytest.raises(UserError, match=r"sparsity: 0.999 leaves no room"):
        scored(build("bert", SHAPE, 3), name, 0.999, examples)


@pytest.mark.parametrize(
    ("sparsity", "kept"),
    [(0.5, [0, 2, 4, 7, 9, 11]), (0.75, [0, 6, 11]), (0.9, [0]), (0.99, [0]), (0.1, [*range(5), *range(6, 12)])],
)
def test_whole_layers_are_those_of_distilbert(sparsity: float, kept: list[int]) -> None:
    model = build("bert", {**SHAPE, "num_hidden_layers": 12}, 3)
    masks = whole_layers(model, sparsity)
    for kind in ("self", "ffn"):
        assert masks.layers[kind].nonzero().flatten().tolist() == kept
    layout = describe(prunekit.prune(model, masks))
    assert [shape.layer for shape in layout.attention if not shape.removed] == kept
    assert [shape.layer for shape in layout.ffn if not shape.removed] == kept


def test_units_are_drawn_in_a_shape() -> None:
    model = build("bert", SHAPE, 3)
    shape = {"heads": [1, 0], "neurons": [0, 7], "hidden": [11], "self layers": [1, 0], "ffn layers": [1, 1]}
    one, again, other = (drawn(model, shape, seed) for seed in (0, 0, 1))
    layout = describe(prunekit.prune(model, one))
    assert [shape.heads for shape in layout.attention] == [1, 0]
    assert [shape.removed for shape in layout.attention] == [False, True]
    assert [shape.neurons for shape in layout.ffn] == [0, 7]
    assert [shape.removed for shape in layout.ffn] == [False, False]
    assert layout.hidden == 11
    assert torch.equal(one.neurons, again.neurons) and not torch.equal(one.neurons, other.neurons)
    assert one.hidden is not None and other.hidden is not None and not torch.equal(one.hidden, other.hidden)


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.95])
def test_a_small_dense_model_has_the_parameters(sparsity: float) -> None:
    """In MiniLM's shape."""
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    teacher = build("bert", {**SHAPE, **sizes}, 3)
    small = small_dense(teacher, sparsity, seed=0)
    layout = describe(small)
    assert layout.calls == 2 and layout.hidden % 32 == 0 and layout.attention[0].head_size == 32
    assert 1 - PrunableSize.of(small).total / PrunableSize.of(teacher).total == pytest.approx(sparsity, abs=2e-4)
    assert small.config.num_labels == 3


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_small_dense_model_of_every_family(family: str) -> None:
    teacher = tiny(family)
    small, again = (small_dense(teacher, 0.8, seed=3) for _ in range(2))
    assert type(small) is type(teacher)
    assert len(blocks(small)) < len(blocks(teacher)) or family == "albert"
    assert small.config.vocab_size == teacher.config.vocab_size
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), again.parameters(), strict=True))


def test_too_little_for_a_dense_model() -> None:
    with pytest.raises(UserError, match="less than one head and one neuron"):
        small_dense(build("bert", SHAPE, 3), 0.99, seed=0)
