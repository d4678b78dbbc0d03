"""Mask tuning against a plain implementation that knows models by their outputs only."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import lsmr
from torch import Tensor, nn
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

import prunekit
from experiments.benchmarks.plain import tuning as plain
from prunekit.models.blocks import blocks, describe
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from prunekit.stages.refit.tuning import Tuned, tune
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, batch_for, logits, one_by_one, tiny
from tests.support.masks import random_masks, uneven_masks

Batch = dict[str, Tensor]


class Problem(NamedTuple):
    """A sublayer's least-squares problem, written out."""

    matrix: np.ndarray
    """(token and dimension, unit)"""
    residual: np.ndarray
    wanted: np.ndarray
    change: np.ndarray
    masks: Masks
    """With the solutions up to this sublayer."""

    @property
    def errors(self) -> tuple[float, float]:
        """Relative reconstruction error at scales of 1, and of the solution."""
        left = self.residual - self.matrix @ self.change
        size = np.linalg.norm(self.wanted)
        return float(np.linalg.norm(self.residual) / size), float(np.linalg.norm(left) / size)


def unshared(family: str) -> PreTrainedModel:
    """A tiny model of which each layer serves one depth."""
    return tiny(family, num_hidden_groups=4) if family == "albert" else tiny(family)


def calibration(model: PreTrainedModel, sizes: tuple[int, ...] = (12,)) -> list[Batch]:
    return [batch_for(model, rows=size, length=8 + seed, seed=seed) for seed, size in enumerate(sizes)]


def as_float(masks: Masks) -> Masks:
    heads = {kind: mask.double() for kind, mask in masks.heads.items()}
    return Masks(heads, masks.neurons.double(), masks.layers)


def row_of(masks: Masks, sublayer: str, layer: int) -> Tensor:
    return (masks.heads["self"] if sublayer == "attention" else masks.neurons)[layer]


def sums_before_norms(
    model: PreTrainedModel, masks: Masks, batches: list[Batch], sublayer: str, layer: int, first_token: bool
) -> np.ndarray:
    """x + sublayer(x) of all tokens, as the LayerNorm after the sublayer sees it."""
    seen: list[Tensor] = []
    block = blocks(model)[layer]
    norm = block.attention_norm if sublayer == "attention" else block.ffn_norm
    hook = norm.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with gated(model, masks), torch.no_grad():
        for batch in batches:
            model(**batch)
    hook.remove()
    tokens = [
        values[:, 0] if first_token else values[batch["attention_mask"].bool()]
        for values, batch in zip(seen, batches, strict=True)
    ]
    return torch.cat(tokens).flatten().numpy()


def plain_tuning(
    model: PreTrainedModel,
    masks: Masks,
    batches: list[Batch],
    variant: str,
    target: Masks,
    classifier: bool = True,
    solver: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Iterator[Problem]:
    """The problems of all sublayers that have units, with gates and nothing else.

    A column of A is what a sublayer's output gains when one unit's gate alone is open. The released code catches the
    input of an FFN before neurons are masked: its target is the target model's with all neurons of that layer.
    """
    soft, last, solver = as_float(masks), len(blocks(model)) - 1, solver or long_run_lsmr
    for layer in range(last + 1):
        for sublayer in ("attention", "ffn"):
            first_token = classifier and (sublayer, layer) == ("ffn", last)

            def run(masks: Masks, at: Any = (sublayer, layer, first_token)) -> np.ndarray:
                return sums_before_norms(model, masks, batches, *at)

            fitted = copy.deepcopy(target)
            if (variant, sublayer) == ("released", "ffn"):
                fitted.neurons[layer] = 1
            wanted, row = run(fitted), row_of(soft, sublayer, layer)
            kept = row.nonzero().flatten().tolist()
            if not kept or not masks.layers["self" if sublayer == "attention" else "ffn"][layer]:
                continue
            residual, columns = wanted - run(soft), []
            none = copy.deepcopy(soft)
            row_of(none, sublayer, layer).zero_()
            for unit in kept:
                one = copy.deepcopy(none)
                row_of(one, sublayer, layer)[unit] = row[unit]
                columns.append(run(one) - run(none))
            matrix = np.stack(columns, 1)
            if variant == "paper":
                change = damped_least_squares(matrix, residual)
            elif sublayer == "ffn":
                change = solver(matrix, residual)
            elif layer == 0:
                change = np.zeros(len(kept))
            else:
                with_ones = np.concatenate([matrix, np.ones((len(matrix), 1))], 1)
                change = solver(with_ones, residual - 1)[:-1]
            if np.abs(1 + change).max() <= 10:
                row[kept] *= 1 + torch.from_numpy(change)
            yield Problem(matrix, residual, wanted, change, copy.deepcopy(soft))


def damped_least_squares(matrix: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """The minimiser of ‖r - A δ‖² + ‖δ‖²."""
    identity = np.eye(matrix.shape[1])
    stacked = np.concatenate([matrix, identity]), np.concatenate([residual, np.zeros(len(identity))])
    return np.linalg.lstsq(*stacked, rcond=None)[0]


def long_run_lsmr(matrix: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """The released code's solver, on AᵀA with damping 1, without its limits."""
    return lsmr(matrix.T @ matrix, matrix.T @ residual, damp=1, atol=0, btol=0, conlim=0, maxiter=5000)[0]


def damped_normal_equations(matrix: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Where the released code's solver would end."""
    return damped_least_squares(matrix.T @ matrix, matrix.T @ residual)


def assert_equal(tuned: Tuned, expected: Masks, rtol: float) -> None:
    torch.testing.assert_close(tuned.masks.heads, expected.heads, rtol=rtol, atol=rtol)
    torch.testing.assert_close(tuned.masks.neurons, expected.neurons, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_every_family_against_the_plain_implementation(family: str, variant: str) -> None:
    model = unshared(family)
    batches, masks, ones = calibration(model), random_masks(model, seed=1), Masks.ones(describe(model))
    problems = list(plain_tuning(model, masks, batches, variant, target=ones))
    tuned = tune(model, masks, batches, variant=variant)
    assert_equal(tuned, problems[-1].masks, rtol=1e-9 if variant == "paper" else 1e-5)
    assert len(tuned.report) == len(problems) == 2 * len(blocks(model))
    for row, problem in zip(tuned.report, problems, strict=True):
        assert (row["error_before"], row["error_after"]) == pytest.approx(problem.errors, rel=1e-6)
        assert row["units"] == len(problem.change)
        if row["status"] == "tuned":
            assert row["largest_scale"] == pytest.approx(np.abs(1 + problem.change).max(), rel=1e-4)
    assert sum(row["status"] == "tuned" for row in tuned.report) >= len(problems) - 2


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_soft_masks_fold_into_the_weights(family: str) -> None:
    model = unshared(family)
    batch = batch_for(model)
    masks = random_masks(model, seed=1)
    soft = tune(model, masks, calibration(model)).masks
    for kept, scales in ((masks.heads["self"], soft.heads["self"]), (masks.neurons, soft.neurons)):
        assert torch.equal(scales != 0, kept)
    with gated(model, soft):
        expected = logits(model, batch)
    small = prunekit.prune(model, soft)
    torch.testing.assert_close(logits(small, batch), expected, rtol=0, atol=1e-10)
    hard = prunekit.prune(model, masks)
    assert sum(p.numel() for p in small.parameters()) == sum(p.numel() for p in hard.parameters())


def test_question_answering_is_fitted_on_all_tokens() -> None:
    classifier = tiny("bert", num_labels=2)
    model: Any = AutoModelForQuestionAnswering.from_config(classifier.config).double().eval()
    model.bert.load_state_dict(classifier.base_model.state_dict(), strict=False)
    batches, masks, ones = calibration(model), random_masks(model, seed=2), Masks.ones(describe(model))
    problems = list(plain_tuning(model, masks, batches, "paper", target=ones, classifier=False))
    tuned = tune(model, masks, [batch | {"start_positions": torch.zeros(len(batch))} for batch in batches])
    assert_equal(tuned, problems[-1].masks, rtol=1e-9)
    assert tuned.report[-1]["error_after"] == pytest.approx(problems[-1].errors[1])


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_an_assistant_as_target(variant: str) -> None:
    model = tiny("electra")
    batches, masks, assistant = calibration(model), random_masks(model, seed=1), random_masks(model, seed=4, kept=0.8)
    problems = list(plain_tuning(model, masks, batches, variant, target=assistant, solver=damped_normal_equations))
    tuned = tune(model, masks, batches, variant=variant, target="assistant", assistant=assistant)
    assert_equal(tuned, problems[-1].masks, rtol=1e-10)
    assert [row["status"] for row in tuned.report[1:]] == ["tuned"] * 5
    for row, problem in zip(tuned.report, problems, strict=True):
        assert (row["error_before"], row["error_after"]) == pytest.approx(problem.errors, rel=1e-9)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet"])
def test_the_benchmark_s_plain_implementation(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks and six passes a layer; with an exact solver it finds the same scales."""
    exact = staticmethod(lambda matrix, right, damp: (damped_least_squares(matrix, right), 1))
    monkeypatch.setattr(plain, "lsmr", exact)
    model = tiny(family)
    batches, masks, assistant = calibration(model), random_masks(model, seed=1), random_masks(model, seed=4, kept=0.8)
    expected = plain.plain_tune(model, masks, batches, assistant)
    tuned = tune(model, masks, batches, variant="released", target="assistant", assistant=assistant, on_failure="stop")
    assert_equal(tuned, expected, rtol=1e-10)
    assert [row["status"] for row in tuned.report[1:]] == ["tuned"] * 5


def test_removed_sublayers_and_sublayers_without_units() -> None:
    model = tiny("distilbert")
    masks, ones = uneven_masks(model), Masks.ones(describe(model))
    with pytest.raises(UserError, match=r"masks.hidden drops dimensions"):
        tune(model, masks, calibration(model))
    masks.hidden = None
    masks.layers["self"][2] = False
    tuned = tune(model, masks, calibration(model))
    *_, expected = plain_tuning(model, masks, calibration(model), "paper", target=ones)
    assert_equal(tuned, expected.masks, rtol=1e-9)
    status = {(row["layer"], row["sublayer"]): row["status"] for row in tuned.report}
    empty = [(0, "attention"), (1, "ffn"), (2, "attention"), (2, "ffn")]
    assert [place for place, said in status.items() if said == "skipped: no units left"] == empty
    assert [row["units"] for row in tuned.report if (row["layer"], row["sublayer"]) in empty] == [0] * 4
    for row in tuned.report:
        assert 0 < row["error_after"] <= row["error_before"]


def test_a_model_that_is_pruned_already() -> None:
    masks = random_masks(tiny("bert"), seed=3, kept=0.8)
    model = prunekit.prune(tiny("bert"), masks)
    again = random_masks(model, seed=5, kept=0.7)
    tuned = tune(model, again, calibration(model))
    *_, expected = plain_tuning(model, again, calibration(model), "paper", target=Masks.ones(describe(model)))
    assert_equal(tuned, expected.masks, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_error_never_grows(seed: int) -> None:
    model = tiny("roberta")
    masks = random_masks(model, seed=seed, kept=0.4)
    for variant in ("paper", "released"):
        for row in tune(model, masks, calibration(model), variant=variant).report:
            if variant == "paper" or row["sublayer"] == "ffn":
                assert row["error_after"] <= row["error_before"]


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_nothing_pruned_nothing_to_tune(variant: str) -> None:
    model = tiny("bert")
    ones = Masks.ones(describe(model))
    tuned = tune(model, ones, calibration(model), variant=variant)
    assert_equal(tuned, as_float(ones), rtol=1e-12 if variant == "paper" else 1e-5)
    assert max(row["error_before"] for row in tuned.report) < 1e-5


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_batches_padding_and_order_do_not_matter(variant: str) -> None:
    model = tiny("electra")
    masks, batches = random_masks(model, seed=1), calibration(model, (7, 1, 8))
    together = tune(model, masks, batches, variant=variant)
    apart = tune(model, masks, iter(one_by_one(batches)[::-1]), variant=variant, max_tokens=11)
    assert_equal(together, apart.masks, rtol=1e-7)
    for one, other in zip(together.report, apart.report, strict=True):
        assert one["status"] == other["status"]
        assert one["error_after"] == pytest.approx(other["error_after"])


def test_no_more_tokens_at_once_than_said() -> None:
    model = tiny("bert")
    most = {"tokens": 0}

    def count(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        most["tokens"] = max(most["tokens"], inputs[0].shape[:-1].numel())

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(count)
    tune(model, random_masks(model, seed=1), calibration(model, (20, 20)), max_tokens=15)
    assert 10 <= most["tokens"] <= 15


def test_float32_is_close_to_float64() -> None:
    masks = random_masks(tiny("bert"), seed=1)
    exact = tune(tiny("bert"), masks, calibration(tiny("bert")))
    model = tiny("bert", dtype=torch.float32)
    assert_equal(tune(model, masks, calibration(model)), exact.masks, rtol=2e-3)


def hopeless(layer: int, times: float = 100) -> tuple[PreTrainedModel, Masks]:
    """In one layer, the output of the neurons that stay would have to be so many times as large."""
    model = tiny("bert")
    masks = Masks.ones(describe(model))
    masks.neurons[layer, 12:] = False
    block: Any = blocks(model)[layer]
    with torch.no_grad():
        for parameter in (block.ffn_in.weight, block.ffn_in.bias):
            parameter[12:] = parameter[:12]
        block.ffn_out.weight[:, 12:] = times * block.ffn_out.weight[:, :12]
    return model, masks


def test_a_sublayer_out_of_range_is_discarded_and_the_next_ones_are_tuned() -> None:
    model, masks = hopeless(layer=1)
    tuned = tune(model, masks, calibration(model))
    status = [row["status"] for row in tuned.report]
    assert status == ["tuned"] * 3 + ["skipped: scale outside [-10, 10]"] + ["tuned"] * 2
    failed = tuned.report[3]
    assert failed["largest_scale"] > 10
    assert failed["error_after"] == failed["error_before"]
    assert torch.equal(tuned.masks.neurons[1], masks.neurons[1].double())
    *_, expected = plain_tuning(model, masks, calibration(model), "paper", target=Masks.ones(describe(model)))
    assert_equal(tuned, expected.masks, rtol=1e-9)
    assert not torch.equal(tuned.masks.neurons[2], masks.neurons[2].double())


@pytest.mark.parametrize(("times", "status"), [(8, "tuned"), (12, "skipped: scale outside [-10, 10]")])
def test_the_largest_scale_is_ten(times: float, status: str) -> None:
    """The neurons that stay have to stand for themselves as well: one more than what went was."""
    model, masks = hopeless(1, times)
    row = tune(model, masks, [{name: t.repeat(50, 1) for name, t in calibration(model)[0].items()}]).report[3]
    assert row["status"] == status
    assert row["largest_scale"] == pytest.approx(times + 1, abs=0.9)


def test_stop_leaves_all_later_sublayers_as_they_are() -> None:
    model, masks = hopeless(layer=1)
    done: list[int] = []
    tuned = tune(model, masks, calibration(model), on_failure="stop", progress=done.append)
    status = [row["status"] for row in tuned.report]
    assert status == ["tuned"] * 3 + ["skipped: scale outside [-10, 10]"] + ["not reached"] * 2
    assert done == [1] * 4
    assert tuned.report[-1]["error_before"] is tuned.report[-1]["error_after"] is None
    assert torch.equal(tuned.masks.heads["self"][2], torch.ones(4, dtype=torch.float64))
    assert torch.equal(tuned.masks.neurons[2], torch.ones(24, dtype=torch.float64))


def test_numbers_that_are_not_finite_are_no_solution() -> None:
    model = tiny("bert")
    block: Any = blocks(model)[2]
    block.ffn_out.weight.data[0, 0] = torch.inf
    tuned = tune(model, random_masks(model, seed=1), calibration(model))
    assert [row["status"] for row in tuned.report] == ["tuned"] * 5 + ["skipped: no finite solution"]
    assert torch.equal(tuned.masks.neurons[2] != 0, random_masks(model, seed=1).neurons[2])
    assert tuned.masks.neurons.isfinite().all()


def test_soft_masks_are_tuned_further() -> None:
    """Scales multiply what masks say already; the masks that were given stay as they are."""
    model = tiny("bert")
    hard = random_masks(model, seed=1)
    given = as_float(hard)
    given.neurons[given.neurons != 0] = 2
    tuned = tune(model, given, calibration(model))
    assert torch.equal(given.neurons, 2 * hard.neurons.double())
    *_, expected = plain_tuning(model, given, calibration(model), "paper", target=Masks.ones(describe(model)))
    assert_equal(tuned, expected.masks, rtol=1e-9)


def test_the_model_is_left_as_it_was() -> None:
    model = tiny("bert").train()
    before = copy.deepcopy(model.state_dict())
    done: list[int] = []
    masks = random_masks(model, seed=1)
    tune(model, masks, calibration(model), progress=done.append)
    assert done == [1] * 6
    assert model.training
    assert masks.neurons.dtype == torch.bool
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_bad_input() -> None:
    model = tiny("bert")
    masks, batches = Masks.ones(describe(model)), calibration(model)
    with pytest.raises(UserError, match="variant=papr: not known, there are paper, released"):
        tune(model, masks, batches, variant="papr")
    with pytest.raises(UserError, match="target=dens: not known, there are dense, assistant"):
        tune(model, masks, batches, target="dens")
    with pytest.raises(UserError, match="on_failure=go: not known, there are skip, stop"):
        tune(model, masks, batches, on_failure="go")
    for options in ({"target": "assistant"}, {"assistant": masks}):
        with pytest.raises(UserError, match="masks of an assistant are needed with target=assistant, and only there"):
            tune(model, masks, batches, **options)
    with pytest.raises(UserError, match="no examples to fit to"):
        tune(model, masks, [])
    with pytest.raises(UserError, match=r"masks.neurons has shape \(2, 24\); this model needs \(3, 24\)"):
        tune(model, Masks(masks.heads, masks.neurons[:2], masks.layers), batches)
    left = {**batches[0], "attention_mask": batches[0]["attention_mask"].flip(1)}
    with pytest.raises(UserError, match="padding must come after the tokens"):
        tune(model, masks, [left])
    shared = tiny("albert")
    with pytest.raises(UserError, match=r"runs the same layer at several depths.*use tune=false"):
        tune(shared, Masks.ones(describe(shared)), calibration(shared))
