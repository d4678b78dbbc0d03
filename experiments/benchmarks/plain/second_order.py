"""Second-order removal the plain way: H⁻¹ and the weights rewritten in full for every unit that goes."""

from __future__ import annotations

import torch
from torch import Tensor


def plain_removal(hessian: Tensor, weight: Tensor, size: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Units in the order in which they go, their scores, and the weights when half of the units are left.

    Args:
        hessian: damped, (feature, feature); not changed.
        weight: (d, feature); not changed.
        size: features of a unit.
    """
    inverse, weight = torch.cholesky_inverse(torch.linalg.cholesky(hessian)), weight.clone()
    units = len(inverse) // size
    gone = torch.zeros(units, dtype=torch.bool)
    order, scores, half = [], [], weight.clone()
    for step in range(units):
        if size == 1:
            now = weight.square().sum(0) / inverse.diagonal()
        else:
            now = torch.full((units,), torch.inf, dtype=weight.dtype)
            for unit in (~gone).nonzero().flatten().tolist():
                span = slice(unit * size, (unit + 1) * size)
                own = weight[:, span]
                now[unit] = torch.trace(own @ torch.linalg.solve(inverse[span, span], own.T))
        unit = int(now.masked_fill(gone, torch.inf).argmin())
        span = slice(unit * size, (unit + 1) * size)
        rows = inverse[span].clone()
        if size == 1:
            row = rows[0] / rows[0, unit]
            weight.addr_(weight[:, unit].clone(), row, alpha=-1)
            inverse.addr_(rows[0], row, alpha=-1)
        else:
            solved = torch.linalg.solve(rows[:, span], rows)
            weight -= weight[:, span].clone() @ solved
            inverse -= rows.T @ solved
        weight[:, span] = 0
        gone[unit] = True
        order.append(unit)
        scores.append(now[unit])
        if step + 1 == units - units // 2:
            half = weight.clone()
    return torch.tensor(order), torch.stack(scores), half
