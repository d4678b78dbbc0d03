"""Any stages of refinement and refitting on every method; and that every stage counts its steps and is frugal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import prunekit
from prunekit.methods.common.compression import compressions
from prunekit.methods.common.problem import Problem
from prunekit.methods.common.registry import method, method_class, names
from prunekit.methods.common.scored import ScoredMethod
from prunekit.models.families.table import ENCODERS
from prunekit.stages.refit.replaced import replaced
from prunekit.stages.search.budget import Budget
from tests.support.families import HIDDEN, LABELS, LAYERS, batch_for, tiny
from tests.support.methods import LENGTH, SHARED, logits, outcome, rows_for

QUICK = [
    ("fisher", "bert", "swap", "weights"), ("ziplm", "bert", "swap", "none"), ("kprune", "bert", "swap", "none"),
]  # fmt: skip


def stage_cases() -> list[Any]:
    """Every method with the stages that are not its own, on every family that it names; few of them are quick."""
    return [
        pytest.param(
            name, family, refine, refit, marks=() if (name, family, refine, refit) in QUICK else pytest.mark.slow
        )
        for name in names()
        for own in [method_class(name)]
        for family in own.families or ENCODERS
        for refine in own.refinements
        for refit in own.refits
        if (refine, refit) != (own.refinements[0], own.refits[0]) and (family not in SHARED or refit == "none")
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "family", "refine", "refit"), stage_cases())
def test_any_stages_meet_the_budget_and_gated_is_removed(name: str, family: str, refine: str, refit: str) -> None:
    model = tiny(family)
    result = outcome(name, model, refine=refine, refit=refit)
    assert 0.3 < Budget(0.5, "mac", LENGTH).share(model, result.masks) <= 0.5
    gates = torch.cat([result.masks.heads["self"].flatten(), result.masks.neurons.flatten()])
    assert bool(result.weights) == (refit in ("weights", "bias") or not issubclass(method_class(name), ScoredMethod))
    assert bool(((gates != 0) & (gates != 1)).any()) == (refit == "scales")
    with replaced(model, result.weights), prunekit.gated(model, result.masks):
        gated = logits(model)
    largest = max(1.0, float(gated.abs().max()))
    torch.testing.assert_close(logits(result.smaller(model)), gated, rtol=0, atol=1e-10 * largest)


@pytest.mark.parametrize("refinement", [0, -1])
@pytest.mark.parametrize("name", names())
def test_every_stage_counts_all_of_its_steps(name: str, refinement: int) -> None:
    model, told = tiny("bert"), dict[str, list[int]]()

    @contextmanager
    def stage(title: str, total: int = 0) -> Iterator[Any]:
        told.setdefault(title, [0, 0])[0] += total

        def advance(steps: int) -> None:
            told[title][1] += steps

        yield advance

    own = method(name)
    batches, budget = rows_for(model, own.labels), Budget(0.5, "mac", LENGTH)
    refine, refit = own.refinements[refinement], own.refits[0]
    list(own.compress(Problem(model, batches, budget, refine=refine, refit=refit, stage=stage)))
    assert told and all(done == total for total, done in told.values()), told


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_memory_does_not_grow_with_the_calibration_examples(name: str) -> None:
    """The largest tensor with an entry a token and feature is that of a batch, not of all rows; derivatives have one an
    example and unit."""
    model = tiny("bert", dtype=torch.float32)
    rows, found = 4096 // LENGTH, []
    for number in (2, 4):
        batches = [batch_for(model, rows, LENGTH, seed=seed) for seed in range(number)]
        for batch in batches:
            batch["attention_mask"][:], batch["labels"] = 1, torch.arange(rows) % LABELS
        with Largest() as largest:
            compressions(model, batches, name)
        found.append(largest.numel)
    assert found[0] == found[1] >= rows * LENGTH * HIDDEN


class Largest(TorchDispatchMode):
    """Of all tensors with three or more dimensions that are made, but (example, layer, unit)."""

    numel = 0

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(one, Tensor) and one.dim() >= 3 and one.shape[1] != LAYERS:
                self.numel = max(self.numel, one.numel())
        return made
