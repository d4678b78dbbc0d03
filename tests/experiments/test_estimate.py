"""What verbs would take: every step runs at the model's own shape, and totals are steps times their number."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hydra import initialize_config_dir

from experiments.benchmarks.estimate import random_examples, steps_of, student_of, totals, training_rows
from experiments.cli.composition import CONF
from prunekit.cofi.recipe import StudentConfig
from prunekit.models.checkpoints import build
from prunekit.runs.schema.checking import folder_problems
from prunekit.support.errors import UserError
from tests.support.commands import TINY, called, composed, perform
from tests.support.fake_cuda import fake_cuda
from tests.support.trainings import SHAPE

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_every_step_runs_and_leaves_the_model_as_it_was(family: str) -> None:
    model: Any = build(family, {**SHAPE, "max_position_embeddings": 80}, 3)
    config = composed("benchmark", "benchmark=estimate", "train.batch_size=4")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recipe = StudentConfig(batch_size=2, precision="bfloat16")
    for call, units in steps_of(model, config, recipe, CPU, 8, seed=0).values():
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
    student = StudentConfig(prune_epochs=3, finetune_epochs=2, batch_size=16, held_out=100)
    expected = {
        "finetune": 3 * 10 * 2.0 + 981.5,
        "prune_heads": 21 * 981.5 + 10_000 * 0.3,  # a grid of 0.05 has 21 points
        "ablate_heads": 9815 * 5.0,
        "prune_fisher": 2048 * 0.75 + 2 * 981.5,
        "prune_cofi": 6 * 14 * 3.0 + 2 * 981.5,  # 220 rows a pass
    }
    assert totals(seconds, config, student, rows=320) == pytest.approx(expected)
    student = dataclasses.replace(student, select_on="validation")
    assert totals(seconds, config, student, rows=320)["prune_cofi"] == pytest.approx(6 * 20 * 3.0 + 2 * 981.5)


@pytest.mark.parametrize(
    ("scale", "rows", "epochs", "precision"),
    [("demo", 30_000, 6, "float32"), ("base", 5000, 5, "bfloat16"), ("paper", 64, 40, "float32")],
)
def test_students_and_rows_are_those_of_the_scale(scale: str, rows: int, epochs: int, precision: str) -> None:
    config = composed("benchmark", "benchmark=estimate", f"scale={scale}", *["train.examples=5000"] * (scale == "base"))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        student = student_of(config)
    assert (training_rows(config, 64), student.epochs, student.precision) == (rows, epochs, precision)


def test_the_verb(tmp_path: Path) -> None:
    done = called("benchmark", "benchmark=estimate", "examples=64", "repeats=1", f"run.folder={tmp_path}", *TINY)
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.glob("benchmark/*/result.json")
    metrics, steps = json.loads(path.read_text())["metrics"], pd.read_csv(path.parent / "tables" / "steps.csv")
    assert not (path.parent / "tables" / "repeats.csv").exists()
    assert steps["repeat"].tolist() == [0] * 7 and (steps["peak_megabytes"] > 0).all()
    assert {f"seconds_one {row.step}": row.seconds for row in steps.itertuples()} == pytest.approx(
        {name: value for name, value in metrics.items() if name.startswith("seconds_one")}
    )
    assert metrics["not_estimated"] == (
        "compress, head_dynamics, latency_table, quantize, time_decoding, time_inference, transfer"
    )
    assert [*folder_problems(path.parent)] == []


def test_what_computes_on_the_cpu_is_not_measured_under_the_name_of_a_gpu(tmp_path: Path) -> None:
    with fake_cuda(), pytest.raises(UserError, match=r"^run.device: benchmark=ziplm computes on the CPU, use cpu$"):
        perform("benchmark", "benchmark=ziplm", "run.device=cuda:0", f"run.folder={tmp_path}", *TINY)
