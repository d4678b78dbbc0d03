"""All heads off one at a time: the replay engine beside one full evaluation per head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from experiments.benchmarks.paired import BenchmarkCase, Results, paired
from prunekit.data.batches import Batch, Examples, evaluation_batches, model_inputs, to_device
from prunekit.forward.ablation import ablate_heads
from prunekit.models.blocks import describe
from prunekit.models.gates import gated
from prunekit.models.masks import Masks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FIXED_LENGTH = 128
"""The padding of the released code."""


def compare(case: BenchmarkCase) -> Results:
    functions = variants(case.model, case.data, case.batch_size, case.device)
    return paired(case, functions, agreement)


def variants(model: PreTrainedModel, examples: Examples, batch_size: int, device: torch.device) -> dict[str, Any]:
    """Functions that return the logits with one head off: (layer, head, example, label)."""
    longest = min(FIXED_LENGTH, examples.rows.task.max_length)
    rows = range(len(examples))
    fixed = [examples.batch(rows[start : start + batch_size], longest) for start in rows[::batch_size]]
    bucketed = evaluation_batches(examples, batch_size)
    fixed, bucketed = ([to_device(batch, device) for batch in batches] for batches in (fixed, bucketed))
    return {
        "plain_fixed_length": lambda: one_evaluation_per_head(model, fixed),
        "plain_bucketed": lambda: one_evaluation_per_head(model, bucketed),
        "fast": lambda: ablate_heads(model, bucketed, modes=("one_off",)).logits["one_off"],
    }


@torch.inference_mode()
def one_evaluation_per_head(model: PreTrainedModel, batches: list[Batch]) -> torch.Tensor:
    layout = describe(model)
    shape = Masks.ones(layout).heads["self"].shape
    rows = sum(len(batch["index"]) for batch in batches)
    logits = torch.empty(*shape, rows, model.config.num_labels or 0)
    for layer in range(shape[0]):
        for head in range(shape[1]):
            masks = Masks.ones(layout, device=model.device)
            masks.heads["self"][layer, head] = False
            with gated(model, masks):
                for batch in batches:
                    logits[layer, head, batch["index"].cpu()] = model(**model_inputs(batch)).logits.float().cpu()
    return logits


def agreement(results: dict[str, torch.Tensor]) -> dict[str, float]:
    """Largest difference of logits, and predictions that differ although their two best logits do not tie."""
    plain, fast = results["plain_bucketed"], results["fast"]
    best = plain.topk(2, dim=-1).values
    tied = (best[..., 0] - best[..., 1]).abs() < 1e-4
    differs = (plain.argmax(-1) != fast.argmax(-1)) & ~tied
    others = (results["plain_fixed_length"] - fast).abs().max()
    return {
        "max_logit_difference": max((plain - fast).abs().max().item(), others.item()),
        "different_predictions": int(differs.sum()),
    }
