"""The step of CoFi that is timed is the plain one, and the one that training takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.benchmarks.cofi_step import (
    STATES,
    Variant,
    differences,
    gates_at,
    in_order,
    variants_of,
)
from experiments.benchmarks.memory import saved_bytes
from experiments.benchmarks.plain.cofi import drawn, masked
from prunekit.cofi.sparsity import PrunableSize
from prunekit.data.batches import Examples
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.checkpoints import build
from prunekit.models.gates import gated
from tests.support.families import batch_for, logits, tiny
from tests.support.trainings import SHAPE, TASK

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return encode(load_rows(TASK, "train"), demo_tokenizer()).take(range(24))


def teacher(family: str = "bert") -> Any:
    """Four layers in double precision, without dropout."""
    return build(family, SHAPE | {"num_hidden_layers": 4}, 3, seed=1).double()


@pytest.mark.parametrize(
    ("state", "family"), [*((state, "bert") for state in STATES), ("60 % expected sparsity", "mpnet")]
)
def test_plain_and_fast_steps_are_the_same(examples: Examples, state: str, family: str) -> None:
    model, batches = teacher(family), in_order(examples, 8, CPU)
    variants, _ = variants_of(model, examples, CPU, seed=0)
    losses: dict[str, Tensor] = {}
    sparsity = STATES[state]
    for name, variant in variants.items():
        variant.gates = None if sparsity is None else gates_at(model, sparsity, seed=0)
        variant.begin(seed=3)
        losses[name] = variant.steps(batches)
    plain = variants["plain"].trainee
    assert (losses["plain"] > 1e-3).all() and len(losses["plain"]) == 3
    for name in ("fast", "kept teacher"):
        torch.testing.assert_close(losses[name], losses["plain"], rtol=1e-5, atol=0)
        for own, other in zip(variants[name].trainee.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(own, other, rtol=0, atol=1e-5)
    found = differences(variants, losses, seed=3)
    assert max(found.values()) < 1e-3
    assert set(found) == {f"max_{what}_difference" for what in ("loss", "weight", "gate")[: 2 + (sparsity is not None)]}


def test_a_variant_begins_anew(examples: Examples) -> None:
    variants, _ = variants_of(teacher(), examples, CPU, seed=0)
    variant: Variant = variants["fast"]
    variant.gates = gates_at(teacher(), 0.6, seed=0)
    batches = in_order(examples, 8, CPU)
    taken = []
    for _ in range(2):
        variant.begin(seed=1)
        taken.append(variant.steps(batches))
    assert torch.equal(*taken)


@pytest.mark.parametrize("family", ["bert", "electra", "albert", "mpnet"])
def test_plain_gates_are_those_of_the_library(family: str) -> None:
    model = tiny(family)
    gates = gates_at(model, 0.5, seed=1)
    torch.manual_seed(0)
    own = drawn(gates)
    torch.manual_seed(0)
    masks = gates.sampled()
    torch.testing.assert_close(own.hidden, masks.hidden, rtol=0, atol=0)
    torch.testing.assert_close(own.neurons, masks.neurons, rtol=0, atol=0)
    batch = batch_for(model)
    with gated(model, masks):
        expected = logits(model, batch)
    with masked(model, own):
        found = logits(model, batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    before = logits(model, batch)
    with masked(model, None):
        torch.testing.assert_close(logits(model, batch), before, rtol=0, atol=0)


@pytest.mark.parametrize("sparsity", [0.6, 0.9])
def test_gates_have_the_sparsity(sparsity: float) -> None:
    model = teacher()
    found = PrunableSize.of(model).sparsity(gates_at(model, sparsity, seed=0).probabilities())
    assert float(found.detach()) == pytest.approx(sparsity, abs=1e-6)


def test_saved_bytes() -> None:
    x, weight = torch.randn(10, 4, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert saved_bytes(lambda: (x @ weight).exp().sum(), [weight, x]) == 10 * 4 * 8  # what exp gave
    assert saved_bytes(lambda: (x @ weight).sin().exp().sum(), [weight]) == 3 * 10 * 4 * 8  # and x, and what sin read
