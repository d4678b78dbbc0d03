"""The names that the README shows, used as it shows them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

import prunekit
from tests.support.families import batch_for, logits, tiny


def test_the_library_from_load_to_scores(tmp_path: Path) -> None:
    prunekit.save(tiny("bert", dtype=torch.float32), tmp_path / "plain")
    model = prunekit.load(tmp_path / "plain")
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][0, 1] = False
    masks.neurons[2, :5] = False
    assert masks.hidden is not None
    masks.hidden[[3, 12]] = False
    batch = batch_for(model)
    with torch.no_grad():
        with prunekit.gated(model, masks):
            gated = model(**batch).logits
        small = prunekit.prune(model, masks)
        torch.testing.assert_close(small(**batch).logits, gated, rtol=0, atol=1e-5 * float(gated.abs().max()))
    prunekit.save(small, tmp_path / "pruned")
    again = prunekit.load(tmp_path / "pruned")
    assert prunekit.cost(again, sequence_length=32) == prunekit.cost(small, sequence_length=32)
    labels = torch.zeros(len(batch["input_ids"]), dtype=torch.long)
    scores = prunekit.head_importance(model, [{**batch, "labels": labels}])
    assert scores["self"].shape == (3, 4)


def test_importing_the_library_does_not_wait_for_torch() -> None:
    code = "import sys, prunekit, prunekit.config.sections; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fisher_pruning_in_five_lines() -> None:
    """As the README shows it."""
    from prunekit.stages.refine.rearrange import rearrange
    from prunekit.stages.refit.tuning import tune
    from prunekit.stages.score.gradients import diagonal, mask_gradients
    from prunekit.stages.search.mac_search import mac_search

    model = tiny("bert")
    batches = [batch_for(model, seed=seed) | {"labels": torch.tensor([0, 1, 2, 0])} for seed in range(3)]
    gradients = mask_gradients(model, batches)
    masks = mac_search(diagonal(gradients), model, length=9, constraint=0.5)
    masks = rearrange(gradients, masks)
    tuned = tune(model, masks, batches)
    small = prunekit.prune(model, tuned.masks)
    assert prunekit.cost(small, 9).macs <= 0.5 * prunekit.cost(model, 9).macs
    assert {row["status"] for row in tuned.report} >= {"tuned"}
    with prunekit.gated(model, tuned.masks):
        expected = logits(model, batches[0])
    torch.testing.assert_close(logits(small, batches[0]), expected, rtol=0, atol=1e-10)
