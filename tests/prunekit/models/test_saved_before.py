"""Pruned models that were saved before the library was sorted into packages still load, and answer as they did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import prunekit

SAVED = Path(__file__).parents[2] / "fixtures" / "saved"
HEADS = {"bert": "3, 0", "albert": "3, 0", "marian": "3, 0"}


@pytest.mark.parametrize("folder", sorted(SAVED.iterdir()), ids=lambda folder: folder.name)
def test_loads_and_answers(folder: Path) -> None:
    model = prunekit.load(folder)
    assert HEADS[folder.name] in str(prunekit.describe(model))
    ids = torch.arange(5, 21).reshape(2, 8) % 30 + 4
    target = {"decoder_input_ids": ids[:, :4]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), **target).logits
    expected = torch.tensor(json.loads((folder / "expected.json").read_text()))
    assert torch.allclose(logits.flatten()[: len(expected)], expected, atol=1e-6)


def test_there_are_some() -> None:
    assert {folder.name for folder in SAVED.iterdir()} == set(HEADS)
