"""Normal equations from sums, and their solutions, against the written-out problem."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import lsmr
from torch import Tensor

from prunekit.stages.refit.least_squares import NormalEquations, solve

DIMENSION, TOKENS = 5, 40


def problem(units: int, size: int, ones: bool) -> tuple[NormalEquations, np.ndarray, np.ndarray, Tensor]:
    """Equations of a random problem, summed in three parts, with A, r and the target."""
    generator = torch.Generator().manual_seed(units)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    weight, features = random(DIMENSION, units * size), random(TOKENS, units * size)
    residual, target = random(TOKENS, DIMENSION), random(TOKENS, DIMENSION)
    equations = NormalEquations(weight, units, ones)
    for part in torch.arange(TOKENS).split(17):
        equations.add(features[part], residual[part], target[part])
    columns = [
        (features[:, at : at + size] @ weight[:, at : at + size].T).flatten() for at in range(0, units * size, size)
    ]
    columns += [torch.ones(TOKENS * DIMENSION, dtype=torch.float64)] * ones
    return equations, torch.stack(columns, 1).numpy(), residual.flatten().numpy(), target


@pytest.mark.parametrize(("units", "size"), [(3, 4), (7, 1), (1, 2), (300, 1)])
@pytest.mark.parametrize("ones", [False, True])
def test_sums_are_those_of_the_written_out_matrix(units: int, size: int, ones: bool) -> None:
    equations, matrix, residual, target = problem(units, size, ones)
    np.testing.assert_allclose(equations.matrix().numpy(), matrix.T @ matrix, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(equations.moment().numpy(), matrix.T @ residual, rtol=1e-12, atol=1e-12)
    size_of_target = np.linalg.norm(target.numpy())
    assert equations.error() == pytest.approx(np.linalg.norm(residual) / size_of_target)
    change = torch.linspace(-0.1, 0.2, units, dtype=torch.float64)
    left = residual - matrix[:, :units] @ change.numpy()
    assert equations.error(change) == pytest.approx(np.linalg.norm(left) / size_of_target)


def test_the_paper_s_damping_is_that_of_an_iterative_solver_on_the_matrix() -> None:
    equations, matrix, residual, _ = problem(6, 1, ones=False)
    expected = lsmr(matrix, residual, damp=1, atol=0, btol=0, conlim=0, maxiter=1000)[0]
    np.testing.assert_allclose(solve(equations, "paper").numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("ones", [False, True])
def test_the_released_damping_is_that_of_an_iterative_solver_on_the_squared_matrix(ones: bool) -> None:
    equations, matrix, residual, _ = problem(6, 2, ones)
    residual = residual - ones
    expected = lsmr(matrix.T @ matrix, matrix.T @ residual, damp=1, atol=0, btol=0, conlim=0, maxiter=1000)[0]
    np.testing.assert_allclose(solve(equations, "released").numpy(), expected[:6], rtol=1e-7)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_units_without_output_and_twins(variant: str) -> None:
    """Singular problems: a silent unit stays as it is, two equal units share their work."""
    features = torch.randn(TOKENS, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features[:, 0] = 0
    features[:, 2] = features[:, 1]
    weight = torch.ones(DIMENSION, 4, dtype=torch.float64)
    equations = NormalEquations(weight, 4)
    equations.add(features, features @ weight.T, features @ weight.T)
    change = solve(equations, variant)
    assert change[0] == 0
    assert change[1] == pytest.approx(change[2].item())
    assert change[1:].tolist() == pytest.approx([1, 1, 1], abs=0.02)


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_no_finite_solution(variant: str, bad: float) -> None:
    equations = NormalEquations(torch.ones(2, 3, dtype=torch.float64), 3)
    features = torch.ones(4, 3, dtype=torch.float64)
    features[1, 1] = bad
    equations.add(features, torch.ones(4, 2, dtype=torch.float64), torch.ones(4, 2, dtype=torch.float64))
    assert not solve(equations, variant).isfinite().all()


def test_a_sublayer_without_units_still_has_an_error() -> None:
    equations = NormalEquations(torch.ones(2, 0), 0)
    equations.add(torch.ones(4, 0), torch.full((4, 2), 0.5), torch.ones(4, 2))
    assert equations.error() == 0.5
