"""The least-squares problem of one sublayer, from sums over tokens that do not grow with their number.

A sublayer's output is bias + Σ_u m_u W_u f_u: features f_u of a unit (a head's context, a neuron's activation), its
columns W_u of the output projection, its scale m_u. With r what is missing to a target at m = 1, and the units'
outputs W_u f_u over all tokens as the columns of A, the scales are 1 + δ for a δ that makes ‖r - A δ‖² small. AᵀA is
(WᵀW) ∘ (Σ f fᵀ), summed over the features of a unit: one product of the features with themselves a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 256
"""Columns of a matrix product; a smaller block computes less twice, a larger one runs closer to the peak."""
DAMPING = 0.01
"""Of whole projections, relative to the mean of the diagonal of what is solved."""


class NormalEquations:
    """AᵀA and Aᵀr of one sublayer, summed in float64 over batches."""

    def __init__(self, weight: Tensor, units: int, ones: bool = False, whole: bool = False) -> None:
        """
        Args:
            weight: of the output projection, (d, feature); every unit has as many features as the others.
            units: heads or neurons; 0 is allowed.
            ones: give A a last column of ones, which counts as a unit whose scale is 0 in r.
            whole: sum up what :meth:`weights` needs, too.
        """
        weight = weight.detach()
        self.units, self.size, self.ones = units, weight.shape[1] // max(units, 1), ones
        self.weight = torch.cat([weight, weight.new_ones(len(weight), 1)], 1) if ones else weight
        unit = torch.arange(units, device=weight.device).repeat_interleave(self.size)
        self._unit = torch.cat([unit, unit.new_tensor([units])]) if ones else unit
        features = len(self._unit)
        self._products = weight.new_zeros(features, features, dtype=torch.float64)
        self._moments = weight.new_zeros(features, dtype=torch.float64)
        self._residual = weight.new_zeros((), dtype=torch.float64)
        self._target = weight.new_zeros((), dtype=torch.float64)
        self._missing = weight.new_zeros(features, len(weight), dtype=torch.float64) if whole else None

    def add(self, features: Tensor, residual: Tensor, target: Tensor) -> None:
        """Count some tokens in: features (token, feature), r and the target (token, d)."""
        if self.ones:
            features = torch.cat([features, features.new_ones(len(features), 1)], 1)
        for at in range(0, features.shape[1], BLOCK):  # products below the diagonal mirror those above
            self._products[at : at + BLOCK, at:] += features[:, at : at + BLOCK].T @ features[:, at:]
        self._moments += (features * (residual @ self.weight)).sum(0)
        if self._missing is not None:
            self._missing += features.T @ residual
        self._residual += residual.square().sum(dtype=torch.float64)
        self._target += target.square().sum(dtype=torch.float64)

    def matrix(self) -> Tensor:
        """AᵀA, (unit, unit)."""
        weight = self.weight.double()
        products = self._products.triu() + self._products.triu(1).T
        return self._by_unit(self._by_unit((weight.T @ weight) * products).T)

    def moment(self) -> Tensor:
        """Aᵀr, (unit,)."""
        return self._by_unit(self._moments)

    def error(self, change: Tensor | None = None) -> float:
        """‖r - A δ‖ / ‖target‖ for a change δ of the units' scales, (unit,) without the column of ones."""
        squared = self._residual
        if change is not None:
            matrix, moment = self.matrix()[: self.units, : self.units], self.moment()[: self.units]
            squared = (squared - 2 * change @ moment + change @ matrix @ change).clamp_min(0)
        return float((squared / self._target).sqrt())

    def weights(self) -> tuple[Tensor, float]:
        """The change Δ of the whole projection, (d, feature), that makes ‖r - f Δᵀ‖² + λ ‖Δ‖² least, with f the
        features and λ :data:`DAMPING` times the mean of the diagonal of Σ f fᵀ; and ‖r - f Δᵀ‖ / ‖target‖ with it. NaN
        where there is no finite solution."""
        assert self._missing is not None
        products = self._products.triu() + self._products.triu(1).T
        change = damped_change(products, self._missing)
        if change is None:
            return torch.full_like(self._missing, torch.nan).T, torch.nan
        squared = self._residual - 2 * (change * self._missing).sum() + (change * (products @ change)).sum()
        return change.T, float((squared.clamp_min(0) / self._target).sqrt())

    def _by_unit(self, by_feature: Tensor) -> Tensor:
        sums = by_feature.new_zeros(self.units + self.ones, *by_feature.shape[1:])
        return sums.index_add_(0, self._unit, by_feature)


def damped_change(products: Tensor, moments: Tensor, damping: float = DAMPING) -> Tensor | None:
    """The Δ, (feature, d), that makes ‖r - f Δ‖² + λ ‖Δ‖² least; None where there is no finite one.

    Args:
        products: Σ f fᵀ, (feature, feature).
        moments: Σ f rᵀ, (feature, d).
        damping: λ as a share of the mean of the products' diagonal.
    """
    damped = products + damping * products.diagonal().mean() * torch.eye(len(products)).to(products)
    try:
        change = torch.cholesky_solve(moments, torch.linalg.cholesky(damped))
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return None
    return change if bool(change.isfinite().all()) else None


def solve(equations: NormalEquations, variant: str) -> Tensor:
    """The change δ of the units' scales, (unit,), exactly, in float64; NaN where there is no finite solution.

    ``paper``: the minimiser of ‖r - A δ‖² + ‖δ‖², that is, damping 1 on A: δ = (AᵀA + I)⁻¹ Aᵀr.
    ``released``: that of ‖Aᵀr - AᵀA δ‖² + ‖δ‖², to which the authors' iterative solver (LSMR on AᵀA with damping 1)
    converges: with AᵀA = V Λ Vᵀ, δ = V Λ (Λ² + 1)⁻¹ Vᵀ Aᵀr. The scale of a column of ones starts at 1, too.
    """
    matrix, moment = equations.matrix(), equations.moment()
    if equations.ones:
        moment = moment - matrix[:, -1]
    try:
        if variant == "paper":
            damped = matrix + torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
            change = torch.cholesky_solve(moment[:, None], torch.linalg.cholesky(damped))[:, 0]
        else:
            values, vectors = torch.linalg.eigh(matrix)
            values = values.clamp_min(0)  # AᵀA has no negative eigenvalues but by rounding
            change = vectors @ (values / (values.square() + 1) * (vectors.T @ moment))
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        change = torch.full_like(moment, torch.nan)
    return change[: equations.units]
