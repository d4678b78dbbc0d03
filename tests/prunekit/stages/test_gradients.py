"""Mask gradients against autograd through gates, against finite differences, and by arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

import prunekit
from prunekit.data.batches import Batch, model_inputs
from prunekit.data.kinds import example_losses
from prunekit.models.masks import Masks
from prunekit.stages.score.gradients import by_batch, diagonal, mask_gradients, released_group
from prunekit.stages.units import UnitTensors
from prunekit.support.errors import UserError
from tests.support.families import (
    ATTENTIONS,
    FAMILY_NAMES,
    HEADS,
    LABELS,
    LAYERS,
    NEURONS,
    PAD,
    assert_left_as_it_was,
    labelled_batches,
    one_by_one,
    tiny,
)

ROWS = 8


def through_gates(model: PreTrainedModel, batches: list[Batch]) -> UnitTensors:
    """Autograd through gates of ones with a batch dimension."""
    heads, neurons = [], []
    for batch in batches:
        ones = Masks.ones(prunekit.describe(model), torch.float64)
        rows = len(batch["input_ids"])
        head_gates, neuron_gates = (
            gate.expand(rows, -1, -1).clone().requires_grad_() for gate in (ones.heads["self"], ones.neurons)
        )
        with prunekit.gated(model, Masks({"self": head_gates}, neuron_gates, ones.layers)):
            loss = example_losses(model(**model_inputs(batch)), batch).sum()
        gradients = torch.autograd.grad(loss, (head_gates, neuron_gates), materialize_grads=True)
        heads.append(gradients[0])
        neurons.append(gradients[1])
    return UnitTensors(torch.cat(heads), torch.cat(neurons))


def assert_equal(actual: UnitTensors, expected: UnitTensors, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(actual.heads, expected.heads, rtol=rtol, atol=1e-12)
    torch.testing.assert_close(actual.neurons, expected.neurons, rtol=rtol, atol=1e-12)


def test_groups_of_the_released_code() -> None:
    sizes = [released_group(questions=q, large=large) for q in (False, True) for large in (False, True)]
    assert sizes == [32, 16, 12, 6]


def test_classifiers_of_every_family(model: PreTrainedModel) -> None:
    batches = labelled_batches(model)
    found = mask_gradients(model, batches)
    assert found.heads.dtype == found.neurons.dtype == torch.float64
    assert found.heads.shape[0] == ROWS and found.neurons.shape[-1] == NEURONS
    assert (found.heads != 0).all()
    assert (found.neurons[:, -1] != 0).all()  # the first token's alone in the last layer
    assert_equal(found, through_gates(model, batches))


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_question_answering_of_every_family(family: str, attention: str) -> None:
    model = tiny(family, attention, head=AutoModelForQuestionAnswering, num_labels=2)
    batches = labelled_batches(model)
    assert_equal(mask_gradients(model, batches), through_gates(model, batches))


def with_pads(batch: Batch, pads: int = 11) -> Batch:
    """The same rows, with more padding."""
    added = {"input_ids": PAD, "attention_mask": 0, "token_type_ids": 0}
    return {
        name: torch.nn.functional.pad(value, (0, pads), value=added[name]) if name in added else value
        for name, value in batch.items()
    }


@pytest.mark.parametrize("labels", ["gold", "predicted"])
@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_padding_is_no_answer(family: str, labels: str) -> None:
    model = tiny(family, head=AutoModelForQuestionAnswering, num_labels=2)
    batches = one_by_one(labelled_batches(model))
    longer = [with_pads(batch) for batch in batches]
    found, padded = (mask_gradients(model, rows, labels=labels) for rows in (batches, longer))
    torch.testing.assert_close(padded.heads, found.heads, rtol=0, atol=1e-10)
    torch.testing.assert_close(padded.neurons, found.neurons, rtol=0, atol=1e-10)
    torch.testing.assert_close(diagonal(padded).heads, diagonal(found).heads, rtol=0, atol=1e-10)
    torch.testing.assert_close(diagonal(padded).neurons, diagonal(found).neurons, rtol=0, atol=1e-10)
    with torch.no_grad():
        losses, with_more = (
            torch.cat([example_losses(model(**model_inputs(row)), row) for row in rows]) for rows in (batches, longer)
        )
    torch.testing.assert_close(with_more, losses, rtol=0, atol=1e-10)


def test_the_released_code_lets_padding_compete() -> None:
    """Its loss is the model's own, softmax over all places of the batch."""
    model = tiny("bert", head=AutoModelForQuestionAnswering, num_labels=2)
    [batch] = labelled_batches(model, (3,))
    batch = with_pads(batch)
    ones = Masks.ones(prunekit.describe(model), torch.float64)
    heads = ones.heads["self"].requires_grad_()
    with prunekit.gated(model, ones):
        answers = {name: batch[name] for name in ("start_positions", "end_positions")}
        loss = model(**model_inputs(batch), **answers).loss
        [expected] = torch.autograd.grad(loss, [heads])
    found = mask_gradients(model, [batch], padding=True).heads.mean(0)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert (mask_gradients(model, [batch]).heads.mean(0) - expected).abs().max() > 0.01


def test_regression() -> None:
    model = tiny("roberta", num_labels=1)
    assert_equal(mask_gradients(model, labelled_batches(model)), through_gates(model, labelled_batches(model)))


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_finite_differences_one_example_at_a_time(family: str) -> None:
    model = tiny(family)
    batches, step = labelled_batches(model, sizes=(2, 1)), 1e-5
    found = mask_gradients(model, batches)

    def loss(row: Batch, kind: str, layer: int, unit: int, gate: float) -> float:
        masks = Masks.ones(prunekit.describe(model), torch.float64)
        (masks.heads["self"] if kind == "heads" else masks.neurons)[layer, unit] = gate
        with torch.no_grad(), prunekit.gated(model, masks):
            return example_losses(model(**model_inputs(row)), row).item()

    for place, row in enumerate(one_by_one(batches)):
        for kind, layer, unit in [("heads", 0, 1), ("heads", 1, 3), ("neurons", 0, 5), ("neurons", 1, 23)]:
            above, below = (loss(row, kind, layer, unit, 1 + sign * step) for sign in (1, -1))
            derivative = getattr(found, kind)[place, layer, unit].item()
            assert derivative == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("family", ["distilbert", "albert"])
def test_batches_padding_and_order_do_not_matter(family: str) -> None:
    model = tiny(family)
    batches = labelled_batches(model)
    together = mask_gradients(model, batches)
    assert_equal(mask_gradients(model, one_by_one(batches)[::-1]), together)
    without_index = [{name: value for name, value in batch.items() if name != "index"} for batch in batches]
    assert_equal(mask_gradients(model, iter(without_index)), together)


@pytest.mark.parametrize("head", [None, AutoModelForQuestionAnswering])
def test_predicted_labels_are_the_model_s_own(head: type | None) -> None:
    model = tiny("electra", head=head, num_labels=2) if head else tiny("electra")
    batches = labelled_batches(model)
    replaced = []
    for batch in batches:
        with torch.no_grad():
            output = model(**model_inputs(batch))
        if head:
            tokens = batch["attention_mask"].bool()
            logits = {"start_positions": output.start_logits, "end_positions": output.end_logits}
            own = {name: values.where(tokens, -torch.inf).argmax(-1) for name, values in logits.items()}
        else:
            own = {"labels": output.logits.argmax(-1)}
        replaced.append(batch | own)
    found = mask_gradients(model, batches, labels="predicted")
    assert_equal(found, mask_gradients(model, replaced), rtol=1e-12)
    assert not torch.allclose(found.heads, mask_gradients(model, batches).heads)


def test_uneven_widths_and_removed_sublayers() -> None:
    dense = tiny("bert")
    masks = Masks.ones(prunekit.describe(dense))
    masks.heads["self"][0, [0, 2]] = False
    masks.heads["self"][1] = False
    masks.neurons[1, :20] = False
    masks.layers["self"][2] = False
    masks.layers["ffn"][0] = False
    model = prunekit.prune(dense, masks)
    exists = Masks.ones(prunekit.describe(model))
    found, batches = mask_gradients(model, labelled_batches(model)), labelled_batches(model)
    assert torch.equal((found.heads != 0).any(0), exists.heads["self"])
    assert torch.equal((found.neurons != 0).any(0), exists.neurons)
    assert_equal(found, through_gates(model, batches))


def test_no_unit_is_left() -> None:
    masks = Masks.ones(prunekit.describe(tiny("bert")))
    masks.heads["self"][:] = False
    masks.neurons[:] = False
    model = prunekit.prune(tiny("bert"), masks)
    found = mask_gradients(model, labelled_batches(model))
    assert found.heads.shape == (ROWS, LAYERS, 0) and found.neurons.shape == (ROWS, LAYERS, 0)


def test_model_is_left_as_it_was_and_progress_counts_rows() -> None:
    assert_left_as_it_was(lambda model, progress: mask_gradients(model, labelled_batches(model), progress=progress))


def test_bad_input() -> None:
    model = tiny("bert")
    with pytest.raises(UserError, match="labels=golden: not known, there are gold, predicted"):
        mask_gradients(model, labelled_batches(model), labels="golden")
    with pytest.raises(UserError, match="no examples"):
        mask_gradients(model, [])
    regression = tiny("bert", num_labels=1)
    with pytest.raises(UserError, match="labels=predicted: a regression model"):
        mask_gradients(regression, labelled_batches(regression), labels="predicted")
    batches = labelled_batches(model)
    batches[0]["input_ids"][batches[0]["input_ids"] == 30] = 31
    batches[1]["input_ids"][0, 1] = 30
    with torch.no_grad():
        model.get_input_embeddings().get_parameter("weight")[30] = torch.nan
    with pytest.raises(UserError, match=r"loss or gradients of batch 1 \(from 0\) are not finite"):
        mask_gradients(model, batches)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_model_that_computes_something_else_is_refused() -> None:
    model = tiny("bert")
    block = prunekit.models.blocks.blocks(model)[1]
    block.module.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    with pytest.raises(RuntimeError, match="do not give the model's own logits"):
        mask_gradients(model, labelled_batches(model))


def random_units(rows: int, heads: tuple[int, int] = (2, 3), neurons: tuple[int, int] = (2, 5)) -> UnitTensors:
    generator = torch.Generator().manual_seed(0)
    return UnitTensors(*(torch.randn(rows, *shape, generator=generator) for shape in (heads, neurons)))


def test_gradients_by_batch_are_those_of_the_mean_loss() -> None:
    model = tiny("bert", num_labels=LABELS)
    batches = labelled_batches(model)
    found = by_batch(mask_gradients(model, batches), size=3)
    ones = Masks.ones(prunekit.describe(model), torch.float64)
    rows = one_by_one(batches)
    for number, group in enumerate([rows[:3], rows[3:6], rows[6:]]):
        gate = ones.neurons.clone().requires_grad_()
        with prunekit.gated(model, Masks(ones.heads, gate, ones.layers)):
            losses = torch.cat([example_losses(model(**model_inputs(row)), row) for row in group])
        expected = torch.autograd.grad(losses.mean(), gate)[0]
        torch.testing.assert_close(found.neurons[number], expected, rtol=1e-9, atol=1e-12)


def test_diagonal_is_the_mean_square_in_float64() -> None:
    gradients = random_units(300)
    found = diagonal(gradients)
    for name in ("heads", "neurons"):
        rows: Tensor = getattr(gradients, name).double()
        assert getattr(found, name).dtype == torch.float64
        torch.testing.assert_close(getattr(found, name), (rows**2).mean(0), rtol=1e-14, atol=0)
    assert found.heads.shape == (2, HEADS - 1)
