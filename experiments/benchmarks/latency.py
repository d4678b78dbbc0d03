"""What removal is worth: pruned models beside the unpruned one, and beside plain PyTorch models of the same shapes.

Models are pruned by Fisher information to seven budgets of MACs, and by rule to two shapes that CoFi could leave of a
model: 95 % of the prunable parameters gone, from all layers alike or mostly with whole sublayers. They are timed at
batch 1 and at the benchmark's batch size, at the mean length of the data, without padding, all in one runtime. In
torch they are given token ids alone; in other runtimes all that a graph takes, as it would be served.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from experiments.benchmarks.paired import BenchmarkCase, Results, Row, compared
from experiments.benchmarks.plain.hand_built import HandBuilt
from experiments.benchmarks.shapes import Shape
from prunekit.cofi.sparsity import PrunableSize
from prunekit.data.batches import evaluation_batches
from prunekit.evaluation.runtimes import in_runtime
from prunekit.evaluation.speed import TOKEN_IDS, forward_calls, rounds
from prunekit.models.costs import cost
from prunekit.models.export.graphs import Inputs, random_inputs
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.score.gradients import diagonal, mask_gradients
from prunekit.stages.search.mac_search import mac_search
from prunekit.support.errors import UserError
from prunekit.support.timing import interleaved

CONSTRAINTS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the MACs that remain."""
SPARSITY = 0.95
SHAPES = (
    Shape("deep and thin", hidden=0.4, layers=1.0),
    Shape("few layers", hidden=0.75, layers=0.25),
)
"""At that sparsity."""
AGREEMENT = 1e-4
"""Logits of models that are the same differ by rounding alone, as a share of the largest."""


def compare(case: BenchmarkCase) -> Results:
    model, length = case.model, case.data.mean_lengths[0]
    served = random_inputs(model, 3, min(8, length))
    unpruned = in_runtime(model, case.runtime, served)
    dense = cost(model, length).macs
    rows: list[Row] = []
    metrics: dict[str, Any] = {"length": length, "max_logit_difference": 0.0}
    sizes = dict.fromkeys((1, case.batch_size))
    with case.run.stage("benchmark", (len(CONSTRAINTS) + len(SHAPES)) * len(sizes)) as advance:
        for key, name, masks in cases(case, length):
            pruned = prune(model, masks)
            hand_built = HandBuilt(pruned).eval()
            promised = dense / cost(pruned, length).macs
            small, plain = (in_runtime(one, case.runtime, served) for one in (pruned, hand_built))
            others = (("unpruned", unpruned), ("hand-built", plain))
            apart = difference(pruned, (hand_built, small, plain), served, case.runtime)
            metrics["max_logit_difference"] = max(metrics["max_logit_difference"], apart)
            metrics[f"sparsity_{key}"] = float(PrunableSize.of(model).sparsity(masks))
            for batch_size in sizes:
                where, ratios = f"{name}, batch {batch_size}", {}
                for what, other in others:
                    added = compared(f"{where}: {what}", *in_turn(other, small, batch_size, length, case))
                    ratios[what] = statistics.median(row["ratio"] for row in added)
                    rows += added
                metrics[f"share_of_promise_{key}_batch_{batch_size}"] = ratios["unpruned"] / promised
                advance(1)
    return rows, metrics


def in_turn(
    other: Any, pruned: Any, batch_size: int, length: int, case: BenchmarkCase
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Seconds of two models, round by round.

    Only two at a time: of two small models in turn with the unpruned one, the first to follow it pays for cold caches
    and a time slice that is used up, which is more than the two differ by.
    """
    models = {"other": other, "pruned": pruned}
    names = TOKEN_IDS if case.runtime == "torch" else random_inputs(case.model, 1, 1)
    calls = forward_calls(models, batch_size, length, case.device, names=names)
    repeats = rounds(case.repeats, batch_size, length)
    taken = interleaved(calls, warmup=case.warmup + 1, repeats=repeats)
    return taken["other"].seconds, taken["pruned"].seconds


def cases(case: BenchmarkCase, length: int) -> Iterator[tuple[str, str, Masks]]:
    """Key of metrics, name of comparisons, and the masks of every pruned model."""
    model = case.model
    scores = diagonal(mask_gradients(model, evaluation_batches(case.data, 32)))
    for constraint in CONSTRAINTS:
        yield f"{constraint:g}", f"{constraint:g} of MACs", mac_search(scores, model, length, constraint)
    for shape in SHAPES:
        yield shape.name, f"{SPARSITY * 100:g} % gone, {shape.name}", shape.masks(model, SPARSITY)


@torch.inference_mode()
def difference(pruned: Any, others: Iterable[Any], inputs: Inputs, runtime: str) -> float:
    """Largest difference of the logits of models that are to be the same one, before they are timed.

    Args:
        inputs: with padding.

    Raises:
        UserError: they are not the same; in 8 bits they are near one another at best, which is only told.
    """
    expected = _logits(pruned(**inputs))
    differences = torch.stack([(_logits(other(**inputs)) - expected).abs().max() for other in others])
    apart = float(differences.max())  # NaN if one is
    if not math.isfinite(apart) or (not runtime.endswith("int8") and apart > AGREEMENT * float(expected.abs().max())):
        raise UserError(
            f"runtime: in {runtime} the logits of models of one shape and the same weights are {apart:.2g} apart, so "
            "that their times would not be of the same thing; time it in torch"
        )
    return apart


def _logits(output: Any) -> Tensor:
    """Of a model of transformers, of a graph, or of a plain one."""
    return torch.as_tensor(output["logits"] if isinstance(output, Mapping) else output)
