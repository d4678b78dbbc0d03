"""ZipLM on whole models: weights of every stitched level, budgets from one calibration, the local search."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from prunekit.methods.common.method import Compression
from prunekit.methods.common.problem import Problem
from prunekit.methods.ziplm import Ziplm, some
from prunekit.models.blocks import blocks
from prunekit.models.costs import cost
from prunekit.models.gates import gated
from prunekit.models.surgery import prune
from prunekit.stages.levels.database import LevelDatabase, take_levels
from prunekit.stages.refit.replaced import replaced
from prunekit.stages.score.projection_inputs import input_statistics, projections
from prunekit.stages.search.budget import Budget
from prunekit.support.cache import EntryKind
from prunekit.support.errors import UserError
from tests.support.families import HEADS, NEURONS, batch_for, logits, tiny
from tests.support.importance import made_up
from tests.support.second_order import best_weight, quadratic_error

LENGTH = 9


def batches_for(model: PreTrainedModel) -> list[dict[str, Tensor]]:
    return [batch_for(model, 8, LENGTH, seed) for seed in range(4)]


def outcomes(model: PreTrainedModel, constraint: float, *, kind: str = "mac", **options: Any) -> list[Compression]:
    budget = Budget(constraint, kind, LENGTH)
    return list(Ziplm(search_steps=5, **options).compress(Problem(model, batches_for(model), budget)))


def inputs_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """Inputs of every output projection, (token, feature), by ``LAYER.SUBLAYER``; of all calls of a shared layer."""
    seen: dict[str, list[Tensor]] = {}
    mask = torch.ones(0)

    def watch(place: str) -> Any:
        return lambda _module, x: seen.setdefault(place, []).append(x[0][mask])

    hooks = [
        projection.register_forward_pre_hook(watch(f"{block.layer}.{name}"))
        for block in blocks(model)
        for name, projection, _, _ in projections(block)
    ]
    for batch in batches_for(model):
        mask = batch["attention_mask"].bool()
        logits(model, batch)
    for hook in hooks:
        hook.remove()
    return {place: torch.cat(parts) for place, parts in seen.items()}


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_weights_and_errors_of_a_stitched_model(family: str) -> None:
    """Every pruned sublayer has the weights of least damped error, and its error is the measured one."""
    model = tiny(family)
    *_, last = outcomes(model, 0.5)
    inputs, small, changed = inputs_of(model), last.smaller(model), 0
    for whole, own in zip(blocks(model), blocks(small), strict=True):
        for (name, projection, units, size), (_, pruned, left, _) in zip(
            projections(whole), projections(own), strict=True
        ):
            x, weight = inputs[f"{whole.layer}.{name}"], projection.get_parameter("weight").detach()
            hessian = 2 * x.T @ x / len(x)
            hessian += 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
            mask = last.masks.heads["self"] if name == "attention" else last.masks.neurons
            kept = mask[whole.layer, :units].repeat_interleave(size).nonzero().flatten().tolist()
            best = best_weight(hessian, weight, kept)
            [row] = [one for one in last.report if (one["layer"], one["sublayer"]) == (whole.layer, name)]
            assert row["units"] == left == len(kept) // size
            error = float((x @ (best - weight).T).norm() / (x @ weight.T).norm())
            assert row["error_after"] == pytest.approx(error, rel=1e-6, abs=1e-7)
            if left:
                torch.testing.assert_close(pruned.get_parameter("weight").detach(), best[:, kept], rtol=1e-6, atol=1e-8)
                changed += left < units
    assert changed >= 2


@pytest.mark.parametrize(
    "family",
    ["bert", "albert", *(pytest.param(name, marks=pytest.mark.slow) for name in ("distilbert", "roberta", "electra"))],
)
@pytest.mark.parametrize("kind", ["mac", "parameters"])
def test_budget_met_and_gated_is_removed(family: str, kind: str) -> None:
    model = tiny(family)
    for constraint in (0.2, 0.7):
        steps = outcomes(model, constraint, kind=kind)
        assert [step.stage for step in steps] == ["stitch", "search"]
        for step in steps:
            assert 0.6 * constraint < Budget(constraint, kind, LENGTH).share(model, step.masks) <= constraint
            with replaced(model, step.weights), gated(model, step.masks):
                expected = logits(model, batch_for(model))
            torch.testing.assert_close(logits(step.smaller(model), batch_for(model)), expected, rtol=0, atol=1e-9)


def test_a_sublayer_that_keeps_all_units_is_not_called_tuned() -> None:
    seen = set()
    for step in outcomes(tiny("bert"), 0.97):
        kept = {"attention": step.masks.heads["self"].sum(1), "ffn": step.masks.neurons.sum(1)}
        for row in step.report:
            whole = int(kept[row["sublayer"]][row["layer"]]) == {"attention": HEADS, "ffn": NEURONS}[row["sublayer"]]
            assert row["status"] == ("skipped: nothing is gone" if whole else "tuned")
            seen.add(whole)
    assert seen == {True, False}


def test_updates_are_worth_it() -> None:
    """The model with the same units but their old weights is further from the whole model."""
    model = tiny("bert")
    [step] = list(Ziplm(search_steps=0).compress(Problem(model, batches_for(model), Budget(0.6, "mac", LENGTH))))
    whole = torch.cat([logits(model, batch) for batch in batches_for(model)])
    with gated(model, step.masks):
        old = torch.cat([logits(model, batch) for batch in batches_for(model)])
    new = torch.cat([logits(step.smaller(model), batch) for batch in batches_for(model)])
    assert (new - whole).norm() < 0.8 * (old - whole).norm()


def test_a_sublayer_whose_normal_equations_are_singular_says_what_was_done() -> None:
    """Fewer tokens than features, without damping: the FFNs have no inverse. With the usual damping all have one."""
    model = tiny("bert")
    few = [batch_for(model, 1, 6)]
    for damping, status, used in ((0.0, "tuned with more damping", 1e-6), (0.01, "tuned", 0.01)):
        method = Ziplm(search_steps=0, damping=damping)
        [step] = list(method.compress(Problem(model, few, Budget(0.7, "mac", LENGTH))))
        ffns = {(row["status"], row["damping"]) for row in step.report if row["sublayer"] == "ffn" and row["units"]}
        assert ffns == {(status, used)}


def test_one_calibration_serves_all_budgets() -> None:
    model = tiny("bert")
    calls: list[Mapping[str, Any]] = []
    entry: dict[str, Tensor] = {}

    def keep(
        kind: EntryKind, stage: str, identity: Mapping[str, Any], compute: Callable[[], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        if not entry:
            entry.update(compute())
        calls.append({"kind": kind.name, "stage": stage, **identity})
        return dict(entry)

    for constraint in (0.3, 0.5, 0.9):
        problem = Problem(model, batches_for(model), Budget(constraint, "mac", LENGTH), keep=keep)
        own = list(Ziplm(search_steps=3).compress(problem))
        alone = list(Ziplm(search_steps=3).compress(Problem(model, batches_for(model), problem.budget)))
        for step, other in zip(own, alone, strict=True):
            assert torch.equal(step.masks.neurons, other.masks.neurons)
            assert step.weights.keys() == other.weights.keys()
            assert all(torch.equal(value, other.weights[name]) for name, value in step.weights.items())
    assert calls == 3 * [{"kind": "levels", "stage": "levels", "damping": 0.01, "ratio": 0.9}]


def test_database_by_name_is_the_same_again() -> None:
    model = tiny("bert", num_hidden_layers=11)
    database = take_levels(model, input_statistics(model, batches_for(model), products=True))
    again = LevelDatabase.from_tensors(database.to_tensors())
    assert list(again.sublayers) == list(database.sublayers)
    assert again.rows() == database.rows()
    first = again.rows()[0]
    assert (first["layer"], first["sublayer"], first["measured_error"]) == (0, "attention", 0)
    assert len(again.rows()) == 11 * (5 + len(database.sublayers["0.ffn"].counts))


def test_the_search_is_judged_on_what_it_was_given() -> None:
    """Its result diverges no more from the whole model's predictions than the start, on these rows."""
    model = tiny("bert")
    batches = batches_for(model)
    problem = Problem(model, batches, Budget(0.4, "mac", LENGTH))
    start, found = list(Ziplm(search_steps=25, search_examples=10_000).compress(problem))
    whole = torch.cat([logits(model, batch) for batch in batches]).log_softmax(-1)

    def divergence(step: Compression) -> float:
        own = torch.cat([logits(step.smaller(model), batch) for batch in batches]).log_softmax(-1)
        return float((whole.exp() * (whole - own)).sum(-1).mean())

    assert divergence(found) < divergence(start)


def test_a_uniform_shape_is_the_best_of_all_by_error_and_then_by_divergence() -> None:
    """All pairs of heads and neurons that are levels: cost and error of each from the model and its inputs."""
    model, constraint = tiny("bert"), 0.5
    batches, inputs = batches_for(model), inputs_of(model)
    database = take_levels(model, input_statistics(model, batches, products=True))
    lost: dict[tuple[str, int], float] = {}
    for block in blocks(model):
        for name, projection, _, size in projections(block):
            x, weight = inputs[place := f"{block.layer}.{name}"], projection.get_parameter("weight").detach()
            hessian = 2 * x.T @ x / len(x)
            hessian += 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)
            for count in database.sublayers[place].counts.tolist():
                kept = database.sublayers[place].mask(count).repeat_interleave(size).nonzero().flatten().tolist()
                best = best_weight(hessian, weight, kept)
                lost[place, count] = quadratic_error(hessian, weight, best) / 2
    errors, cheap = {}, constraint * cost(model, LENGTH).macs
    for heads, neurons in itertools.product(range(1, HEADS + 1), database.sublayers["0.ffn"].counts.tolist()[:-1]):
        counts = {place: heads if "attention" in place else neurons for place in database.sublayers}
        if cost(prune(model, database.masks(model, counts)), LENGTH).macs <= cheap:
            errors[heads, neurons] = sum(lost[place, count] for place, count in counts.items())

    def shape(step: Compression) -> tuple[int, int]:
        [heads], [neurons] = (set(mask.sum(1).tolist()) for mask in (step.masks.heads["self"], step.masks.neurons))
        return heads, neurons

    problem = Problem(model, batches, Budget(constraint, "mac", LENGTH), uniform=True)
    start, found = list(Ziplm(search_examples=10_000).compress(problem))
    assert len(errors) > 20 and shape(start) == min(errors, key=lambda one: errors[one])
    whole = torch.cat([logits(model, batch) for batch in batches]).log_softmax(-1)
    divergences = {}
    for heads in {heads for heads, _ in errors}:
        neurons = max(number for own, number in errors if own == heads)
        counts = {place: heads if "attention" in place else neurons for place in database.sublayers}
        small = Compression("", database.masks(model, counts), database.weights(model, counts)).smaller(model)
        own = torch.cat([logits(small, batch) for batch in batches]).log_softmax(-1)
        divergences[heads, neurons] = float((whole.exp() * (whole - own)).sum(-1).mean())
    assert len(divergences) >= 3 and shape(found) == min(divergences, key=lambda one: divergences[one])
    judged = sorted(row["divergence"] for row in found.tables["search"])
    assert judged == pytest.approx(sorted(divergences.values()), rel=1e-6)


def test_where_one_uniform_shape_fits_the_search_is_left_out_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny("bert")
    problem = Problem(model, batches_for(model), Budget(0.7, "mac", LENGTH), uniform=True, all_heads=True)
    [step] = list(Ziplm().compress(problem))
    assert step.stage == "stitch" and caplog.messages == ["search: left out, one uniform shape alone fits the budget"]
    caplog.clear()
    list(Ziplm(search_steps=0).compress(problem))
    assert not caplog.messages


def test_a_uniform_shape_out_of_reach_is_said_before_anything_is_computed() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match="leaves no room for a head and a neuron in every layer; it can go down to"):
        Ziplm().check(Problem(model, [], Budget(0.05, "mac", LENGTH), uniform=True))


def test_some_batches() -> None:
    batches = [{"input_ids": torch.full((4, 2), at)} for at in range(10)]
    assert [int(one["input_ids"][0, 0]) for one in some(batches, 12)] == [0, 4, 9]
    assert some(batches, 40) == some(batches, 1000) == batches
    assert len(some(batches, 1)) == 1


@pytest.mark.parametrize("kind", ["mac", "latency"])
def test_the_least_that_its_levels_cost_is_known_without_them(kind: str) -> None:
    model = tiny("bert")
    table = made_up(model, {0: 2, 4: 9}, {0: 3, 1: 11, 16: 12, 24: 26}) if kind == "latency" else None
    budget = Budget(0.5, kind, LENGTH, table)
    dense = 2 * budget.limit(model)
    costs = budget.costs(model)
    one = min(costs[0][1] - costs[0][0], costs[1][1] - costs[1][0])
    least = (sum(float(cost[0]) for cost in costs) + float(one)) / dense
    with pytest.raises(UserError, match="leaves no room for a single unit; it can go down to"):
        Ziplm().check(Problem(model, [], replace(budget, constraint=least * (1 - 1e-6))))
    enough = Problem(model, batches_for(model), replace(budget, constraint=least * (1 + 1e-6)))
    Ziplm().check(enough)
    [step] = list(Ziplm(search_steps=0).compress(enough))
    assert step.masks.heads_kept + step.masks.neurons_kept == 1


def test_inputs_that_are_not_finite() -> None:
    model = tiny("bert")
    statistics = input_statistics(model, batches_for(model), products=True)
    statistics["1.ffn.products"] = statistics["1.ffn.products"] * np.inf
    with pytest.raises(UserError, match="the inputs of layer 1's ffn output are not finite"):
        take_levels(model, statistics)


def test_levels_have_the_damping_and_the_ratio_that_are_asked_for() -> None:
    model = tiny("bert")
    statistics = input_statistics(model, batches_for(model), products=True)
    database = take_levels(model, statistics, damping=0.3, ratio=0.5)
    grid = {"attention": [4, 3, 2, 1, 0], "ffn": [24, 12, 6, 3, 1, 0]}
    for place, levels in database.sublayers.items():
        assert (levels.counts.tolist(), float(levels.damping)) == (grid[place.partition(".")[2]], 0.3)
    method = Ziplm(search_steps=0, damping=0.3, ratio=0.5)
    [step] = list(method.compress(Problem(model, batches_for(model), Budget(0.4, "mac", LENGTH))))
    assert all(row["units"] in grid[row["sublayer"]] for row in step.report)
    assert {row["damping"] for row in step.report if row["status"] == "tuned"} == {0.3}
