"""A paper from end to end at the scale of an encoder of its own size, with everything small but what the scale runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.commands import command

CACHE = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
ON_DEMO = [
    "model=demo", "task=demo", "task.train_rows=600", "task.evaluation_rows=96", "scale.tasks=[demo]",
    "scale.baseline_task=demo", "scale.ablation_task=demo", "~scale.sparsities.mrpc", "+scale.sparsities.demo=[0.5]",
    "scale.compared_sparsity=0.5",
]  # fmt: skip
ON_MNLI = ["train.examples=64"]
"""A second set of the same labels, on which the effect of heads is compared, has only the real task."""
TINY = [
    "run.wandb=disabled", "run.quiet_seconds=0", "run.threads=1", "model.weights=scratch",
    "model.shape={hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 16}",
    "train.epochs=1", "train.evaluation_examples=32", "scale.evaluation_examples=32", "scale.importance_examples=16",
    "scale.selection_examples=16", "scale.grid=0.5", "scale.repeats=1", "scale.lengths=[16]",
    "scale.calibration_examples=32", "scale.calibration_sizes=[16,32]", "scale.teacher_seeds=[0,1]",
    "scale.random_seeds=[0]", "scale.constraints=[0.5]", "scale.latency_constraints=[0.64]", "scale.further_seeds=[1]",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("paper", "overrides", "verbs"),
    [
        ("kwon", ON_DEMO, {"finetune", "latency_table", "prune_fisher"}),
        ("cofi", ON_DEMO, {"finetune", "prune_cofi"}),
        pytest.param(
            "michel", ON_MNLI, {"ablate_heads", "finetune", "prune_heads", "time_inference", "transfer"},
            marks=[
                pytest.mark.real_data,
                pytest.mark.skipif(
                    not (CACHE / "datasets" / "stanfordnlp___snli").is_dir() or os.environ.get("HF_HUB_OFFLINE") != "1",
                    reason="needs HF_HOME=FOLDER with GLUE, SNLI and MPNet-base in its caches, and HF_HUB_OFFLINE=1",
                ),
            ],
        ),
    ],
    ids=["kwon", "cofi", "michel"],
)  # fmt: skip
def test_base_size_from_end_to_end(tmp_path: Path, paper: str, overrides: list[str], verbs: set[str]) -> None:
    done = command(
        "reproduce", f"paper={paper}", "scale=base", *TINY, *overrides, f"run.folder={tmp_path / 'runs'}",
        f"figures={tmp_path / 'figures'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "SCALE=base" in done.stdout and "could not be drawn" not in done.stdout
    assert verbs <= {path.name for path in (tmp_path / "runs").iterdir()}
    assert list((tmp_path / "figures").rglob("*.png"))
