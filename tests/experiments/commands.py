"""Running verbs in tests: in this process, or as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from hydra import compose, initialize_config_dir

from experiments.entry import CONF

TINY = [
    "run.wandb=disabled",
    "task.train_rows=192",
    "task.evaluation_rows=96",
    "train.epochs=1",
    "train.batch_size=32",
    "model.shape={hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 16}",
]
"""Overrides under which every verb of the demo scale takes a moment."""


def perform(verb: str, *overrides: str) -> dict[str, Any]:
    """Run a verb in this process and return its record."""
    from experiments.reproduce import run_verb

    with initialize_config_dir(str(CONF), version_base="1.3"):
        record = run_verb(verb, list(overrides))
    assert record is not None
    return record


def composed(verb: str, *overrides: str) -> Any:
    """The typed configuration of a command line."""
    import importlib

    from experiments.entry import register, typed

    module: Any = importlib.import_module(f"experiments.{verb}")
    schema = getattr(module, "".join(part.capitalize() for part in verb.split("_")))
    register(verb, schema)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return typed(compose(config_name=verb, overrides=list(overrides)), schema)


def command(verb: str, *overrides: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m experiments.VERB OVERRIDES`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{verb}", *overrides],
        cwd=CONF.parent, env={**os.environ, "HF_HUB_OFFLINE": "1", **environment}, capture_output=True, text=True,
    )  # fmt: skip
