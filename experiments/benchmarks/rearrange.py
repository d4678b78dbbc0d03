"""Rearrangement of a layer's neurons with running sums, beside sums built anew for every candidate.

Gradients are drawn: normal, of as many neurons as the model's layers have, each neuron with a size of its own. Half of
the neurons are pruned, those with the least squares.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from experiments.benchmarks.paired import Found, Subject, paired
from experiments.benchmarks.plain_fisher import plain_rearranged_layer
from prunekit.blocks import describe
from prunekit.fisher.rearrange import rearrange_layer


def compare(subject: Subject) -> Found:
    neurons = max(shape.neurons for shape in describe(subject.model).ffn)
    generator = torch.Generator().manual_seed(subject.seed)
    sizes = torch.rand(neurons, generator=generator, dtype=torch.float64).exp()
    gradients = torch.randn(subject.size, neurons, generator=generator, dtype=torch.float64) * sizes
    mask = torch.ones(neurons, dtype=torch.bool)
    mask[gradients.square().sum(0).argsort()[: neurons // 2]] = False
    functions = {
        "plain": lambda: plain_rearranged_layer(gradients, mask),
        "fast": lambda: torch.from_numpy(rearrange_layer(gradients, mask.numpy())),
    }
    return paired(subject, functions, lambda results: agreement(mask, results))


def agreement(before: Tensor, results: dict[str, Tensor]) -> dict[str, Any]:
    """Whether both found the same mask, and how many neurons it exchanged."""
    differing = int((results["plain"] != results["fast"]).sum())
    return {
        "neurons": len(before), "same_masks": differing == 0, "different_units": differing,
        "exchanged": int((results["fast"] & ~before).sum()),
    }  # fmt: skip
