"""Shapes of logged runs, built from their counts of units alone, cost what the runs recorded."""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from prunekit.cofi.shape_models import shaped, whole_model
from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.runs.local_input import local_input
from prunekit.runs.recorded_shape import RecordedShape, read_shape
from prunekit.runs.schema.checking import folder_problems
from prunekit.support.errors import UserError
from tests.support.commands import composed, perform

LOGGED = Path(__file__).parents[3] / "analysis" / "logged_runs"
COFI = {
    "hidden, heads, neurons": "060d10eea87a25cb",
    "layers as well": "f291e912ea909586",
    "no hidden": "27b193d76043626d",
    "random units": "b0408c1673a4114a",
    "whole layers": "beb43d9ff08ab77f",
    "heads and neurons by magnitude": "b415c0ac4b649116",
    "small dense": "ecaa8ea924761dee",
    "three labels": "fd3e071c97639093",
}


@cache
def dense(outputs: int) -> Any:
    """A whole MiniLM with so many outputs; its weights do not matter."""
    record = {2: LOGGED / "prune_cofi" / COFI["no hidden"], 3: LOGGED / "prune_cofi" / COFI["three labels"]}[outputs]
    return whole_model(read_shape(record), seed=0)


def built(shape: RecordedShape) -> Any:
    return shaped(dense(shape.task.outputs), shape, seed=0)


def assert_as_recorded(folder: Path) -> None:
    shape, result = read_shape(folder), json.loads((folder / "result.json").read_text())
    small = built(shape)
    own, whole = cost(small, shape.length), cost(dense(shape.task.outputs), shape.length)
    assert whole.parameters == result["model"]["parameters"] == 22_713_986 + 385 * (shape.task.outputs - 2)
    assert own.parameters == sum(p.numel() for p in small.parameters())
    assert own.parameters == round(result["metrics"]["remaining_parameters"] * whole.parameters) < whole.parameters
    assert 1 - own.macs / whole.macs == result["sparsity"]["achieved_macs"]
    kept = pd.read_csv(folder / "tables" / "kept.csv").groupby("unit")["kept"].sum()
    assert (describe(small).heads, describe(small).neurons) == (kept["heads"], kept["neurons"])
    assert describe(small).hidden == kept.get("hidden", 384)


@pytest.mark.parametrize("kind", COFI)
def test_a_shape_of_cofi_costs_what_its_run_recorded(kind: str) -> None:
    assert_as_recorded(LOGGED / "prune_cofi" / COFI[kind])


def test_a_shape_of_fisher_pruning_costs_what_its_run_recorded() -> None:
    folder = next(path for path in sorted((LOGGED / "prune_fisher").iterdir()) if constraint(path) == 0.3)
    assert_as_recorded(folder)
    stages = pd.read_csv(folder / "tables" / "stages.csv")
    shape = read_shape(folder)
    assert (cost(built(shape), shape.length).parameters, cost(built(shape), shape.length).macs) == tuple(
        stages[["parameters", "macs"]].iloc[-1]
    )


def constraint(folder: Path) -> float:
    config = json.loads((folder / "result.json").read_text())["config"]
    return float(config["constraint"]) if config["task"]["name"] == "sst2" else 1.0


@pytest.mark.slow
def test_every_logged_shape_costs_what_its_run_recorded() -> None:
    for folder in sorted([*(LOGGED / "prune_cofi").iterdir(), *(LOGGED / "prune_fisher").iterdir()]):
        shape = read_shape(folder)
        shaped(whole_model(shape, seed=0), shape, seed=0)  # which checks it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a record of CoFi."""
    return Path(shutil.copytree(LOGGED / "prune_cofi" / COFI["layers as well"], tmp_path / "run"))


@pytest.mark.parametrize("unit", ["neurons", "heads", "hidden"])
def test_another_shape_than_the_recorded_one_is_refused(folder: Path, unit: str) -> None:
    path = folder / "tables" / "kept.csv"
    table = pd.read_csv(path)
    before = read_shape(folder).fingerprint
    place = table.index[(table["unit"] == unit) & (table["kept"] > 1)][0]
    table.loc[place, "kept"] -= 1
    table.to_csv(path, index=False)
    shape = read_shape(folder)
    assert shape.fingerprint != before
    line = rf"shape_of: {folder} recorded 0\.489.* remaining_parameters, its shape built here has 0\.48"
    with pytest.raises(UserError, match=line):
        built(shape)


def test_macs_are_held_to_the_record_as_well() -> None:
    shape = read_shape(LOGGED / "prune_cofi" / COFI["layers as well"])
    with pytest.raises(UserError, match=r"recorded 0\.\d+ remaining_macs, its shape built here has 0\."):
        built(dataclasses.replace(shape, length=shape.length + 1))


def test_a_model_that_the_record_does_not_describe_is_refused() -> None:
    shape = read_shape(LOGGED / "prune_cofi" / COFI["no hidden"])
    with pytest.raises(UserError, match="recorded 22713986 parameters of the whole model, its shape built here has 22"):
        shaped(dense(3), shape, seed=0)


def test_what_is_no_record_of_a_pruned_model_is_refused(folder: Path) -> None:
    curve = next((LOGGED / "prune_heads").iterdir())
    with pytest.raises(UserError, match="is a run of prune_heads, whose record has no one pruned model; right would"):
        read_shape(curve)
    with pytest.raises(UserError, match=r"shape_of: .*none/result.json: missing, the run did not finish; give the"):
        read_shape(folder / "none")
    (folder / "tables" / "kept.csv").write_text("unit,layer\nheads,0\n")
    with pytest.raises(UserError, match=r"shape_of: .*kept.csv: column kept is missing; give"):
        read_shape(folder)


@pytest.fixture
def narrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record as if its model had 24 dimensions and a hundred words."""
    result = json.loads((folder / "result.json").read_text())
    result["config"]["model"]["shape"] |= {"hidden_size": 24, "vocab_size": 100, "max_position_embeddings": 128}
    kept = pd.read_csv(folder / "tables" / "kept.csv")
    kept.loc[kept["unit"] == "hidden", ["kept", "total"]] = (20, 24)
    kept.to_csv(folder / "tables" / "kept.csv", index=False)
    costs: list[tuple[int, int]] = []
    with monkeypatch.context() as patch:
        patch.setattr(RecordedShape, "check", lambda self, dense, pruned: costs.extend([dense, pruned]))
        (folder / "result.json").write_text(json.dumps(result))
        shape = read_shape(folder)
        shaped(whole_model(shape, seed=0), shape, seed=0)
    (before, macs), (after, left) = costs
    result["model"]["parameters"] = before
    result["metrics"] |= {"remaining_parameters": after / before, "remaining_macs": left / macs}
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_the_command_times_a_recorded_shape_and_says_which(tmp_path: Path, narrow: Path) -> None:
    small = ["lengths=[4,9]", "batch_sizes=[1,2]", "repeats=1", "warmup=0", "run.quiet_seconds=0", "run.wandb=disabled"]
    own = [*small, f"shape_of={narrow}", f"run.folder={tmp_path}"]
    record = perform("time_inference", *own)
    assert record["model"]["shape_of"] == f"prune_cofi/{COFI['layers as well']}"
    assert record["model"]["shape_fingerprint"] == read_shape(narrow).fingerprint
    assert (record["model"]["name"], record["model"]["weights"]) == ("minilm-l6", "random")
    assert record["config"]["task"]["name"] == "sst2" and record["data"] == [] and record["teacher"] is None
    result = json.loads((narrow / "result.json").read_text())
    assert record["model"]["parameters"] == result["model"]["parameters"] < 1_000_000
    for name in ("parameters", "macs"):
        assert record["sparsity"][f"achieved_{name}"] == 1 - result["metrics"][f"remaining_{name}"]
    run = tmp_path / "time_inference" / record["run_id"]
    table = pd.read_csv(run / "tables" / "latency.csv")
    assert table[["batch_size", "length"]].to_numpy().tolist() == [[1, 4], [2, 4], [1, 9], [2, 9]]
    assert record["metrics"]["speedup_batch_2"] == table["speedup"].iloc[3]
    assert list(folder_problems(run)) == []
    assert list(record["quiet"]) == ["time inference"]
    # another content of the record is another run
    (narrow / "result.json").write_text(json.dumps(result | {"finished": "later"}))
    moved = composed("time_inference", *own)
    assert local_input(moved) != record["input"] and set(record["input"]) == {"shape_of"}


def test_a_shape_has_no_teacher(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="teacher: a shape is timed with random weights, leave out teacher or shape_of"):
        composed("time_inference", f"shape_of={tmp_path}", f"teacher={tmp_path}")
    with pytest.raises(UserError, match=r"shape_of: .*result.json: missing"):
        perform("time_inference", f"shape_of={tmp_path / 'none'}", f"run.folder={tmp_path}", "run.wandb=disabled")
