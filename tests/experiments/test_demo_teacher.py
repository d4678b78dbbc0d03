"""The demo task does what it is there for: a small model learns it, and attention carries it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import perform


@pytest.mark.slow
def test_attention_carries_the_demo_task(tmp_path: Path) -> None:
    arguments = ["run.wandb=disabled", f"run.folder={tmp_path}"]
    ablated = perform("ablate_heads", *arguments)
    assert 0.85 <= ablated["metrics"]["baseline"] <= 0.97
    assert ablated["metrics"]["layers_significant"] >= 1  # the best single head of the layer is not enough
    layers = pd.read_csv(tmp_path / "ablate_heads" / ablated["run_id"] / "tables" / "layers.csv")
    assert (layers.delta[layers.significant] < 0).any()

    none_left = perform("prune_heads", *arguments, "order=magnitude", "share=1.0")
    assert none_left["sparsity"]["achieved_heads"] == 1
    assert abs(none_left["metrics"]["accuracy"] - 1 / 3) <= 0.05
