"""Two processes under torchrun train what one process trains, a pruned model too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import prunekit
from experiments.cli.composition import CONF
from prunekit.data.tokenizers import load_tokenizer
from prunekit.models import checkpoints
from tests.support.commands import TINY, called, composed, perform

SETTINGS = [
    *TINY, "train.batch_size=31", "task.train_rows=187",  # 16 and 15 of a batch, the last one of a single example
    "train.epochs=2", "train.learning_rate=1e-2", "run.threads=1",
    "model.shape={hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 16, "
    "hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}",
]  # fmt: skip


def torchrun(*overrides: str) -> subprocess.CompletedProcess[str]:
    """Two processes on CPU."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m",
         "experiments.finetune", *overrides],
        cwd=CONF.parent, env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True,
    )  # fmt: skip


def pruned(folder: Path) -> list[str]:
    """A model without a head, some neurons and a whole FFN, and the settings that train it."""
    record = perform("finetune", *SETTINGS, f"run.folder={folder}")
    model = prunekit.load(folder / "finetune" / record["run_id"] / "model")
    masks = prunekit.Masks.ones(prunekit.describe(model))
    masks.heads["self"][0, 1] = False
    masks.neurons[0, 3:9] = False
    masks.neurons[1] = False
    small = prunekit.prune(model, masks)
    checkpoints.save(small, folder / "small", tokenizer=load_tokenizer(composed("finetune", *SETTINGS).model))
    return [f"model.path={folder}/small", "model.weights=pretrained", "model.name=small"]


def assert_same_training(one: Path, two: Path, processes: int) -> dict[str, Any]:
    [alone], [shared] = ([path for path in root.glob("finetune/*") if path.is_dir()] for root in (one, two))
    assert alone.name == shared.name
    records = [json.loads((folder / "result.json").read_text()) for folder in (alone, shared)]
    assert records[1]["device"]["processes"] == processes and "processes" not in records[0]["device"]
    logs = [[json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            for folder in (alone, shared)]  # fmt: skip
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]] == [7, 14]
    for own, other in zip(*logs, strict=True):
        assert own["loss"] == pytest.approx(other["loss"], abs=2e-5)
    # a pruned model's weights have a name of their own
    weights = [load_file(next((folder / "model").glob("*.safetensors"))) for folder in (alone, shared)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=0, atol=2e-4)
    return records[1]


@pytest.mark.slow  # that shares of a batch add up to the whole of it, test_processes.py asserts without processes
def test_a_model_and_what_pruning_left_of_it(tmp_path: Path) -> None:
    small = pruned(tmp_path / "teacher")
    for name, settings in (("whole", []), ("small", small)):
        alone, shared = tmp_path / name / "one", tmp_path / name / "two"
        perform("finetune", *SETTINGS, *settings, f"run.folder={alone}")
        done = torchrun(*SETTINGS, *settings, f"run.folder={shared}")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("record: ") == 1  # the first process alone tells
        assert_same_training(alone, shared, processes=2)
        assert not list(shared.rglob("*.tmp"))


def test_only_a_training_is_shared_out() -> None:
    for verb, *overrides in (["prune_heads", "share=0.5"], ["finetune", "-m", "train.seed=0,1"]):
        told = [called(verb, *overrides, WORLD_SIZE="2", RANK=rank) for rank in ("0", "1")]
        assert [done.returncode for done in told] == [2, 2]
        assert told[0].stderr.startswith(f"{verb}: torchrun shares a training out over processes: it takes `finetune`")
        assert told[1].stderr == ""
