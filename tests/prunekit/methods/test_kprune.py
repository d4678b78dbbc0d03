"""K-prune against a plain loop: whole models, one row at a time, least squares written out."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from prunekit.methods.common.method import Compression
from prunekit.methods.common.problem import Problem
from prunekit.methods.common.registry import method
from prunekit.methods.kprune import Kprune
from prunekit.models.blocks import Block, blocks, describe
from prunekit.models.costs import head_macs, head_weights, neuron_macs, neuron_weights
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.stages.refit.residual_refit import ResidualStreams
from prunekit.stages.search.budget import Budget
from prunekit.stages.search.uniform import uniform_share
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import HEADS, HIDDEN, LAYERS, NEURONS, batch_for, logits, one_by_one, tiny

LENGTH = 9
PREDICTIVE, REPRESENTATIONAL, MU, TEMPERATURE, DAMPING = 0.7, 3e-3, 5.0, 0.5, 0.02


def compressed(model: PreTrainedModel, batches: list[Any], constraint: float, **options: Any) -> Compression:
    method = Kprune(
        predictive=PREDICTIVE, representational=REPRESENTATIONAL, head_weight=MU, temperature=TEMPERATURE,
        damping=DAMPING, **options,
    )  # fmt: skip
    *_, last = method.compress(Problem(model, batches, Budget(constraint, "mac", LENGTH)))
    return last


def inputs_of(model: PreTrainedModel, rows: list[dict[str, Tensor]]) -> dict[tuple[int, str], Tensor]:
    """Of every output projection, over all tokens; and of every LayerNorm, the residual stream after a sublayer,
    as ``norm attention`` and ``norm ffn``; and of every layer as ``in``."""
    seen: dict[tuple[int, str], list[Tensor]] = {}
    with ExitStack() as hooks, torch.no_grad():

        def watch(block: Block, name: str, module: Any) -> None:
            def before(_module: Any, inputs: Any, kwargs: Any) -> None:
                x = inputs[0] if inputs else kwargs["hidden_states"]
                seen.setdefault((block.layer, name), []).append(x[0].clone())

            hooks.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)

        for block in blocks(model):
            for name, module in (
                ("attention", block.o), ("ffn", block.ffn_out), ("norm attention", block.attention_norm),
                ("norm ffn", block.ffn_norm), ("in attention", block.module), ("in ffn", block.ffn_in),
            ):  # fmt: skip
                watch(block, name, module)
        for row in rows:
            model(**row)
    return {place: torch.cat(parts) for place, parts in seen.items()}


class Plain:
    """The same, written out. A unit that is gone has columns of zeros."""

    def __init__(
        self,
        model: PreTrainedModel,
        rows: list[dict[str, Tensor]],
        constraint: float,
        released: bool,
        cost: dict[str, int] | None = None,
        numbers: dict[str, int] | None = None,
    ) -> None:
        self.whole, self.now, self.rows, self.released = model, copy.deepcopy(model), rows, released
        size = HIDDEN // HEADS
        self.macs = {"attention": head_macs(HIDDEN, size, LENGTH), "ffn": neuron_macs(HIDDEN, LENGTH)}
        self.cost = cost or self.macs
        self.size = {"attention": size, "ffn": 1}
        self.number = {"attention": HEADS, "ffn": NEURONS}
        self.left = constraint * LAYERS * sum(self.cost[one] * self.number[one] for one in self.cost)
        self.kept: dict[tuple[int, str], list[int]] = {}
        places = [(layer, sublayer) for layer in range(LAYERS) for sublayer in ("attention", "ffn")]
        for at, place in enumerate(places):
            scores = self.scores(places[at:])
            ranked = sorted(scores, key=lambda unit: -scores[unit])
            spent, kept = 0.0, []
            for unit in ranked:
                if spent + self.cost[unit[1]] > self.left:
                    break
                spent += self.cost[unit[1]]
                kept += [unit[2]] if unit[:2] == place else []
            if numbers is not None:
                kept = [unit[2] for unit in ranked if unit[:2] == place][: numbers[place[1]]]
            self.kept[place] = sorted(kept)
            self.left -= len(kept) * self.cost[place[1]]
            self.fit(place)

    def projection(self, model: PreTrainedModel, layer: int, sublayer: str) -> Any:
        block = blocks(model)[layer]
        return block.o if sublayer == "attention" else block.ffn_out

    def scores(self, places: list[tuple[int, str]]) -> dict[tuple[int, str, int], float]:
        own, gradients = inputs_of(self.now, self.rows), self.gradients()
        scores = {}
        for layer, sublayer in places:
            weight, size = self.projection(self.now, layer, sublayer).weight.detach(), self.size[sublayer]
            features = own[layer, sublayer]
            for unit in range(self.number[sublayer]):
                columns = range(unit * size, (unit + 1) * size)
                seen = [
                    sum(float(x) ** 2 for x in features[:, j]) / len(features) * float(weight[:, j].square().mean())
                    for j in columns
                ]
                gradient = gradients[sublayer][:, layer, unit]
                known = PREDICTIVE * float(gradient.square().mean()) / 2 + REPRESENTATIONAL * sum(seen) / size
                scores[layer, sublayer, unit] = known / self.macs[sublayer] * (MU if sublayer == "attention" else 1)
        return scores

    def gradients(self) -> dict[str, Tensor]:
        by_row: dict[str, list[Tensor]] = {"attention": [], "ffn": []}
        for row in self.rows:
            heads = torch.ones(LAYERS, HEADS, dtype=torch.float64, requires_grad=True)
            neurons = torch.ones(LAYERS, NEURONS, dtype=torch.float64, requires_grad=True)
            ones = torch.ones(LAYERS)
            with gated(self.now, Masks({"self": heads}, neurons, {"self": ones, "ffn": ones})):
                own = F.log_softmax(self.now(**row).logits / TEMPERATURE, -1)
            other = F.log_softmax(logits(self.whole, row) / TEMPERATURE, -1)
            loss = (other.exp() * (other - own)).sum() * TEMPERATURE**2
            for name, gradient in zip(by_row, torch.autograd.grad(loss, (heads, neurons)), strict=True):
                by_row[name].append(gradient)
        stacked = {name: torch.stack(rows) for name, rows in by_row.items()}
        if self.released:
            stacked = {name: torch.stack([g.mean(0) for g in rows.split(32)]) for name, rows in stacked.items()}
        return stacked

    def fit(self, place: tuple[int, str]) -> None:
        layer, sublayer = place
        size = self.size[sublayer]
        columns = [unit * size + at for unit in self.kept[place] for at in range(size)]
        own, wanted = inputs_of(self.now, self.rows), inputs_of(self.whole, self.rows)[layer, f"norm {sublayer}"]
        projection = self.projection(self.now, layer, sublayer)
        target = wanted - own[layer, f"in {sublayer}"] - projection.bias
        features, before = own[place][:, columns], projection.weight[:, columns].T
        weight = torch.zeros_like(projection.weight)
        with torch.no_grad():
            if columns and self.released:
                weight[:, columns] = (torch.linalg.pinv(features) @ target).T
            elif columns:
                products = features.T @ features
                root = (DAMPING * products.diagonal().mean()).sqrt() * torch.eye(len(columns), dtype=torch.float64)
                damped, wanted = torch.cat([features, root]), torch.cat([target, root @ before])
                weight[:, columns] = torch.linalg.lstsq(damped, wanted).solution.T
            projection.weight.copy_(weight)


@pytest.mark.parametrize(("constraint", "variant"), [
    (0.5, "paper"),
    pytest.param(0.2, "paper", marks=pytest.mark.slow),
    pytest.param(0.6, "released", marks=pytest.mark.slow),
])  # fmt: skip
def test_it_is_the_plain_loop(constraint: float, variant: str) -> None:
    model = tiny("bert")
    batches = [batch_for(model, 8, LENGTH, seed) for seed in range(5)]
    plain = Plain(model, one_by_one(batches), constraint, variant == "released")
    result = compressed(model, batches, constraint, variant=variant)
    for layer in range(LAYERS):
        for sublayer, mask in (("attention", result.masks.heads["self"]), ("ffn", result.masks.neurons)):
            assert mask[layer].nonzero().flatten().tolist() == plain.kept[layer, sublayer], (layer, sublayer)
    assert 0 < sum(map(len, plain.kept.values())) < LAYERS * (HEADS + NEURONS)
    for batch in batches:
        torch.testing.assert_close(logits(result.smaller(model), batch), logits(plain.now, batch), rtol=1e-6, atol=1e-8)


def searched(problem: Problem) -> Compression:
    """With the settings of the plain loop."""
    [result] = list(
        Kprune(
            predictive=PREDICTIVE, representational=REPRESENTATIONAL, head_weight=MU, temperature=TEMPERATURE,
            damping=DAMPING,
        ).compress(problem)
    )  # fmt: skip
    return result


def kept_units(result: Compression) -> dict[tuple[int, str], list[int]]:
    """By layer and sublayer."""
    masks = {"attention": result.masks.heads["self"], "ffn": result.masks.neurons}
    return {(layer, sublayer): mask[layer].nonzero().flatten().tolist()
            for sublayer, mask in masks.items() for layer in range(LAYERS)}  # fmt: skip


@pytest.mark.parametrize("all_heads", [False, True])
def test_a_uniform_shape_keeps_the_share_of_other_methods_and_what_knows_most(all_heads: bool) -> None:
    model = tiny("bert")
    batches = [batch_for(model, 3, LENGTH, seed) for seed in range(2)]
    budget = Budget(0.75, "mac", LENGTH)
    nothing = UnitTensors(torch.zeros(LAYERS, HEADS), torch.zeros(LAYERS, NEURONS))
    share = uniform_share(nothing, model, budget, all_heads=all_heads)
    numbers = {"attention": int(share.heads["self"][0].sum()), "ffn": int(share.neurons[0].sum())}
    plain = Plain(model, one_by_one(batches), 0.75, False, numbers=numbers)
    problem = Problem(model, batches, budget, uniform=True, all_heads=all_heads)
    result = searched(problem)
    assert kept_units(result) == plain.kept
    assert 0 < numbers["ffn"] < NEURONS and (numbers["attention"] == HEADS) == all_heads
    batch = batches[0]
    torch.testing.assert_close(logits(result.smaller(model), batch), logits(plain.now, batch), rtol=1e-6, atol=1e-8)


def damped_fit(
    features: Tensor, wanted: Tensor, weight: Tensor, damping: Tensor, columns: Tensor
) -> tuple[float, Tensor]:
    """The weights W' (d, feature) of some columns, 0 in the others, with the least ‖F W'ᵀ - wanted‖² + λ ‖W' - W‖², and
    that."""
    pulled = damping.sqrt() * torch.eye(int(columns.sum()), dtype=torch.float64)
    targets = torch.cat([wanted, pulled @ weight[:, columns].T])
    fitted = torch.zeros_like(weight)
    fitted[:, columns] = torch.linalg.lstsq(torch.cat([features[:, columns], pulled]), targets).solution.T
    error = (features @ fitted.T - wanted).square().sum() + damping * (fitted - weight).square().sum()
    return float(error), fitted


def test_no_single_swap_is_left_after_swaps_and_the_weights_are_exact() -> None:
    """Of every sublayer in its order, on the model as it is by then; so many units stay as the search left."""
    model, now = tiny("bert"), copy.deepcopy(tiny("bert"))
    batches = [batch_for(model, 8, LENGTH, seed) for seed in range(3)]
    rows = one_by_one(batches)
    problem = Problem(model, batches, Budget(0.5, "mac", LENGTH), refine="swap")
    searched, swapped = list(Kprune(damping=DAMPING).compress(problem))
    assert (searched.stage, swapped.stage) == ("search", "swap")
    whole, exchanged = inputs_of(model, rows), 0
    for report, block in zip(swapped.report, [one for one in blocks(now) for _ in range(2)], strict=True):
        sublayer, layer = report["sublayer"], report["layer"]
        size, projection = (HIDDEN // HEADS, block.o) if sublayer == "attention" else (1, block.ffn_out)
        masks = [step.masks.heads["self"] if size > 1 else step.masks.neurons for step in (searched, swapped)]
        start, found = (mask[layer] for mask in masks)
        own = inputs_of(now, rows)
        weight, bias = (projection.get_parameter(name).detach().clone() for name in ("weight", "bias"))
        features, stream = own[layer, sublayer], whole[layer, f"norm {sublayer}"]
        wanted = stream - own[layer, f"in {sublayer}"] - bias
        squares = features.square().sum(0)
        damping = DAMPING * squares[start.repeat_interleave(size)].mean()
        solved = partial(damped_fit, features, wanted, weight, damping)
        assert 0 < int(found.sum()) == int(start.sum())
        reached, fitted = solved(found.repeat_interleave(size))
        if not found.all():
            assert reached <= solved(start.repeat_interleave(size))[0] * (1 + 1e-9)
            for leaving in found.nonzero().flatten().tolist():
                for joining in (~found).nonzero().flatten().tolist():
                    other = found.clone()
                    other[leaving], other[joining] = False, True
                    assert solved(other.repeat_interleave(size))[0] >= reached * (1 - 1e-6)
            exchanged += int((found & ~start).sum())
        with torch.no_grad():
            projection.get_parameter("weight").copy_(fitted)
        after = float((features @ fitted.T - wanted).norm() / stream.norm())
        old = weight.masked_fill(~start.repeat_interleave(size), 0.0)
        before = float((features @ old.T - wanted).norm() / stream.norm())
        assert (report["error_before"], report["error_after"]) == (pytest.approx(before), pytest.approx(after))
    assert exchanged >= 3
    batch = batches[0]
    torch.testing.assert_close(logits(swapped.smaller(model), batch), logits(now, batch), rtol=1e-6, atol=1e-8)


def test_where_no_swap_helps_the_weights_stay_those_of_the_search() -> None:
    model = tiny("bert")
    problem = Problem(model, [batch_for(model)], Budget(0.5, "mac", LENGTH), refine="swap")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prunekit.stages.refit.residual_refit.exchange", lambda swept: None)
        searched, swapped = list(Kprune().compress(problem))
    assert searched.weights.keys() == swapped.weights.keys()
    for name, weight in searched.weights.items():
        torch.testing.assert_close(swapped.weights[name], weight, rtol=1e-8, atol=1e-10)
    pairs = zip(searched.report, swapped.report, strict=True)
    assert all(one["error_after"] == pytest.approx(other["error_after"], rel=1e-6) for one, other in pairs)


def test_the_refit_is_worth_it_and_says_by_how_much() -> None:
    model = tiny("distilbert")
    report = compressed(model, [batch_for(model, 8, LENGTH, seed) for seed in range(3)], 0.5).report
    assert [(row["layer"], row["sublayer"]) for row in report] == [
        (layer, sublayer) for layer in range(LAYERS) for sublayer in ("attention", "ffn")
    ]
    fitted = [row for row in report if row["status"] == "tuned"]
    assert len(fitted) >= LAYERS
    assert all(row["error_after"] <= row["error_before"] for row in fitted)
    assert sum(row["error_after"] for row in fitted) < 0.8 * sum(row["error_before"] for row in fitted)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_released_solution_counts_the_directions_that_it_leaves_out(dtype: torch.dtype) -> None:
    """Fewer tokens than neurons: FᵀF has the rank of the tokens. With damping none is left out."""
    model, tokens = tiny("bert", dtype=dtype), 6
    few = [batch_for(model, 1, tokens)]
    few[0]["attention_mask"] = torch.ones_like(few[0]["attention_mask"])
    released, paper = (compressed(model, few, 0.7, variant=variant).report for variant in ("released", "paper"))
    ffns = [row for row in released if row["sublayer"] == "ffn" and row["units"] > tokens]
    assert ffns and all(row["dropped"] == row["units"] - tokens for row in ffns)
    assert all(row["dropped"] == 0 for row in paper)


def test_what_it_cannot_do() -> None:
    model, own = tiny("albert"), tiny("bert")
    with pytest.raises(UserError, match="one layer cannot be fitted to the outputs of several"):
        Kprune().check(Problem(model, [], Budget(0.5, "mac", LENGTH)))
    with pytest.raises(UserError, match=r"method\.options\.variant: 'theirs' is unknown, choose from paper, released"):
        method("kprune", {"variant": "theirs"})
    with pytest.raises(UserError, match="refine: variant=released of kprune has no swaps"):
        Kprune(variant="released").check(Problem(own, [], Budget(0.5, "mac", LENGTH), refine="swap"))


def test_a_model_that_would_be_left_without_a_unit_is_refused() -> None:
    """Heads, a unit of which costs more than the budget, know most, and no neuron is reached."""
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.neurons[-1] = False
    shrunk = prune(model, masks)
    head, neuron = head_macs(HIDDEN, HIDDEN // HEADS, LENGTH), neuron_macs(HIDDEN, LENGTH)
    dense = LAYERS * HEADS * head + (LAYERS - 1) * NEURONS * neuron
    assert 3 * neuron < head
    problem = Problem(shrunk, [batch_for(model)], Budget(2 * neuron / dense, "mac", LENGTH))
    [kept] = list(Kprune(head_weight=0).compress(problem))
    assert int(kept.masks.neurons.sum()) == 2 and not kept.masks.heads["self"].any()
    with pytest.raises(UserError, match="leaves no room for a unit of the last sublayer; it can go down to"):
        list(Kprune(head_weight=1e6).compress(problem))


def test_scores_are_by_macs_whatever_the_budget() -> None:
    """Head and neuron cost otherwise in parameters, and the same units know most."""
    model = tiny("bert")
    batches = [batch_for(model, 8, LENGTH, seed) for seed in range(3)]
    head, neuron = head_weights(HIDDEN, HIDDEN // HEADS), neuron_weights(HIDDEN)
    problem = Problem(model, batches, Budget(0.5, "parameters", LENGTH))
    plain = Plain(model, one_by_one(batches), 0.5, False, cost={"attention": head, "ffn": neuron})
    assert kept_units(searched(problem)) == plain.kept


@torch.no_grad()
def test_errors_of_a_refit_are_those_of_the_residual_stream() -> None:
    """Of attention of which every other feature stays, with the weights at hand and with those that are fitted."""
    model, kept, seen = tiny("bert"), torch.arange(0, HIDDEN, 2), dict[str, list[Tensor]]()
    batch, first = batch_for(model, 8, LENGTH), blocks(model)[0]
    with ExitStack() as stack:
        for name, module in (("features", first.o), ("stream", first.attention_norm)):
            own = seen.setdefault(name, [])
            hook = module.register_forward_pre_hook(lambda _module, inputs, own=own: own.append(inputs[0][0]))
            stack.callback(hook.remove)
        for row in one_by_one([batch]):
            logits(model, row)
    features, stream = (torch.cat(parts) for parts in seen.values())
    with ExitStack() as files:
        refit = ResidualStreams(model, [batch], 64, files).refit("attention", first, first, kept, DAMPING)
    weight = first.o.get_parameter("weight")
    for fitted, error in ((weight[:, kept], refit.error_before), (refit.weight, refit.error_after)):
        missing = features[:, kept] @ fitted.T - features @ weight.T
        assert error == pytest.approx(float(missing.norm() / stream.norm()), rel=1e-9)
    assert 0 < refit.error_after < refit.error_before
