"""Settings of small runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prunekit.config.sections import ModelConfig, RunConfig, Settings, TrainConfig
from prunekit.config.task import TaskConfig


def finetune(folder: Path, **train: Any) -> Settings:
    shape = {"hidden_size": 8, "num_hidden_layers": 1}
    return Settings(
        model=ModelConfig(name="m", weights="scratch", shape=shape),
        task=TaskConfig(name="demo", source="demo"),
        train=TrainConfig(**train),
        run=RunConfig(folder=str(folder), wandb="disabled"),
    )
