"""What removal is worth: pruned models beside the unpruned one, and beside plain PyTorch models of the same shapes.

Models are pruned by Fisher information to seven budgets of MACs and timed at batch 1 and at the benchmark's batch
size, at the mean length of the data, without padding.
"""

from __future__ import annotations

from typing import Any

import torch

from experiments.benchmarks.hand_built import HandBuilt
from experiments.benchmarks.paired import Found, Row, Subject, compared
from prunekit.costs import cost
from prunekit.fisher.gradients import diagonal, mask_gradients
from prunekit.fisher.search import mac_search
from prunekit.speed import forward_calls, rounds
from prunekit.surgery import prune
from prunekit.tasks.batches import evaluation_batches
from prunekit.timing import interleaved

CONSTRAINTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the MACs that remain."""


def compare(subject: Subject) -> Found:
    model, length = subject.model, round(float(subject.data.lengths.mean()))
    scores = diagonal(mask_gradients(model, evaluation_batches(subject.data, 32)))
    dense = cost(model, length).macs
    rows: list[Row] = []
    found: dict[str, Any] = {"length": length, "max_logit_difference": 0.0}
    sizes = dict.fromkeys((1, subject.batch_size))
    with subject.run.stage("benchmark", len(CONSTRAINTS) * len(sizes)) as advance:
        for constraint in CONSTRAINTS:
            pruned = prune(model, mac_search(scores, model, length, constraint))
            hand_built = HandBuilt(pruned).eval()
            promised = dense / cost(pruned, length).macs
            found["max_logit_difference"] = max(found["max_logit_difference"], _difference(pruned, hand_built))
            for batch_size in sizes:
                models = {"dense": model, "pruned": pruned, "hand-built": hand_built}
                calls = forward_calls(models, batch_size, length, subject.device)
                repeats = rounds(subject.repeats, batch_size, length)
                seconds = {
                    name: timing.seconds
                    for name, timing in interleaved(calls, warmup=subject.warmup + 1, repeats=repeats).items()
                }
                where = f"{constraint:g} of MACs, batch {batch_size}"
                rows += compared(f"{where}: unpruned", seconds["dense"], seconds["pruned"])
                rows += compared(f"{where}: hand-built", seconds["hand-built"], seconds["pruned"])
                ratio = torch.tensor(seconds["dense"]) / torch.tensor(seconds["pruned"])
                found[f"share_of_promise_{constraint:g}_batch_{batch_size}"] = float(ratio.median()) / promised
                advance(1)
    return rows, found


@torch.inference_mode()
def _difference(pruned: Any, hand_built: HandBuilt) -> float:
    """Largest difference of logits: both are the same model."""
    ids = torch.randint(5, pruned.config.vocab_size, (2, 8), device=pruned.device)
    return float((pruned(input_ids=ids).logits - hand_built(ids)).abs().max())
