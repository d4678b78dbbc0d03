"""Which units of a sublayer go first by a second-order estimate in which all that stays makes up for what goes
(the one-shot part of ZipLM, Kurtic et al. 2023, after Hassibi & Stork 1992).

An output projection with weight W, (d, feature), and inputs X, (token, feature), becomes W'; its error is the quadratic

    tr((W' - W) H (W' - W)ᵀ),    H = 2 XᵀX / tokens + damping,

so that without damping half of it is the mean over tokens of the squared error of the sublayer's output. With C = H⁻¹
and S the columns of one unit, removing it while all other columns are at their best costs

    score(S) = tr(W_S (C_SS)⁻¹ W_Sᵀ),    W -= W_S (C_SS)⁻¹ C_S:,    C -= C_:S (C_SS)⁻¹ C_S:.

From all units to none, the one with the smallest score goes, which is one order of removal for all levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

DELAY = 128
"""Columns that are removed before the matrices are brought up to date."""
DENSE = 0.8
"""Share of a matrix that still matters, below which it is cut to that: copying costs more than computing."""
DAMPING = 0.01
"""Share of the mean of the diagonal of H that is added to it."""
MOST_DAMPING = 1.0


@dataclass(frozen=True)
class Quadratic:
    """The damped quadratic of a sublayer."""

    hessian: Tensor
    """H, (feature, feature), float64, positive definite."""
    weight: Tensor
    """W, (d, feature), float64; 0 for features that never fire."""
    added: float
    """What damping has put on the diagonal."""
    damping: float
    """The share that was needed; more than was asked for where H could not be factorised with that."""


def damped_quadratic(products: Tensor, tokens: int, weight: Tensor, damping: float = DAMPING) -> Quadratic | None:
    """H and W of a sublayer from sums over its calibration data.

    A feature that never fires gets 1 on the diagonal of H and a weight of 0, so that it is the first to go and moves
    nothing. Where H is singular, damping is raised tenfold until it is not.

    Args:
        products: XᵀX, (feature, feature), float64.
        tokens: rows of X.
        weight: (d, feature).
        damping: share of the mean of the diagonal.

    Returns:
        None where even a damping of 1 leaves H without a factor: products that are not finite.
    """
    hessian = 2 * products / max(tokens, 1)
    diagonal = hessian.diagonal()
    silent = diagonal == 0
    mean = float(diagonal.mean()) if len(diagonal) else 0.0
    weight = weight.double().masked_fill(silent, 0.0)
    while True:
        added = damping * mean
        damped = hessian.clone()
        damped.diagonal().add_(silent.double() + added)
        if not int(torch.linalg.cholesky_ex(damped).info):
            return Quadratic(damped, weight, added, damping)
        if damping >= MOST_DAMPING:
            return None
        damping = min(MOST_DAMPING, max(1e-6, 10 * damping))


@dataclass(frozen=True)
class Removal:
    """One unit after the other, until none is left."""

    order: Tensor
    """Units, (unit,), the first to go first."""
    scores: Tensor
    """What each cost when it went, (unit,), float64."""


def removal(quadratic: Quadratic, size: int = 1, delay: int = DELAY) -> Removal:
    """The order in which the units of a sublayer go, each time the one with the smallest score.

    A plain loop rewrites all of C and W for every unit. Here the rows that leave wait as a correction of low rank,
    C - UᵀU, and are applied a block at a time as a matrix product, to what is left by then. Scores need only the
    products of W with itself, Q = WᵀW, which the same U brings up to date: Q - AᵀU - UᵀA. The numbers are the plain
    loop's to rounding; of equal scores the first unit goes.

    Args:
        size: features of a unit.
        delay: columns of a block.
    """
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(quadratic.hessian))
    state = _State(inverse, quadratic.weight.T @ quadratic.weight, size)
    while state.units_left:
        state.remove(min(state.units_left, max(1, delay // size)))
    order, scores = state.order, state.scores
    return Removal(
        torch.stack(order) if order else state.units, torch.stack(scores) if scores else inverse.new_zeros(0)
    )


class _State:
    """C and Q, and every unit's own part of both."""

    def __init__(self, inverse: Tensor, products: Tensor, size: int) -> None:
        self.inverse, self.products, self.size = inverse, products, size
        self.units = torch.arange(len(inverse) // size, device=inverse.device)
        self.gone = torch.zeros_like(self.units, dtype=torch.bool)
        self.units_left = len(self.units)
        self.order: list[Tensor] = []
        self.scores: list[Tensor] = []

    def remove(self, steps: int) -> None:
        """Let some units go, and bring C and Q up to date."""
        block = _Block(self.inverse, self.products, self.size, self.gone, steps)
        for _ in range(steps):
            place, score = block.remove()
            self.order.append(self.units[place])
            self.scores.append(score)
        self.units_left -= steps
        low, cross = block.low, block.cross
        self.inverse.addmm_(low.T, low, alpha=-1)
        self.products.addmm_(cross.T, low, alpha=-1).addmm_(low.T, cross, alpha=-1)
        if self.units_left < DENSE * len(self.units):
            stay = (~self.gone).nonzero().flatten()
            features = (~self.gone).repeat_interleave(self.size).nonzero().flatten()
            self.inverse, self.products = (matrix[features][:, features] for matrix in (self.inverse, self.products))
            self.units, self.gone = self.units[stay], self.gone[stay]


class _Block:
    """Units that go before C and Q are brought up to date: the rows of U and A, and the units' own parts as they are
    now."""

    def __init__(self, inverse: Tensor, products: Tensor, size: int, gone: Tensor, steps: int) -> None:
        """
        Args:
            gone: bool, (unit,); filled in as units go.
            steps: how many will go.
        """
        self.inverse, self.products, self.size, self.gone = inverse, products, size, gone
        self.low, self.cross = (inverse.new_empty(steps * size, len(inverse)) for _ in range(2))  # U and A
        self.rows = 0
        self.own_inverse, self.own_products = (_own(matrix, size) for matrix in (inverse, products))

    def remove(self) -> tuple[Tensor, Tensor]:
        """Let the unit with the smallest score go: its place and its score, ()."""
        now = self._scores()
        place = now.argmin()
        unit, size, done = int(place), self.size, self.rows
        span = slice(unit * size, (unit + 1) * size)
        low, cross = self.low[:done], self.cross[:done]
        inverse = self.inverse[span] - low[:, span].T @ low
        products = self.products[span] - cross[:, span].T @ low - low[:, span].T @ cross
        if size == 1:
            root = inverse[:, span].sqrt()
            u, q = inverse / root, products / root
            inner = q[:, span] / root
        else:
            root = torch.linalg.cholesky(inverse[:, span])
            u, q = (torch.linalg.solve_triangular(root, rows, upper=False) for rows in (inverse, products))
            inner = torch.linalg.solve_triangular(root, q[:, span].T, upper=False)
        a = q - inner @ u / 2
        self.low[done : done + size], self.cross[done : done + size] = u, a
        self.rows += size
        self._follow(u, a)
        self.gone[unit] = True
        return place, now[place]

    def _scores(self) -> Tensor:
        if self.size == 1:
            now = self.own_products.flatten() / self.own_inverse.flatten()
        else:
            alive = ~self.gone
            now = torch.empty(len(alive), dtype=self.inverse.dtype, device=self.inverse.device)
            solved = torch.linalg.solve(self.own_inverse[alive], self.own_products[alive])
            now[alive] = solved.diagonal(dim1=1, dim2=2).sum(1)
        return now.clamp_min(0).masked_fill(self.gone, torch.inf)

    def _follow(self, u: Tensor, a: Tensor) -> None:
        if self.size == 1:
            self.own_inverse.view(-1).addcmul_(u[0], u[0], value=-1)
            self.own_products.view(-1).addcmul_(u[0], a[0], value=-2)
            return
        u, a = (rows.T.unflatten(0, (-1, self.size)) for rows in (u, a))  # (unit, own feature, feature that goes)
        self.own_inverse -= u @ u.mT
        crossed = u @ a.mT
        self.own_products -= crossed + crossed.mT


def _own(matrix: Tensor, size: int) -> Tensor:
    """The blocks on the diagonal, (unit, size, size)."""
    units = len(matrix) // size
    return matrix.view(units, size, units, size).diagonal(dim1=0, dim2=2).permute(2, 0, 1).contiguous()
