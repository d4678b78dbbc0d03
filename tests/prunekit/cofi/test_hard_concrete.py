"""Hard concrete gates against Monte Carlo, finite differences and counting."""

from __future__ import annotations

import math

import pytest
import torch

from prunekit.cofi.learned_gates import LARGEST, constrain, deterministic, probability_of_zero, sample

LOG_ALPHA = torch.tensor([-4.0, -1.5, 0.0, 0.7, 2.0, 4.0], dtype=torch.float64)


def test_probability_of_zero_is_the_frequency_of_zeros() -> None:
    draws = sample(LOG_ALPHA.expand(200_000, -1), torch.Generator().manual_seed(0))
    assert draws.min() >= 0 and draws.max() <= 1
    frequency = (draws == 0).double().mean(0)
    deviation = (probability_of_zero(LOG_ALPHA) * (1 - probability_of_zero(LOG_ALPHA)) / 200_000).sqrt()
    assert ((frequency - probability_of_zero(LOG_ALPHA)).abs() < 5 * deviation).all()


def test_published_ends_of_the_range() -> None:
    """METHODS of the released code: log α between ±ln 100 leaves a gate 0 with probability 0.0020 to 0.953."""
    ends = probability_of_zero(torch.tensor([-LARGEST, LARGEST]))
    assert ends.tolist() == pytest.approx([0.953, 0.0020], abs=5e-4)
    assert 1 - float(probability_of_zero(torch.tensor(0.0))) == pytest.approx(0.832, abs=5e-4)


def test_gradients_of_a_draw_are_those_of_finite_differences() -> None:
    log_alpha = LOG_ALPHA.clone().requires_grad_()
    drawn = sample(log_alpha, torch.Generator().manual_seed(3))
    (gradient,) = torch.autograd.grad(drawn.sum(), log_alpha)
    above, below = (sample(LOG_ALPHA + step, torch.Generator().manual_seed(3)) for step in (1e-6, -1e-6))
    torch.testing.assert_close(gradient, (above - below) / 2e-6, rtol=1e-5, atol=1e-8)
    assert (gradient[(drawn == 0) | (drawn == 1)] == 0).all()
    assert (gradient > 0).any()


def test_uniform_numbers_stay_a_millionth_from_their_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate of log α equal to minus the logit of the last uniform number is then drawn in the middle, at 0.5."""
    monkeypatch.setattr(torch, "rand", lambda shape, **how: torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64))
    last = math.log((1 - 1e-6) / 1e-6)
    log_alpha = torch.tensor([last, -last, 0.0], dtype=torch.float64)
    assert sample(log_alpha).tolist() == pytest.approx([0.5, 0.5, 0.5], abs=1e-9)


def test_probabilities_stay_a_millionth_from_0_and_1() -> None:
    ends = probability_of_zero(torch.tensor([-50.0, 50.0], dtype=torch.float64))
    assert ends.tolist() == pytest.approx([1 - 1e-6, 1e-6], rel=1e-9)


def test_deterministic_gates_have_the_expected_zeros() -> None:
    log_alpha = torch.tensor([[-4.0, 3.0, -4.0, 0.0], [4.0, 4.0, 4.0, 4.0], [-4.6, -4.6, -4.6, -4.6]])
    gates = deterministic(log_alpha)
    zeros = probability_of_zero(log_alpha).sum(-1).round()
    assert (gates == 0).sum(-1).tolist() == zeros.tolist() == [2, 0, 4]
    assert gates[0].tolist() == pytest.approx([0, 1 / (1 + math.exp(-3 * 1.2)), 0, 0.5])
    assert gates[1].tolist() == pytest.approx([1 / (1 + math.exp(-4 * 1.2))] * 4)


def test_of_equal_gates_the_first_are_zero() -> None:
    log_alpha = torch.full((4,), -0.7)
    assert float(probability_of_zero(log_alpha).sum().round()) == 1
    assert (deterministic(log_alpha) == 0).tolist() == [True, False, False, False]


def test_constrain() -> None:
    log_alpha = torch.nn.Parameter(torch.tensor([10.0, 0.5, -7.0]))
    constrain(log_alpha)
    assert log_alpha.tolist() == pytest.approx([4.60517, 0.5, -4.60517])
