"""What verbs would take: every step runs at the model's own shape, and totals are steps times their number."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from experiments.benchmarks.estimate import random_examples, steps_of, totals
from prunekit.models.checkpoints import build
from tests.support.commands import composed
from tests.support.trainings import SHAPE

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_every_step_runs_and_leaves_the_model_as_it_was(family: str) -> None:
    model: Any = build(family, {**SHAPE, "max_position_embeddings": 80}, 3)
    config = composed("benchmark", "benchmark=estimate", "train.batch_size=4")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for call, units in steps_of(model, config, CPU, 8, seed=0).values():
        call()
        assert units >= 1
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    lengths = random_examples(model, config, 3, seed=0).lengths
    assert lengths.tolist() == [config.task.max_length] * 3


def test_totals_by_hand() -> None:
    config = composed("benchmark", "benchmark=estimate", "scale=paper")
    seconds = {
        "step of training": 2.0, "row of evaluation": 0.1, "row of importance": 0.3, "row of ablation": 5.0,
        "row of gradients": 0.5, "row of tuning": 0.25, "step of CoFi": 3.0,
    }  # fmt: skip
    found = totals(seconds, config, training_rows=320)
    assert found == pytest.approx({
        "finetune": 3 * 10 * 2.0 + 981.5,
        "prune_heads": 21 * 981.5 + 10_000 * 0.3,  # a grid of 0.05 has 21 points
        "ablate_heads": 9815 * 5.0,
        "prune_fisher": 2048 * 0.75 + 2 * 981.5,
        "prune_cofi": 40 * 10 * 3.0 + 2 * 981.5,
    })
