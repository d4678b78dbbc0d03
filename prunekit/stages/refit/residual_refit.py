"""New output weights for what is left of a sublayer, so that the residual stream is again what it is in the whole model
(Park et al. 2024, knowledge reconstruction).

With F the features of the units that stay, b the bias of the projection, R the residual stream that enters a sublayer
of the pruned model and R* the one that leaves that of the whole model, before its LayerNorm, the new weights W'
minimise

    ‖F W'ᵀ - (R* - R - b)‖² + λ ‖W' - W‖²

over all tokens, so that errors of earlier sublayers are made up for, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.data.batches import Batch, to_device
from prunekit.forward.checked_batches import checked_batches
from prunekit.forward.replay import context, equal_length_groups, first_layer_input
from prunekit.models.blocks import Block, describe
from prunekit.stages.refine.swap import Swept, exchange
from prunekit.stages.refit.least_squares import DAMPING, damped_change
from prunekit.stages.refit.token_file import TokenFile
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Refit:
    """The new weights of a sublayer."""

    weight: Tensor
    """(d, feature that stays); those at hand where there is no finite solution."""
    status: str
    error_before: float
    """‖output - R*‖ / ‖R*‖ with the weights at hand."""
    error_after: float
    dropped: int = 0
    """Singular directions of FᵀF that the solution without damping leaves out, as the authors' code does."""


@dataclass(frozen=True)
class Sums:
    """Of a sublayer with some features and their weights at hand, over all tokens."""

    weight: Tensor
    """Wᵀ, (feature, d), float64."""
    products: Tensor
    """FᵀF, (feature, feature), float64."""
    moments: Tensor
    """Fᵀ(what is missing to R* with W), (feature, d), float64."""
    missing: float
    """‖output - R*‖² with W."""
    wanted: float
    """‖R*‖²."""

    def error(self, change: Tensor | None = None) -> float:
        """‖output - R*‖ / ‖R*‖ with Wᵀ changed by (feature, d)."""
        left = self.missing
        if change is not None:
            left -= 2 * float((change * self.moments).sum())
            left += float((change * (self.products @ change)).sum())
        return math.sqrt(max(left, 0.0) / max(self.wanted, 1e-300))


class ResidualStreams:
    """Hidden states of a pruned and of the whole model after the same number of sublayers, for all tokens."""

    def __init__(self, model: PreTrainedModel, batches: Iterable[Batch], max_tokens: int, files: ExitStack) -> None:
        """Run the embeddings, which both models share.

        Args:
            model: in eval mode.
            batches: padding on the right.
            max_tokens: how many tokens run at once; a single row may be longer.
            files: closes the temporary files.

        Raises:
            UserError: no rows, or padding that is not on the right.
        """
        width = describe(model).hidden
        self.now, self.whole = (files.enter_context(TokenFile(width, model.dtype, model.device)) for _ in range(2))
        self.batches: list[Batch] = []
        """The rows again, in batches of one length each, in the order of the files."""
        start = 0
        checked = checked_batches(model, batches, targets=False)
        for group in equal_length_groups((to_device(batch, model.device) for batch in checked), max_tokens):
            x = first_layer_input(model, group)
            for file in (self.now, self.whole):
                file.write(start, x.flatten(0, 1))
            self.batches.append(group)
            start += x.shape[0] * x.shape[1]
        if not self.batches:
            raise UserError("refit: no examples to fit to, at least one is needed")

    def states(self) -> Iterator[Tensor]:
        """Of the pruned model, (row, token, d), for each of :attr:`batches`."""
        for start, rows, length in self._pieces():
            yield self.now.read(start, rows * length).unflatten(0, (rows, length))

    def refit(self, sublayer: str, now: Block, whole: Block, kept: Tensor, damping: float | None = DAMPING) -> Refit:
        """New weights for what stays of a sublayer; the whole model's states go on to the next sublayer.

        Args:
            now: the layer of the pruned model, this sublayer with all of its units.
            whole: that of the whole model.
            kept: features that stay, (kept,).
            damping: λ as a share of the mean of FᵀF's diagonal; None for the solution of least length without it.
        """
        sums = self._sums(sublayer, now, whole, kept, exactly=damping is None)
        before = sums.error()
        if not len(kept):
            return Refit(torch.empty(self.now.width, 0, dtype=self.now.dtype), "skipped: no units left", before, before)
        dtype = output_projection(now, sublayer).weight.dtype
        change, dropped = _solved(sums.products, sums.moments, sums.weight, damping)
        if change is None:
            return Refit(sums.weight.T.to(dtype), "skipped: no finite solution", before, before)
        return Refit((sums.weight + change).T.to(dtype), "tuned", before, sums.error(change), dropped)

    def exchange(
        self, sublayer: str, now: Block, whole: Block, kept: Tensor, size: int, damping: float = DAMPING
    ) -> tuple[Tensor, Refit]:
        """Swaps within a sublayer while the damped error with the best weights for what is kept falls: what is kept
        then, bool, (unit,), and those weights. λ is that of :meth:`refit` before the first swap.

        Args:
            now: the layer of the pruned model, this sublayer with all of its units.
            kept: bool, (unit,).
            size: features of a unit.
            damping: λ as a share of the mean of FᵀF's diagonal.

        Raises:
            UserError: features that cannot be solved for (naming the sublayer).
        """
        device, inside = self.now.device, kept.repeat_interleave(size)
        if kept.all() or not kept.any():
            return kept, self.refit(sublayer, now, whole, inside.nonzero().flatten().to(device), damping)
        sums = self._sums(sublayer, now, whole, torch.arange(len(inside), device=device))
        products, weight = sums.products.cpu(), sums.weight.T.cpu()
        diagonal = products.diagonal()
        mean = float(diagonal[inside].mean()) or float(diagonal.mean()) or 1.0  # where what is kept never fires, or all
        solvable = products + damping * mean * torch.eye(len(products), dtype=products.dtype)
        moments = sums.moments.T.cpu() + weight @ solvable  # of what is to be fitted, and of what damping pulls to
        swept = Swept(solvable, moments, kept, size, f"{sublayer} of layer {now.layer}")
        exchange(swept)
        stay = swept.kept.repeat_interleave(size)
        before, after = (
            sums.error((torch.where(mask, fitted, 0.0) - weight).T.to(device))
            for mask, fitted in ((inside, weight), (stay, swept.columns))
        )
        new = swept.columns[:, stay].to(output_projection(now, sublayer).weight)
        return swept.kept, Refit(new, "tuned", before, after)

    def _sums(self, sublayer: str, now: Block, whole: Block, kept: Tensor, exactly: bool = False) -> Sums:
        """Over all tokens; the whole model's states go on to the next sublayer.

        Args:
            exactly: in float64 from the features on.
        """
        projection = output_projection(now, sublayer)
        weight = projection.weight[:, kept] if len(kept) else None
        bias = getattr(projection, "bias", None)
        width = self.now.width
        products, moments = (
            torch.zeros(len(kept), columns, dtype=torch.float64, device=kept.device) for columns in (len(kept), width)
        )
        missing = wanted_squares = 0.0
        for start, rows, length in self._pieces():
            x, other = (file.read(start, rows * length).unflatten(0, (rows, length)) for file in (self.now, self.whole))
            wanted = other + output_projection(whole, sublayer)(features_of(whole, sublayer, other))
            rest = (wanted - x).flatten(0, 1)
            rest = rest if bias is None else rest - bias
            if weight is not None:
                features = features_of(now, sublayer, x)[..., kept].flatten(0, 1)
                rest = rest - features @ weight.T
                if exactly:  # rounding of float32 would be inverted as if it were directions
                    features, rest = features.double(), rest.double()
                products += features.T @ features
                moments += features.T @ rest
            missing += float(rest.square().sum(dtype=torch.float64))
            wanted_squares += float(wanted.square().sum(dtype=torch.float64))
            self.whole.write(start, _normed(whole, sublayer, wanted).flatten(0, 1))
        at_hand = moments if weight is None else weight.double().T
        return Sums(at_hand, products, moments, missing, wanted_squares)

    def advance(self, sublayer: str, now: Block) -> None:
        """Take the pruned model's states through a sublayer that is as it stays."""
        for start, rows, length in self._pieces():
            x = self.now.read(start, rows * length).unflatten(0, (rows, length))
            y = x + output_projection(now, sublayer)(features_of(now, sublayer, x))
            self.now.write(start, _normed(now, sublayer, y).flatten(0, 1))

    def _pieces(self) -> Iterator[tuple[int, int, int]]:
        """First token, rows and their length, of each batch."""
        start = 0
        for rows, length in (batch["input_ids"].shape for batch in self.batches):
            yield start, rows, length
            start += rows * length


def output_projection(block: Block, sublayer: str) -> Any:
    """The module that reads the features of a sublayer's units."""
    return block.o if sublayer == "attention" else block.ffn_out


def features_of(block: Block, sublayer: str, x: Tensor) -> Tensor:
    """What the output projection of a sublayer reads, (row, token, feature), from rows without padding."""
    return context(block, x) if sublayer == "attention" else block.activation(block.ffn_in(x))


def _normed(block: Block, sublayer: str, x: Tensor) -> Tensor:
    return block.attention_norm(x) if sublayer == "attention" else block.ffn_norm(x)


def _solved(
    matrix: Tensor, moments: Tensor, weight: Tensor, damping: float | None
) -> tuple[Tensor | None, int]:
    """The change of Wᵀ, (feature, d), float64, None where there is no finite one; and the singular directions that it
    leaves out.

    Args:
        matrix: FᵀF.
        moments: Fᵀ(what is missing with the weights at hand).
        weight: Wᵀ.
    """
    if damping is not None:
        if not matrix.diagonal().any():  # nothing ever fires
            return torch.zeros_like(moments), 0
        return damped_change(matrix, moments, damping), 0
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return None, 0
    live = values > len(values) * torch.finfo(values.dtype).eps * values.max()
    inverse = torch.where(live, 1 / values.where(live, torch.ones_like(values)), 0.0)
    solved = vectors @ (inverse[:, None] * (vectors.T @ (moments + matrix @ weight))) - weight
    return (solved if bool(solved.isfinite().all()) else None), int((~live).sum())
