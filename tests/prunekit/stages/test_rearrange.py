"""Fast rearrangement against the plain algorithm, and against all masks there are."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from experiments.benchmarks.plain.fisher import plain_rearrange
from prunekit.models.masks import Masks
from prunekit.stages.refine.rearrange import rearrange
from prunekit.stages.score.gradients import diagonal
from prunekit.stages.units import UnitTensors


def random_gradients(rows: int, heads: tuple[int, int], neurons: tuple[int, int], seed: int = 0) -> UnitTensors:
    """Units of very different importance, whose gradients go together in groups, as those of a model do."""
    generator = torch.Generator().manual_seed(seed)

    def some(layers: int, units: int) -> Tensor:
        factors = torch.randn(rows, layers, 3, generator=generator, dtype=torch.float64)
        loadings = torch.randn(layers, 3, units, generator=generator, dtype=torch.float64)
        own = torch.randn(rows, layers, units, generator=generator, dtype=torch.float64)
        mixed = torch.einsum("rlf,lfu->rlu", factors, loadings) + own
        return mixed * torch.rand(layers, units, generator=generator, dtype=torch.float64)

    return UnitTensors(some(*heads), some(*neurons))


def least_important_pruned(gradients: UnitTensors, share: float) -> Masks:
    """The same share of heads and of neurons goes, over all layers."""

    def kept(importance: Tensor) -> Tensor:
        mask = torch.ones(importance.numel(), dtype=torch.bool)
        mask[importance.flatten().argsort()[: int(share * mask.numel())]] = False
        return mask.reshape(importance.shape)

    found = diagonal(gradients)
    layers = torch.ones(len(found.heads), dtype=torch.bool)
    return Masks({"self": kept(found.heads)}, kept(found.neurons), {"self": layers, "ffn": layers.clone()})


def objective(gradients: Tensor, mask: Tensor) -> Tensor:
    """(1 - m)ᵀ I (1 - m) of every layer, times the number of rows: (layer,)."""
    return (gradients * ~mask).sum(-1).square().sum(0)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize(("rows", "neurons"), [(1, 8), (8, 40), (64, 96), (200, 64)])
def test_the_same_masks_as_the_plain_algorithm(rows: int, neurons: int, share: float) -> None:
    gradients = random_gradients(rows, (3, 12), (3, neurons))
    masks = least_important_pruned(gradients, share)
    found, expected = rearrange(gradients, masks), plain_rearrange(gradients, masks)
    assert torch.equal(found.heads["self"], expected.heads["self"])
    assert torch.equal(found.neurons, expected.neurons)
    if share == 0.5 and rows > 1:
        assert not torch.equal(found.neurons, masks.neurons)
    for mine, before, values in (
        (found.heads["self"], masks.heads["self"], gradients.heads),
        (found.neurons, masks.neurons, gradients.neurons),
    ):
        assert mine.dtype == torch.bool
        assert torch.equal(mine.sum(1), before.sum(1))
        assert (objective(values, mine) <= objective(values, before) * (1 + 1e-12)).all()


def test_single_precision_rows_are_summed_in_double_precision() -> None:
    gradients = random_gradients(64, (2, 12), (2, 96))
    single = UnitTensors(gradients.heads.float(), gradients.neurons.float())
    masks = least_important_pruned(single, 0.5)
    exact = UnitTensors(single.heads.double(), single.neurons.double())
    assert torch.equal(rearrange(single, masks).neurons, plain_rearrange(exact, masks).neurons)


@pytest.mark.parametrize("seed", range(5))
def test_between_the_best_of_all_masks_and_the_diagonal_s(seed: int) -> None:
    gradients = random_gradients(6, (2, 4), (2, 9), seed)
    masks = least_important_pruned(gradients, 0.5)
    found = rearrange(gradients, masks)
    for layer in range(2):
        values, before = gradients.neurons[:, layer : layer + 1], masks.neurons[layer : layer + 1]
        least = min(
            objective(values, torch.ones(9, dtype=torch.bool).index_fill(0, torch.tensor(chosen), False)).item()
            for chosen in combinations(range(9), int((~before).sum()))
        )
        mine = objective(values, found.neurons[layer : layer + 1]).item()
        assert least * (1 - 1e-12) <= mine <= objective(values, before).item() * (1 + 1e-12)


def test_two_that_cancel_go_together_by_hand() -> None:
    """Neurons 1 and 3 together change next to nothing; the diagonal alone prunes 0 and 1."""
    row = torch.tensor([[1.0, 1.1, 3.0, -1.2]], dtype=torch.float64)
    masks = Masks(
        {"self": torch.tensor([[True, True]])},
        torch.tensor([[False, False, True, True]]),
        {"self": torch.tensor([True]), "ffn": torch.tensor([True])},
    )
    found = rearrange(UnitTensors(torch.ones(1, 1, 2), row[:, None]), masks)
    assert found.neurons.tolist() == [[True, False, True, False]]  # (1.1 - 1.2)² is less than (1.0 - 1.2)²
    assert found.heads["self"].tolist() == [[True, True]]


def test_equal_candidates_are_taken_in_order() -> None:
    """All units are the same: the first candidate is kept, which is another one only for the last neuron."""
    heads = torch.ones(2, 1, 2)
    neurons = torch.ones(2, 1, 5)
    layers = torch.ones(1, dtype=torch.bool)
    masks = Masks({"self": torch.tensor([[True, True]])}, torch.tensor([[True, True, False, False, True]]),
                  {"self": layers, "ffn": layers})  # fmt: skip
    found = rearrange(UnitTensors(heads, neurons), masks)
    assert found.neurons.tolist() == plain_rearrange(UnitTensors(heads, neurons), masks).neurons.tolist()
    assert found.neurons.tolist() == [[True, True, True, False, False]]


def test_units_that_do_not_exist_stay_out() -> None:
    gradients = random_gradients(16, (2, 4), (2, 20))
    gradients.heads[:, 1, 2:] = 0
    gradients.neurons[:, 0, 11:] = 0
    gradients.neurons[:, 1] = 0
    masks = least_important_pruned(gradients, 0.85)
    found = rearrange(gradients, masks)
    assert not found.heads["self"][1, 2:].any()
    assert not found.neurons[0, 11:].any() and not found.neurons[1].any()
    assert found.neurons_kept == masks.neurons_kept


def test_rows_of_all_kept_or_all_pruned_stay_and_the_input_does_too() -> None:
    gradients = random_gradients(16, (3, 4), (3, 20))
    masks = least_important_pruned(gradients, 0.5)
    masks.neurons[0], masks.neurons[1], masks.heads["self"][0] = True, False, False
    before = Masks({"self": masks.heads["self"].clone()}, masks.neurons.clone(), masks.layers)
    found = rearrange(gradients, masks)
    assert found.neurons[0].all() and not found.neurons[1].any() and not found.heads["self"][0].any()
    assert not torch.equal(found.neurons[2], masks.neurons[2])
    assert torch.equal(masks.neurons, before.neurons) and torch.equal(masks.heads["self"], before.heads["self"])
    assert found.layers is masks.layers
