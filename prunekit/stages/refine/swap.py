"""Units exchanged within a sublayer while the exactly refitted error falls (Meng et al. 2024, OSSCAR).

Of a sublayer with inputs X (token, feature) and output projection W, what is lost when the features of a set K are
kept and their columns fitted anew is the least of ‖X Wᵀ - X_K W'ᵀ‖² over W'. With G = XᵀX, damped, all that an exchange
needs is in one matrix, G swept on K: the Schur complement of G_KK at the features that are gone, the inverse of G_KK at
those that are kept, and the fitted columns. One sweep brings a unit in or takes it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.models.blocks import blocks
from prunekit.models.masks import Masks
from prunekit.stages.score.projection_inputs import projections
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DAMPING = 0.01
"""Times the mean of the diagonal of XᵀX, added to it: inputs that hardly vary are not fitted with huge weights."""
PATIENCE = 32
"""Units in a row, of those that are gone the most promising first, whose return lowers nothing: then a sublayer is
done."""


@torch.no_grad()
def swap(
    model: PreTrainedModel,
    masks: Masks,
    statistics: Mapping[str, Tensor],
    *,
    progress: Callable[[int], None] = lambda sublayers: None,
) -> Masks:
    """Bring the unit back whose return gains most and drop the one that is then missed least, again and again.

    Every exchange lowers the refitted error of its sublayer, so that it ends. As many units stay in every sublayer as
    before.

    Args:
        masks: bool, as a search found them.
        statistics: of :func:`prunekit.stages.score.projection_inputs.input_statistics` with products, of this model.
        progress: called with the number of sublayers done since the last call; there are two per layer.

    Raises:
        UserError: products of inputs that no damping makes solvable (naming the sublayer).
    """
    heads, neurons = masks.heads["self"].clone(), masks.neurons.clone()
    for block in blocks(model):
        rows = (heads[block.layer], neurons[block.layer])
        for (name, projection, units, size), row in zip(projections(block), rows, strict=True):
            kept = row[:units].bool().cpu()
            if kept.any() and not kept.all():
                products = statistics[f"{block.layer}.{name}.products"].double()
                weight = projection.get_parameter("weight").detach().double().cpu()
                row[:units] = exchanged(products, weight, kept, size, f"{name} of layer {block.layer}").to(row)
            progress(1)
    return Masks({"self": heads}, neurons, masks.layers, masks.hidden, masks.skip_norms)


def exchanged(products: Tensor, weight: Tensor, kept: Tensor, size: int, where: str = "sublayer") -> Tensor:
    """The units of one sublayer after all exchanges, bool, (unit,).

    Args:
        products: XᵀX, float64, (feature, feature); unit u has the features u * size to (u + 1) * size.
        weight: (d, feature), float64.
        kept: bool, (unit,), some of them but not all.
        size: features of a unit.
    """
    solvable = damped(products)
    swept = Swept(solvable, weight @ solvable, kept, size, where)
    exchange(swept)
    return swept.kept


def exchange(swept: Swept) -> None:
    """All exchanges that lower the error, until none of :data:`PATIENCE` in a row does."""
    failures = 0
    while failures < PATIENCE:
        gone = (~swept.kept).nonzero().flatten()
        candidates = gone[swept.worth()[gone].argsort(descending=True, stable=True)]
        if failures >= len(candidates):
            break
        unit = int(candidates[failures])
        gain = float(swept.worth()[unit])
        swept.flip(unit)
        losses = swept.worth().masked_fill(~swept.kept, torch.inf)
        losses[unit] = torch.inf
        leaving = int(losses.argmin())
        if float(losses[leaving]) < gain * (1 - 1e-9):
            swept.flip(leaving)
            failures = 0
        else:
            swept.flip(unit)
            failures += 1


def damped(products: Tensor) -> Tensor:
    """XᵀX with :data:`DAMPING`; an input that is 0 everywhere is 1 on the diagonal."""
    diagonal = products.diagonal()
    added = DAMPING * diagonal.mean() + (diagonal == 0).to(products)
    return products + torch.diag(added)


class Swept:
    """A damped XᵀX and W XᵀX swept on the features of the units that are kept."""

    def __init__(self, products: Tensor, moments: Tensor, kept: Tensor, size: int, where: str) -> None:
        """
        Args:
            products: XᵀX, damped, float64, (feature, feature).
            moments: of what is fitted with X, W XᵀX where that is X Wᵀ, (d, feature).
            kept: bool, (unit,).
            size: features of a unit.
            where: the sublayer, for messages.

        Raises:
            UserError: products that cannot be solved for.
        """
        self.kept, self.size = kept.clone(), size
        inside = kept.repeat_interleave(size)
        inner, outer = inside.nonzero().flatten(), (~inside).nonzero().flatten()
        try:
            inverse = torch.cholesky_inverse(torch.linalg.cholesky(products[inner][:, inner]))
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            raise UserError(f"swap: the inputs of the {where} cannot be solved for, use refine=none") from None
        solved = inverse @ products[inner][:, outer]
        self.matrix = torch.empty_like(products)
        self.matrix[inner[:, None], inner] = -inverse
        self.matrix[inner[:, None], outer] = solved
        self.matrix[outer[:, None], inner] = solved.T
        self.matrix[outer[:, None], outer] = products[outer][:, outer] - products[outer][:, inner] @ solved
        self.columns = torch.empty_like(moments)
        """The fitted columns of what is kept, (d, feature); of what is gone, what is left of its moments."""
        self.columns[:, inner] = moments[:, inner] @ inverse
        self.columns[:, outer] = moments[:, outer] - moments[:, inner] @ solved

    def worth(self) -> Tensor:
        """How much the error rises without a unit that is kept, and falls with one that is gone, (unit,)."""
        if self.size == 1:
            return self.columns.square().sum(0) / self.matrix.diagonal().abs().clamp_min(1e-300)
        by_unit = self.columns.unflatten(1, (-1, self.size)).transpose(0, 1)
        blocks_ = self.matrix.unflatten(0, (-1, self.size)).unflatten(2, (-1, self.size))
        own = torch.stack([blocks_[unit, :, unit] for unit in range(len(self.kept))])
        sign = torch.where(self.kept, -1.0, 1.0).to(own)[:, None, None]
        return (by_unit @ torch.linalg.solve(own * sign, by_unit.transpose(1, 2))).diagonal(dim1=1, dim2=2).sum(1)

    def flip(self, unit: int) -> None:
        """Keep a unit that was gone, or drop one that was kept."""
        own = slice(unit * self.size, (unit + 1) * self.size)
        inverse = torch.linalg.inv(self.matrix[own, own])
        row, column = self.matrix[own].clone(), self.columns[:, own].clone()
        scaled = inverse @ row
        sign = -1.0 if self.kept[unit] else 1.0
        self.matrix.addmm_(row.T, scaled, alpha=-1.0)
        self.matrix[own], self.matrix[:, own] = sign * scaled, sign * scaled.T
        self.matrix[own, own] = -inverse
        self.columns.addmm_(column, scaled, alpha=-1.0)
        self.columns[:, own] = sign * column @ inverse
        self.kept[unit] = ~self.kept[unit]
