"""Expected sparsity against Monte Carlo and counting; the constraint pushes where it should."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from transformers import PreTrainedModel

import prunekit
from prunekit.cofi.learned_gates import Gates
from prunekit.cofi.sparsity import Constraint, PrunableSize, check_reachable, fitted, missed_by, reachable
from prunekit.config.choices import UNITS
from prunekit.models.blocks import blocks
from prunekit.models.checkpoints import build
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, HEADS, HIDDEN, NEURONS, tiny
from tests.support.trainings import learned


def hard(masks: Masks) -> Masks:
    """1.0 where a gate is not 0."""
    assert masks.hidden is not None
    return Masks(
        {kind: (mask != 0).double() for kind, mask in masks.heads.items()},
        (masks.neurons != 0).double(),
        {kind: (mask != 0).double() for kind, mask in masks.layers.items()},
        (masks.hidden != 0).double(),
    )


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_expectation_is_the_mean_over_draws(variant: str) -> None:
    model = tiny("bert")
    gates, size = learned(model), PrunableSize.of(model, variant)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        draws = torch.stack([size.sparsity(hard(gates.sampled(generator))) for _ in range(4000)])
        expected = size.sparsity(gates.probabilities())
    assert abs(float(draws.mean() - expected)) < 5 * float(draws.std()) / 4000**0.5


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_counted_is_what_the_pruned_model_has(family: str) -> None:
    """Weights of the layers' matrices, no biases: the paper's size."""
    model = tiny(family)
    size, masks = PrunableSize.of(model), hard(learned(model).evaluated())
    small = prunekit.prune(model, masks)

    def weights(of: PreTrainedModel) -> int:
        names = ("q", "k", "v", "o", "ffn_in", "ffn_out")
        parts = [getattr(block, name) for block in blocks(of) for name in names]
        return sum(part.weight.numel() for part in parts if isinstance(part, torch.nn.Linear))

    assert weights(model) == size.total
    assert weights(small) == float(size.remaining(masks))


def test_bert_base_by_hand() -> None:
    shape = {"num_hidden_layers": 1, "vocab_size": 10}
    model = build("bert", shape, 2)
    paper, released = PrunableSize.of(model), PrunableSize.of(model, "released")
    assert 12 * paper.total == 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert 12 * released.total == 85_017_600
    assert released.per_head * 768 == 196_864
    whole = Masks.ones(prunekit.describe(model))
    assert [float(size.sparsity(whole)) for size in (paper, released)] == pytest.approx([0, 0], abs=1e-3)
    assert float(released.counted(whole)) == pytest.approx(1 - 84_934_656 / 85_017_600, abs=1e-6)  # 0.00098
    whole.heads["self"][0, 3:] = False
    left = 3 * 4 * 64 * 768 + 2 * 768 * 3072
    assert float(released.counted(whole)) == pytest.approx(1 - 12 * left / 85_017_600, abs=1e-6)
    assert float(paper.counted(whole)) == float(paper.sparsity(whole)) == pytest.approx(1 - 12 * left / 84_934_656)
    gates = Gates(model)
    gates.constrain()
    assert float(released.sparsity(gates.probabilities()).detach()) == pytest.approx(0.113, abs=0.005)


@pytest.mark.parametrize(
    ("units", "most"), [(("hidden",), 0.953), (("neurons",), 0.635), (("heads",), 0.318), (UNITS, 0.9999)]
)
def test_reachable_by_group(units: tuple[str, ...], most: float) -> None:
    """The released code's ranges for BERT-base (its FFN is two thirds)."""
    model = tiny("bert", hidden_size=32, intermediate_size=128)
    gates, size = Gates(model, units), PrunableSize.of(model)
    found = reachable(gates, size)
    assert found[1] == pytest.approx(most, abs=1e-3)
    assert 0 < found[0] < 0.01
    check_reachable(0.3, gates, size)
    if units != UNITS:
        with pytest.raises(UserError, match=rf"sparsity: 0.97 is out of reach for gates of {units[0]}; they reach 0.0"):
            check_reachable(0.97, gates, size)


def test_the_constraint_pushes_towards_the_target() -> None:
    model = tiny("bert")
    size = PrunableSize.of(model)
    for target, sign in ((0.9, -1), (0.05, 1)):  # too dense: keep less; too sparse: keep more
        gates, constraint = Gates(model), Constraint(target, warmup_steps=0)
        gates.constrain()
        for log_alpha in gates.log_alpha.values():
            log_alpha.data.zero_()
        sparsity = size.sparsity(gates.probabilities())
        ascent = torch.optim.SGD(constraint.parameters(), lr=1.0, maximize=True)
        constraint(sparsity.detach(), 0).backward()
        ascent.step()
        gradients = torch.autograd.grad(constraint(sparsity, 0), list(gates.log_alpha.values()))
        assert all((gradient * sign < 0).all() for gradient in gradients)


def test_gates_and_multipliers_find_the_target() -> None:
    model = tiny("bert")
    gates, size, constraint = Gates(model), PrunableSize.of(model), Constraint(0.6, warmup_steps=100)
    descent = torch.optim.AdamW(gates.parameters(), lr=0.05, weight_decay=0)
    ascent = torch.optim.AdamW(constraint.parameters(), lr=0.05, weight_decay=0, maximize=True)
    for step in range(600):
        constraint(size.sparsity(gates.probabilities()), step).backward()
        for optimizer in (descent, ascent):
            optimizer.step()
            optimizer.zero_grad()
        gates.constrain()
    assert float(size.sparsity(gates.probabilities()).detach()) == pytest.approx(0.6, abs=0.02)


def test_the_target_rises_linearly() -> None:
    constraint = Constraint(0.8, warmup_steps=40)
    targets = [constraint.target_at(step) for step in (0, 10, 20, 40, 100)]
    assert targets == pytest.approx([0, 0.2, 0.4, 0.8, 0.8])
    assert all(a <= b for a, b in pairwise(targets))
    assert Constraint(0.8, 0).target_at(0) == 0.8


def test_bad_input() -> None:
    for target in (0.0, 1.0, 1.5):
        with pytest.raises(UserError, match=rf"sparsity: {target} is outside"):
            Constraint(target, 10)
    with pytest.raises(UserError, match="variant=press: not known, there are paper, released"):
        PrunableSize.of(tiny("bert"), "press")
    assert PrunableSize.of(tiny("bert")).total == 3 * (4 * HIDDEN**2 + 2 * HIDDEN * NEURONS) and HEADS == 4


@pytest.mark.parametrize("target", [0.3, 0.6, 0.8])
def test_zeros_are_fitted_to_the_target(target: float) -> None:
    """Sublayers stay as decided, the order of the others is that of log alpha, and the count is as near as it gets."""
    shape = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 8, "intermediate_size": 128}
    model = build("bert", shape, 3)
    gates, size = Gates(model), PrunableSize.of(model)
    generator = torch.Generator().manual_seed(1)
    for name, log_alpha in gates.log_alpha.items():
        centre = 3.0 if name in ("attention", "ffn") else 1.0
        log_alpha.data = centre + 1.5 * torch.randn(log_alpha.shape, generator=generator)
    gates.constrain()
    plain, found = gates.evaluated(), fitted(gates, size, target)
    assert float(size.sparsity(found.kept())) == pytest.approx(target, abs=0.01)
    for kind, layers in plain.layers.items():
        assert torch.equal(layers, found.layers[kind])
    for row, log_alpha in zip(found.neurons, gates.log_alpha["neurons"], strict=True):
        assert log_alpha[row == 0].max() < log_alpha[row != 0].min()
    both = (plain.neurons != 0) & (found.neurons != 0)
    assert torch.equal(plain.neurons[both], found.neurons[both])


def test_what_sublayers_decide_cannot_be_fitted() -> None:
    model = tiny("bert")
    gates, size = Gates(model), PrunableSize.of(model)
    gates.log_alpha["ffn"].data[:] = -4.0
    found = fitted(gates, size, 0.1)
    attention, ffn = 4 * HIDDEN**2, 2 * HIDDEN * NEURONS
    assert float(size.sparsity(found.kept())) == pytest.approx(ffn / (attention + ffn))


def test_the_target_rises_from_its_start() -> None:
    constraint = Constraint(0.9, 10, start=0.1)
    assert [constraint.target_at(step) for step in (0, 5, 10, 99)] == pytest.approx([0.1, 0.5, 0.9, 0.9])
    assert Constraint(0.9, 0, start=0.1).target_at(0) == 0.9


def test_a_target_is_missed_on_either_side() -> None:
    assert [missed_by(counted, 0.5) for counted in (0.4901, 0.5, 0.5099)] == ["", "", ""]
    assert [bool(missed_by(counted, 0.5)) for counted in (0.4899, 0.5101, 0.833)] == [True] * 3
