"""Distillation losses against their definitions, and matches by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import prunekit
from prunekit.cofi.distillation import (
    LayerDistillation,
    alive_layers,
    output_loss,
    prediction_loss,
    teacher_layers,
)
from prunekit.support.errors import UserError
from tests.support.families import tiny

LAYERS, HIDDEN = 6, 5


def states(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 3, HIDDEN, generator=generator, dtype=torch.float64) for _ in range(LAYERS)]


def distillation(matching: str) -> LayerDistillation:
    return LayerDistillation(HIDDEN, LAYERS, matching).double()


@pytest.mark.parametrize("direction", ["distillation", "printed"])
def test_prediction_loss_by_its_definition(direction: str) -> None:
    student = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.3, 3.0]])
    teacher = torch.tensor([[0.0, 1.0, 2.0], [2.0, 0.0, 1.0]])
    p, q = (teacher / 2).softmax(-1), (student / 2).softmax(-1)
    first, second = (p, q) if direction == "distillation" else (q, p)
    by_hand = 4 * (first * (first.log() - second.log())).sum() / 2
    torch.testing.assert_close(prediction_loss(student, teacher, direction=direction), by_hand)
    assert float(prediction_loss(teacher, teacher, direction=direction)) == pytest.approx(0, abs=1e-6)


def test_the_default_direction_is_the_usual_one() -> None:
    """A confident teacher punishes a student that misses its label more than the reverse."""
    confident, flat = torch.tensor([[8.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    assert float(prediction_loss(flat, confident)) != pytest.approx(float(prediction_loss(confident, flat)), rel=0.1)
    torch.testing.assert_close(prediction_loss(flat, confident), prediction_loss(confident, flat, direction="printed"))


def test_outputs_of_other_tasks() -> None:
    one, other = torch.randn(3, 1), torch.randn(3, 1)
    squared = output_loss(SimpleNamespace(logits=one), SimpleNamespace(logits=other), torch.ones(3, 4).bool())
    torch.testing.assert_close(squared, (one - other).square().mean())
    starts, ends = [torch.randn(2, 4) for _ in range(2)], [torch.randn(2, 4) for _ in range(2)]
    mask = torch.tensor([[True, True, True, False], [True] * 4])
    student, teacher = (SimpleNamespace(start_logits=s, end_logits=e) for s, e in zip(starts, ends, strict=True))
    found = output_loss(student, teacher, mask)
    rows = [
        prediction_loss(own[row : row + 1, :length], wanted[row : row + 1, :length])
        for own, wanted in (starts, ends) for row, length in ((0, 3), (1, 4))
    ]  # fmt: skip
    torch.testing.assert_close(found, torch.stack(rows).mean())


def test_teacher_layers_of_any_depth() -> None:
    assert teacher_layers(12) == [2, 5, 8, 11]
    assert teacher_layers(6) == [1, 2, 4, 5]
    assert teacher_layers(4) == [0, 1, 2, 3]
    assert teacher_layers(2) == [0, 1]
    assert teacher_layers(1) == [0]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("matching", ["paper", "any", "ordered"])
def test_matches_are_those_of_plain_loops(matching: str, seed: int) -> None:
    student, teacher, module = states(seed), states(seed + 10), distillation(matching)
    module.transform.weight.data += 0.3 * torch.randn(HIDDEN, HIDDEN, dtype=torch.float64)
    alive = torch.tensor([True, False, True, True, False, True])
    if matching == "any":
        alive[:] = True
    found = module(student, teacher, alive)
    pairs: dict[int, int | None] = {}
    loss, below = torch.zeros((), dtype=torch.float64), LAYERS
    for layer in (5, 4, 2, 1):
        distances = {
            at: ((student[at] @ module.transform.weight.T - teacher[layer]) ** 2).mean().detach()
            for at in range(LAYERS) if alive[at] and at < below
        }  # fmt: skip
        nearest = min(distances, key=lambda at: float(distances[at])) if distances else None
        pairs[layer] = nearest
        if nearest is not None:
            loss = loss + distances[nearest]
            below = nearest if matching == "ordered" else below
    assert found.pairs == pairs
    torch.testing.assert_close(found.loss, loss)


def test_an_ordered_match_runs_out_of_layers() -> None:
    student = states(0)
    teacher = [student[0]] * LAYERS  # the lowest living layer is the nearest to all of them
    found = distillation("ordered")(student, teacher, torch.tensor([True] + [False] * 5))
    assert found.pairs == {1: None, 2: None, 4: None, 5: 0}
    assert found.loss.item() == 0


def test_fixed_none_and_nothing_alive() -> None:
    student, teacher = states(1), states(2)
    dead = torch.zeros(LAYERS, dtype=torch.bool)
    fixed = distillation("fixed")(student, teacher, dead)
    assert fixed.pairs == {1: 1, 2: 2, 4: 4, 5: 5}
    torch.testing.assert_close(fixed.loss, sum(((student[at] - teacher[at]) ** 2).mean() for at in (1, 2, 4, 5)))
    assert distillation("none")(student, teacher, ~dead).pairs == {}
    nothing = distillation("paper")(student, teacher, dead)
    assert nothing.loss.item() == 0 and set(nothing.pairs.values()) == {None}


def test_padding_does_not_count_unless_asked_for() -> None:
    student, teacher, module = states(3), states(4), distillation("fixed")
    mask = torch.tensor([[True, True, True], [True, False, False]])
    alive = torch.ones(LAYERS, dtype=torch.bool)
    before = module(student, teacher, alive, mask).loss
    changed = [states + 100 * (~mask[..., None]) for states in student]
    torch.testing.assert_close(module(changed, teacher, alive, mask).loss, before)
    assert module(changed, teacher, alive).loss.item() > 100 * before.item()


def test_gradients_reach_the_chosen_layers_and_the_transform_only() -> None:
    student = [layer.requires_grad_() for layer in states(5)]
    module = distillation("paper")
    found = module(student, states(6), torch.ones(LAYERS, dtype=torch.bool))
    found.loss.backward()
    chosen = set(found.pairs.values())
    assert [layer.grad is not None for layer in student] == [at in chosen for at in range(LAYERS)]
    assert module.transform.weight.grad is not None


def test_the_transform_follows_a_student_that_lost_dimensions() -> None:
    module = distillation("fixed")
    module.transform.weight.data = torch.randn(HIDDEN, HIDDEN, dtype=torch.float64)
    hidden = torch.tensor([1.0, 0.0, 0.7, 1.0, 0.0])
    alive, teacher = torch.ones(LAYERS, dtype=torch.bool), states(8)
    gated = [layer * (hidden != 0) for layer in states(7)]
    expected = module(gated, teacher, alive).loss
    on = hidden.nonzero().flatten()
    torch.testing.assert_close(module([layer[..., on] for layer in gated], teacher, alive, hidden=on).loss, expected)
    module.keep(hidden)
    torch.testing.assert_close(module([layer[..., hidden != 0] for layer in gated], teacher, alive).loss, expected)


def test_who_is_alive() -> None:
    masks = prunekit.Masks.ones(prunekit.describe(tiny("bert")))
    masks.layers["ffn"][0] = False
    masks.neurons[1] = False
    masks.layers["self"][1] = False
    assert alive_layers(masks, "paper").tolist() == [False, False, True]
    assert alive_layers(masks, "ordered").tolist() == [True, False, True]
    assert alive_layers(masks, "any").tolist() == [True, True, True]


def test_unknown_names() -> None:
    with pytest.raises(UserError, match="matching=v4: not known, there are paper, ordered, any, fixed, none"):
        LayerDistillation(4, 4, "v4")
    with pytest.raises(UserError, match="pred_direction=kl: not known"):
        prediction_loss(torch.zeros(1, 2), torch.zeros(1, 2), direction="kl")
