"""A small sublayer with correlated inputs, and the least that its error can be without some of its features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def sublayer(features: int, outputs: int, tokens: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs (token, feature) and the weight (d, feature) of an output projection, float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    mixed = normal(features, features) / features**0.5 + torch.eye(features, dtype=torch.float64) / 2
    inputs = normal(tokens, features) @ mixed * torch.rand(features, generator=generator, dtype=torch.float64)
    return inputs, normal(outputs, features)


def best_weight(hessian: Tensor, weight: Tensor, kept: Sequence[int]) -> Tensor:
    """The weights (d, feature) that minimise tr((W' - W) H (W' - W)ᵀ), 0 at features that are not kept."""
    best, at = torch.zeros_like(weight), list(kept)
    if at:
        best[:, at] = torch.linalg.solve(hessian[at][:, at], hessian[at] @ weight.T).T
    return best


def quadratic_error(hessian: Tensor, weight: Tensor, other: Tensor) -> float:
    """tr((W' - W) H (W' - W)ᵀ)."""
    difference = other - weight
    return float(torch.trace(difference @ hessian @ difference.T))
