"""Head importance: one backward pass a batch with a gate for every example, beside one pass an example.

The plain loop is what the released code does: unpadded examples one at a time, gradients for all weights, too
(they accumulate and nobody reads them). ``plain_frozen`` spares it the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from experiments.benchmarks.paired import BenchmarkCase, Results, paired
from prunekit.data.batches import Batch, Examples, evaluation_batches, model_inputs, to_device
from prunekit.data.losses import task_loss
from prunekit.heads.scores import head_importance
from prunekit.models.blocks import describe
from prunekit.models.gates import gated
from prunekit.models.masks import Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def compare(case: BenchmarkCase) -> Results:
    functions = variants(case.model, case.data, case.batch_size, case.device)
    return paired(case, functions, agreement)


def variants(model: PreTrainedModel, examples: Examples, batch_size: int, device: torch.device) -> dict[str, Any]:
    """Functions that return the importance of every head, not normalised: (layer, head), float64."""
    single = [examples.batch([row], int(length)) for row, length in enumerate(examples.lengths)]
    single = [to_device(batch, device) for batch in single]
    bucketed = [to_device(batch, device) for batch in evaluation_batches(examples, batch_size)]
    return {
        "plain_weight_gradients": lambda: one_pass_per_example(model, single, frozen=False),
        "plain_frozen": lambda: one_pass_per_example(model, single, frozen=True),
        "fast": lambda: head_importance(model, bucketed, normalise=False)["self"],
    }


def one_pass_per_example(model: PreTrainedModel, batches: list[Batch], *, frozen: bool) -> torch.Tensor:
    """Mean over examples of |dL/dgate| (Michel et al. 2019, Eq. 2), the plain way."""
    masks = Masks.ones(describe(model), dtype=next(model.parameters()).dtype, device=model.device)
    gate = masks.heads["self"].requires_grad_()
    total = torch.zeros_like(gate, dtype=torch.float64)
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(not frozen)
    with gated(model, masks):
        for batch in batches:
            task_loss(model(**model_inputs(batch)).logits, batch["labels"]).sum().backward()
            assert gate.grad is not None
            total += gate.grad.abs().double()
            gate.grad = None
    for parameter in model.parameters():
        parameter.requires_grad_(True)
        parameter.grad = None
    return (total / len(batches)).cpu()


def agreement(results: dict[str, torch.Tensor]) -> dict[str, float]:
    """Largest relative difference of a score from the plain loop's."""
    plain, fast = results["plain_weight_gradients"], results["fast"]
    return {"max_relative_difference": ((plain - fast).abs() / plain).max().item()}
