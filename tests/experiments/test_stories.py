"""Every verb from its command to its record, at the smallest size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.benchmarks import sweep
from prunekit.config.task import TaskConfig
from prunekit.data.rows import load_rows
from prunekit.models import checkpoints
from prunekit.support.errors import UserError
from tests.support.commands import TINY, perform
from tests.support.same_runs import table

NOT_NUMBERS = ("seconds", "quiet", "peak_memory_bytes", "started", "finished", "git")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


def test_finetune_keeps_a_model_that_loads(folder: Path) -> None:
    record = perform("finetune", *TINY, f"run.folder={folder}")
    assert record["metrics"]["steps"] == 6
    assert [(item["role"], item["rows"]) for item in record["data"]] == [("train", 192), ("evaluation", 96)]
    home = folder / "finetune" / record["run_id"]
    assert not list(home.glob("*.safetensors"))
    model = checkpoints.load(home / "model")
    assert model.config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}
    assert record["model"]["heads"] == 4


def test_ablate_heads(folder: Path) -> None:
    record = perform("ablate_heads", *TINY, f"run.folder={folder}", "selection_examples=50")
    heads, layers = table(folder, record, "heads"), table(folder, record, "layers")
    assert len(heads) == 8
    assert (heads.value - heads.baseline).tolist() == pytest.approx(heads.delta.tolist())
    assert set(heads.ablation) == {"one_off", "all_but_one"}
    assert set(layers.protocol) == {"dev", "train"}
    kept = heads[heads.ablation == "all_but_one"].groupby("layer").value.max()
    assert layers[layers.protocol == "dev"].value.tolist() == kept.tolist()
    assert record["teacher"]["run_id"]
    assert [item["role"] for item in record["data"]] == ["train", "evaluation", "selection"]


def test_transfer_shares_the_ablation(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("cache/ablation/*.safetensors")}
    record = perform("transfer", *TINY, f"run.folder={folder}", "second.evaluation_rows=96")
    after = {path: path.stat().st_mtime_ns for path in folder.glob("cache/ablation/*.safetensors")}
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()
    effects = table(folder, record, "effects")
    assert record["metrics"]["heads"] == len(effects) == 4
    assert record["metrics"]["second"] == "demo_mismatched/validation_mismatched"
    for section, prefix in (("task", ""), ("second", "second_")):
        task = TaskConfig(**record["config"][section])
        labels = load_rows(task, task.evaluation).labels
        assert record["metrics"][f"{prefix}trivial"] == {"accuracy": np.bincount(labels).max() / len(labels)}
        assert isinstance(record["metrics"][f"{prefix}above_trivial"], bool)


@pytest.mark.parametrize(
    "order", ["importance", "importance_released", "importance_stepwise", "oracle", "random", "magnitude"]
)
def test_prune_heads(folder: Path, order: str) -> None:
    record = perform("prune_heads", *TINY, f"run.folder={folder}", f"order={order}", "grid=0.25")
    points, kept = table(folder, record, "points"), table(folder, record, "kept")
    assert points.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert points.heads_kept.tolist() == [4, 3, 2, 1, 0]
    assert points.achieved_heads.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert points.parameters.is_monotonic_decreasing and points.macs.is_monotonic_decreasing
    assert kept.groupby("share").heads_kept.sum().tolist() == [4, 3, 2, 1, 0]
    assert sorted(table(folder, record, "scores")["rank"]) == [0, 1, 2, 3]
    assert (points.low <= points.value).all() and (points.value <= points.high).all()
    assert points.accuracy.tolist() == points.value.tolist()
    metrics = record["metrics"]
    assert metrics["above_trivial"] is bool(metrics["baseline_low"] > metrics["trivial"]["accuracy"])


def test_one_share_of_a_sweep_is_a_point_of_the_curve(folder: Path) -> None:
    curve = perform("prune_heads", *TINY, f"run.folder={folder}", "order=random", "seed=1", "grid=0.25")
    point = perform("prune_heads", *TINY, f"run.folder={folder}", "order=random", "seed=1", "share=0.5", "save=true")
    points = table(folder, curve, "points")
    on_curve = points[points.share == 0.5].value.item()
    assert point["metrics"]["accuracy"] == on_curve
    assert point["sparsity"]["requested_heads"] == point["sparsity"]["achieved_heads"] == 0.5
    small = checkpoints.load(folder / "prune_heads" / point["run_id"] / "model")
    assert sum(p.numel() for p in small.parameters()) == table(folder, point, "points").parameters.iloc[-1]


def test_an_interrupted_curve_ends_with_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import prunekit.evaluation.evaluate as evaluation

    arguments = [*TINY, f"run.folder={folder}", "order=importance_stepwise", "seed=7", "grid=0.25"]
    whole, plain, calls = perform("prune_heads", *arguments), evaluation.evaluated, []

    def dies(*positional: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*positional, **named)

    monkeypatch.setattr(evaluation, "evaluated", dies)
    with pytest.raises(KeyboardInterrupt):
        perform("prune_heads", *arguments, "run.force=true")
    resumed = perform("prune_heads", *arguments)
    assert len(calls) == 6  # two points before, the failing one, three points after
    same = [{k: v for k, v in record.items() if k not in NOT_NUMBERS} for record in (whole, resumed)]
    assert json.dumps(same[0]) == json.dumps(same[1])


def test_retraining_changes_the_pruned_model(folder: Path) -> None:
    arguments = [*TINY, f"run.folder={folder}", "order=magnitude", "share=0.5", "save=true"]
    records = [perform("prune_heads", *arguments), perform("prune_heads", *arguments, "retrain_steps=3")]
    plain, retrained = (
        checkpoints.load(folder / "prune_heads" / r["run_id"] / "model").get_parameter("classifier.weight")
        for r in records
    )
    assert plain.shape == retrained.shape
    assert not plain.equal(retrained)


def test_time_inference(folder: Path) -> None:
    record = perform("time_inference", *TINY, f"run.folder={folder}", "batch_sizes=[1,2]", "lengths=[8]", "repeats=2")
    timings = table(folder, record, "timings")
    assert len(timings) == 2 * 2 * 3
    assert set(timings.variant) == {"original", "gated", "pruned"}
    assert set(timings.length_label.astype(str)) == {"8", "mean"}
    assert (timings.median_ms > 0).all() and (timings.peak_memory_mb > 0).all()
    assert record["sparsity"]["achieved_heads"] == 0.5


def test_random_weights_are_timed_without_a_download(folder: Path) -> None:
    record = perform(
        "time_inference", "model=minilm-l6", "model.weights=random", "run.wandb=disabled", f"run.folder={folder}",
        "model.shape.num_hidden_layers=1", "batch_sizes=[1]", "lengths=[8]", "repeats=1", "warmup=0",
    )  # fmt: skip
    assert record["model"]["weights"] == "random"
    assert record["model"]["heads"] == 12
    assert record["teacher"] is None


@pytest.mark.parametrize("name", ["ablation", "importance"])
def test_benchmarks_agree_with_the_plain_way(folder: Path, name: str) -> None:
    record = perform("benchmark", *TINY, f"run.folder={folder}", f"benchmark={name}", "examples=24", "repeats=1")
    metrics = record["metrics"]
    assert metrics.get("max_logit_difference", 0) < 1e-4
    assert metrics.get("different_predictions", 0) == 0
    assert metrics.get("max_relative_difference", 0) < 1e-5
    assert set(table(folder, record, "repeats").columns) == {
        "comparison", "repeat", "plain_seconds", "fast_seconds", "ratio",
    }  # fmt: skip


def test_fisher_pruning_agrees_with_the_plain_way(folder: Path) -> None:
    overrides = [f"run.folder={folder}", "benchmark=fisher", "examples=70", "repeats=2", "warmup=1"]
    record = perform("benchmark", *TINY, *overrides)
    metrics, repeats = record["metrics"], table(folder, record, "repeats")
    assert metrics["same_masks"] and metrics["different_units"] == 0
    assert metrics["error_fast"] == pytest.approx(metrics["error_plain"], rel=1e-3)
    # no smaller: an FFN is fitted to the whole one, but the assistant's next layers see its pruned one
    assert metrics["error_fast"] != pytest.approx(metrics["error_untuned"], rel=3e-3)
    assert repeats.groupby("comparison").repeat.apply(list).to_dict() == {
        name: [0, 1] for name in ("gradients", "plain", "rearrange", "search", "tune")
    }
    assert (repeats.ratio == repeats.plain_seconds / repeats.fast_seconds).all()
    assert [(item["role"], item["split"]) for item in record["data"]] == [("train", "train"), ("evaluation", "train")]


def test_pruned_models_are_timed_beside_hand_built_ones(folder: Path) -> None:
    overrides = [f"run.folder={folder}", "benchmark=latency", "examples=24", "repeats=1", "evaluation.batch_size=2"]
    record = perform("benchmark", *TINY, *overrides)
    metrics, repeats = record["metrics"], table(folder, record, "repeats")
    assert metrics["max_logit_difference"] < 1e-5
    assert len(set(repeats.comparison)) == (7 + 2) * 2 * 2
    assert metrics["sparsity_few layers"] > metrics["sparsity_0.3"]
    assert metrics["ratio_95 % gone, deep and thin, batch 1: hand-built"] > 0
    unpruned = repeats[repeats.comparison == "0.5 of MACs, batch 2: unpruned"].ratio
    assert metrics["ratio_0.5 of MACs, batch 2: unpruned"] == pytest.approx(unpruned.median())
    assert metrics["share_of_promise_0.5_batch_2"] <= unpruned.median() / 2 + 1e-3  # fewer than half remain


def test_steps_of_cofi_agree_with_the_plain_way(folder: Path) -> None:
    overrides = [f"run.folder={folder}", "benchmark=cofi_step", "examples=24", "repeats=2", "evaluation.batch_size=8"]
    record = perform("benchmark", *TINY, *overrides)
    metrics, repeats = record["metrics"], table(folder, record, "repeats")
    assert metrics["steps"] == 3
    assert metrics["max_loss_difference"] < 1e-4  # in float32, and losses of two tiny layers are near 0
    assert metrics["max_weight_difference"] < 0.05 and metrics["max_gate_difference"] < 0.05
    assert metrics["expected_sparsity, 90 % expected sparsity"] == pytest.approx(0.9, abs=1e-3)
    assert metrics["expected_sparsity, before pruning"] < 0.2
    states = ("distillation", "before pruning", "60 % expected sparsity", "90 % expected sparsity")
    assert repeats.groupby("comparison").repeat.apply(list).to_dict() == {
        name: [0, 1] for state in states for name in (state, f"{state}, kept teacher")
    }
    for state in states:
        assert metrics[f"saved_megabytes_fast, {state}"] < metrics[f"saved_megabytes_plain, {state}"]
    assert [(item["role"], item["split"]) for item in record["data"]] == [("train", "train"), ("evaluation", "train")]


def test_rearrangement_is_timed_without_a_teacher(folder: Path) -> None:
    record = perform(
        "benchmark", *TINY, f"run.folder={folder}", "benchmark=rearrange", "examples=8", "repeats=2",
        "model.shape.intermediate_size=40",
    )  # fmt: skip
    assert record["metrics"]["neurons"] == 40
    assert record["metrics"]["same_masks"] and record["metrics"]["exchanged"] > 0
    assert record["teacher"] is None and record["model"]["weights"] == "random"


def test_second_order_removal_is_timed_without_a_teacher(folder: Path) -> None:
    record = perform(
        "benchmark", *TINY, f"run.folder={folder}", "benchmark=ziplm", "examples=300", "repeats=1",
        "model.shape.intermediate_size=200",
    )  # fmt: skip
    metrics = record["metrics"]
    assert metrics["neurons"] == 200 and metrics["same_masks"] and metrics["different_units"] == 0
    assert metrics["max_score_difference"] < 1e-9 and metrics["max_weight_difference"] < 1e-9
    assert metrics["ratio_plain"] > 0 and record["teacher"] is None


@pytest.mark.slow
def test_thousands_of_records_are_drawn_as_one_by_one(folder: Path) -> None:
    record = perform(
        "benchmark", *TINY, f"run.folder={folder}", "benchmark=analysis", "examples=100", "repeats=1"
    )
    assert record["metrics"]["max_difference"] < 1e-9
    assert record["metrics"]["runs"] == 100  # behind the unpruned point
    assert [path.name for path in (folder / "benchmark" / record["run_id"]).glob(".*")] == []


def test_a_sweep_is_timed_beside_its_cells(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With commands that only note what they were: real ones are run by the kill test and by the benchmark."""
    started: list[tuple[str, ...]] = []

    def seconds(verb: str, *overrides: str) -> float:
        started.append((verb, *overrides))
        return 3.0 if "-m" in overrides else 1.0

    monkeypatch.setattr(sweep, "seconds", seconds)
    record = perform("benchmark", *TINY, f"run.folder={folder}", "benchmark=sweep", "examples=32", "repeats=2")
    assert record["metrics"]["share_of_plain"] == pytest.approx(3 / (14 / 2))
    assert record["metrics"]["ratio_sweep"] == pytest.approx(14 / 2 / 3)
    one = started[: len(started) // 2]
    assert [verb for verb, *_ in one] == ["finetune"] * 2 + ["prune_fisher"] * 13
    assert len({line for line in one if "-m" not in line}) == 14
    assert all("run.threads=1" in line for line in one)
    [together] = [line for line in one if "-m" in line]
    assert {"hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "train.seed=0,1",
            "constraint=0.4,0.5,0.6,0.7,0.8,0.9", "calibration_examples=32"} <= set(together)  # fmt: skip


def test_the_users_own_teacher(folder: Path) -> None:
    taught = perform("finetune", *TINY, f"run.folder={folder}")
    model = folder / "finetune" / taught["run_id"] / "model"
    record = perform("prune_heads", *TINY, f"run.folder={folder}", f"teacher={model}", "order=magnitude", "share=0.5")
    assert record["teacher"] == {"run_id": None, "path": str(model)}
    with pytest.raises(UserError, match=r"teacher: .* has 3 outputs, task demo needs 2"):
        perform("prune_heads", *TINY, f"run.folder={folder}", f"teacher={model}", "task.labels=[a,b]")


def test_a_corrupt_teacher_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError):
        perform("prune_heads", *TINY, f"run.folder={folder}", f"teacher={tmp_path}", "order=magnitude")
