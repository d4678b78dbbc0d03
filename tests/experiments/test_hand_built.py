"""The plain PyTorch model that pruned models are timed beside is the same model."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedModel

import prunekit
from experiments.benchmarks.hand_built import HandBuilt
from tests.families import FAMILY_NAMES, VOCABULARY, tiny


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_hand_built_is_the_pruned_model(family: str) -> None:
    model: PreTrainedModel = tiny(family)
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][0, 1] = False
    masks.heads["self"][1] = False  # no head left: its bias stays
    masks.neurons[0, 3:9] = False
    masks.neurons[1] = False
    pruned = prunekit.prune(model, masks)
    ids = torch.randint(5, VOCABULARY, (3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(HandBuilt(pruned)(ids), pruned(input_ids=ids).logits, rtol=0, atol=1e-10)
