"""What goes into the output projections of a model: sums over tokens that do not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prunekit.data.batches import Batch, model_inputs
from prunekit.forward.checked_batches import checked_batches
from prunekit.models.blocks import Block, blocks
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SUBLAYERS = ("attention", "ffn")


def projections(block: Block) -> list[tuple[str, nn.Module, int, int]]:
    """The sublayers of a layer: name, output projection, units, and features of a unit."""
    return [("attention", block.o, block.heads, block.head_size), ("ffn", block.ffn_out, block.neurons, 1)]


@torch.no_grad()
def input_statistics(
    model: PreTrainedModel,
    batches: Iterable[Batch],
    *,
    products: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, Tensor]:
    """Mean and variance of every input of every output projection, over tokens and calls, padding left out.

    Args:
        model: of the architecture table, pruned or not; on any device.
        batches: inputs as in :func:`prunekit.forward.checked_batches.checked_batches`; labels are not needed.
        products: X'X as well, the sums of products of inputs, with which a projection can be fitted again.
        progress: called with the number of rows done since the last call.

    Returns:
        by ``LAYER.SUBLAYER.NAME``, on the CPU, for each sublayer (``attention`` or ``ffn``) with units: ``tokens``, ();
        ``mean`` and ``variance`` (divided by the number of tokens), float64, (feature,); ``products``, in the model's
        precision, at least float32, (feature, feature). Features are in the order of the projection's columns.

    Raises:
        UserError: no rows, batches that this model cannot read, or inputs that are not finite (naming the sublayer).
    """
    sums = {
        f"{block.layer}.{name}": _Sums(projection.get_parameter("weight").shape[1], model, products)
        for block in blocks(model)
        for name, projection, units, _ in projections(block)
        if units
    }
    mask = torch.ones(0)

    def counted(place: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            sums[place].add(inputs[0][mask])

        return hook

    training, rows = model.training, 0
    model.eval()
    try:
        with ExitStack() as hooks:
            for block in blocks(model):
                for name, projection, units, _ in projections(block):
                    if units:
                        hook = counted(f"{block.layer}.{name}")
                        hooks.callback(projection.register_forward_pre_hook(hook).remove)
            for batch in checked_batches(model, batches, targets=False):
                inputs = model_inputs(batch, model.device)
                mask = inputs["attention_mask"].bool()
                model.base_model(**inputs)
                rows += len(mask)
                progress(len(mask))
    finally:
        model.train(training)
    if not rows:
        raise UserError("calibration: no examples to take statistics from, at least one is needed")
    return {
        f"{place}.{name}": value for place, one in sums.items() for name, value in one.statistics(place).items()
    }


class _Sums:
    """Of one projection's inputs."""

    def __init__(self, features: int, model: PreTrainedModel, products: bool) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64, device=model.device)

        self.precision = torch.promote_types(model.dtype, torch.float32)  # squares are beyond float16
        self.tokens, self.first, self.second = 0, zeros(features), zeros(features)
        self.products = zeros(features, features) if products else None

    def add(self, x: Tensor) -> None:
        """Count tokens in, (token, feature)."""
        x = x.to(self.precision)
        self.tokens += len(x)
        self.first += x.sum(0, dtype=torch.float64)
        self.second += x.square().sum(0, dtype=torch.float64)
        if self.products is not None:
            self.products += x.T @ x

    def statistics(self, place: str) -> dict[str, Tensor]:
        if not (self.first.isfinite().all() and self.second.isfinite().all()):
            layer, _, sublayer = place.partition(".")
            raise UserError(f"calibration: inputs of the {sublayer} output of layer {layer} are not finite")
        mean = self.first / self.tokens
        statistics = {
            "tokens": torch.tensor(self.tokens), "mean": mean.cpu(),
            "variance": (self.second / self.tokens - mean.square()).clamp_min(0).cpu(),
        }  # fmt: skip
        if self.products is not None:
            statistics["products"] = self.products.to(self.precision).cpu()
        return statistics
