"""Every level of one sublayer, from all of its units to none: who is left, with which weights, at which error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prunekit.stages.levels.second_order import Quadratic, removal

RATIO = 0.9
"""Units of a level by those of the one above it."""


@dataclass(frozen=True)
class SublayerLevels:
    """What a sublayer's output projection is at any number of units that are left.

    With the features in the order in which they stay, the last to go first, and H = L Lᵀ, the best weights for the
    first k features are B_k L_kk⁻¹, where B = W H L⁻ᵀ: those of a level are one triangular solve, and what the squared
    length of a column of B adds up to over the features that are gone is the damped quadratic. So one matrix as large
    as H serves every level; it equals removal step by step.
    """

    order: Tensor
    """Units, (unit,), the first to go first."""
    factor: Tensor
    """L, (feature, feature), lower triangle."""
    moments: Tensor
    """B, (d, feature)."""
    counts: Tensor
    """Numbers of units of the levels in the table of errors, (level,), falling from all to 0."""
    damped: Tensor
    """Half of the damped quadratic at each level, (level,), float64."""
    measured: Tensor
    """Mean over the calibration tokens of the squared error of the output at each level, (level,), float64."""
    power: Tensor
    """Mean over the calibration tokens of the squared output without its bias, (), float64."""
    damping: Tensor
    """Share of the mean of H's diagonal that was added to it, (), float64."""
    added: Tensor
    """How much that is, (), float64."""

    @property
    def units(self) -> int:
        return len(self.order)

    @cached_property
    def size(self) -> int:
        """Features of a unit."""
        return len(self.factor) // max(self.units, 1)

    def mask(self, count: int) -> Tensor:
        """The units that are left at a level, bool, (unit,)."""
        mask = torch.zeros(self.units, dtype=torch.bool)
        mask[self.order[self.units - count :].cpu()] = True
        return mask

    def weight(self, count: int) -> Tensor:
        """Of the units that are left, (d, feature), by rising unit."""
        features = count * self.size
        solved = torch.linalg.solve_triangular(
            self.factor[:features, :features], self.moments[:, :features], upper=False, left=False
        )
        stays = _features(self.order.flip(0)[:count], self.size)
        return solved[:, stays.argsort()]

    def quadratic(self) -> Quadratic:
        """What all of this was made of, to rounding of the factor."""
        factor, moments = self.factor.double(), self.moments.double()
        back = _features(self.order.flip(0), self.size).argsort()
        weight = torch.linalg.solve_triangular(factor, moments, upper=False, left=False)
        hessian = factor @ factor.T
        return Quadratic(hessian[back][:, back], weight[:, back], float(self.added), float(self.damping))

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name; :class:`SublayerLevels` of these is the same again."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def sublayer_levels(
    quadratic: Quadratic, products: Tensor, tokens: int, weight: Tensor, size: int, ratio: float = RATIO
) -> SublayerLevels:
    """All levels of a sublayer; factor and moments in the precision of ``weight``, at least float32, in which there are
    solvers; all sums in float64.

    Args:
        quadratic: of ``products`` and ``weight``.
        products: XᵀX over the calibration tokens, (feature, feature), float64.
        tokens: how many.
        weight: of the output projection, (d, feature).
        size: features of a unit.
        ratio: as :func:`levels_of`.
    """
    order = removal(quadratic, size).order
    power = (weight.double() @ products * weight.double()).sum() / max(tokens, 1)
    precision = torch.promote_types(weight.dtype, torch.float32)
    return levels_in_order(quadratic, order, levels_of(len(order), ratio, every=size > 1), size, power, precision)


def levels_in_order(
    quadratic: Quadratic, order: Tensor, counts: Sequence[int], size: int, power: Tensor, precision: torch.dtype
) -> SublayerLevels:
    """The levels of a sublayer whose units go in a given order.

    Args:
        order: units, (unit,), the first to go first.
        counts: numbers of units in the table of errors.
        size: features of a unit.
        power: of the output, see :class:`SublayerLevels`.
        precision: of factor and moments.
    """
    stays = _features(order.flip(0), size)
    ordered = quadratic.hessian[stays][:, stays]
    factor = torch.linalg.cholesky(ordered)
    moments = torch.linalg.solve_triangular(factor, quadratic.weight[:, stays].matmul(ordered).T, upper=False).T
    whole = quadratic.weight[:, stays]
    lost = moments.square().sum(0).flip(0).cumsum(0).flip(0) / 2
    damped, measured = [], []
    for count in counts:
        kept = count * size
        solved = torch.linalg.solve_triangular(factor[:kept, :kept], moments[:, :kept], upper=False, left=False)
        difference = (solved - whole[:, :kept]).square().sum() + whole[:, kept:].square().sum()
        error = lost[kept] if kept < len(lost) else lost.new_zeros(())
        damped.append(error)
        # the quadratic without what damping adds to it: λ ‖W' - W‖² / 2
        measured.append((error - quadratic.added / 2 * difference).clamp_min(0))
    return SublayerLevels(
        order=order, factor=factor.to(precision), moments=moments.to(precision).contiguous(),
        counts=torch.tensor(counts), damped=torch.stack(damped), measured=torch.stack(measured), power=power,
        **{name: torch.tensor(getattr(quadratic, name), dtype=torch.float64) for name in ("damping", "added")},
    )  # fmt: skip


def levels_of(units: int, ratio: float = RATIO, *, every: bool = False) -> list[int]:
    """Numbers of units that are left, from all to 0: every one, or each about ``ratio`` of the one before."""
    counts = [units]
    while counts[-1]:
        counts.append(counts[-1] - 1 if every else min(counts[-1] - 1, int(counts[-1] * ratio)))
    return counts


def _features(units: Tensor, size: int) -> Tensor:
    """The features of units, in the order of the units."""
    return (units[:, None] * size + torch.arange(size, device=units.device)).flatten()
