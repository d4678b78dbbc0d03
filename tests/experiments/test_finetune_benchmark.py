"""The Trainer that fine-tuning is timed beside takes the same steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention

from experiments.benchmarks import finetune as benchmark
from experiments.benchmarks.finetune import CHECKED_STEPS, loss_curves, of_transformers, with_trainer
from prunekit.config.sections import TrainConfig
from prunekit.data.batches import Examples
from prunekit.data.kinds import encode
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer
from prunekit.models.checkpoints import build
from tests.support.trainings import SHAPE, TASK

CPU = torch.device("cpu")
CONFIG = TrainConfig(batch_size=4, learning_rate=1e-2, epochs=1)


@pytest.fixture(scope="module")
def examples() -> Examples:
    """One more than whole batches."""
    task = dataclasses.replace(TASK, train_rows=CHECKED_STEPS * CONFIG.batch_size - 3)
    return encode(load_rows(task, task.train), demo_tokenizer())


def small(family: str) -> Any:
    return build(family, {**SHAPE, "max_position_embeddings": 80}, 3)


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_both_have_the_same_losses(family: str, examples: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(family)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert loss_curves(model, CONFIG, examples, CPU)["max_loss_difference"] < 1e-5
    assert all(value.equal(before[name]) for name, value in model.state_dict().items()) and not model.training
    monkeypatch.setattr(benchmark, "SCHEDULES", {"linear": lambda *_: 1.0})  # of the Trainer alone
    assert loss_curves(model, CONFIG, examples, CPU)["max_loss_difference"] > 1e-3


def test_the_trainer_has_transformers_own_modules_and_learns(examples: Examples) -> None:
    plain = of_transformers(small("mpnet"))
    assert {type(one) for one in plain.modules() if isinstance(one, MPNetSelfAttention)} == {MPNetSelfAttention}
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    state = torch.get_rng_state()
    with_trainer(plain, CONFIG, examples, CPU, shuffled=True)
    assert torch.equal(torch.get_rng_state(), state)
    moved = [name for name, value in plain.named_parameters() if not torch.equal(value, before[name])]
    assert "mpnet.encoder.relative_attention_bias.weight" in moved
