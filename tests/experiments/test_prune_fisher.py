"""Fisher pruning from its command to its record, at the smallest size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from experiments.prune_fisher import main
from prunekit.models import checkpoints
from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from prunekit.models.gates import gated
from prunekit.models.masks import Masks
from prunekit.support.errors import UserError
from tests.support.commands import TINY, composed, perform

NOT_NUMBERS = ("seconds", "quiet", "peak_memory_bytes", "started", "finished", "git")
SMALL = [*TINY, "calibration_examples=64", "batch_sizes=[1,2]", "repeats=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


def table(folder: Path, record: dict[str, Any], name: str) -> pd.DataFrame:
    return pd.read_csv(folder / record["verb"] / record["run_id"] / "tables" / f"{name}.csv")


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("budget", ["mac", "latency"])
def test_stages_stay_within_the_budget(folder: Path, variant: str, budget: str) -> None:
    constraint = 0.5 if budget == "mac" else 0.8  # of so small a model's measured time, half may be a layer's least
    record = perform(
        "prune_fisher", *SMALL, f"run.folder={folder}", f"variant={variant}", f"budget={budget}",
        f"constraint={constraint}",
    )  # fmt: skip
    stages, kept = table(folder, record, "stages"), table(folder, record, "kept")
    assert stages.stage.tolist() == ["dense", "search", "rearrange", "tune"]
    assert (stages.low <= stages.value).all() and (stages.value <= stages.high).all()
    if budget == "mac":
        assert (stages.achieved_macs[1:] >= 0.5).all()
        assert record["sparsity"]["requested_macs"] == 0.5 <= record["sparsity"]["achieved_macs"]
    else:
        assert record["sparsity"]["requested_latency"] == pytest.approx(0.2)
        assert record["sparsity"]["achieved_latency_by_table"] >= 0.2 - 1e-9
        timed = table(folder, record, "latency").iloc[-1]
        assert record["sparsity"]["achieved_latency"] == pytest.approx(1 - timed.pruned_ms / timed.dense_ms)
    assert kept[kept.unit == "heads"].total.tolist() == [2, 2]
    assert record["metrics"]["value"] == stages.value.iloc[-1]
    spent = sum(record["metrics"][f"seconds_{name}"] for name in ("gradients", "search", "rearrange", "tune"))
    assert record["metrics"]["seconds_pruning"] == pytest.approx(spent)
    assert [item["role"] for item in record["data"]] == ["train", "evaluation", "calibration"]

    small = checkpoints.load(folder / "prune_fisher" / record["run_id"] / "model")
    assert cost(small, int(stages.length.iloc[0])).macs == stages.macs.iloc[-1]
    assert sum(p.numel() for p in small.parameters()) == stages.parameters.iloc[-1]
    assert not any(module._forward_pre_hooks for module in small.modules())


@pytest.mark.parametrize("score", ["importance", "magnitude", "random"])
def test_other_scores_under_the_same_budget(folder: Path, score: str) -> None:
    record = perform("prune_fisher", *SMALL, f"run.folder={folder}", f"score={score}", "tune=false")
    assert table(folder, record, "stages").stage.tolist() == ["dense", "search"]
    assert record["sparsity"]["achieved_macs"] >= 0.5


def test_a_sweep_collects_gradients_once_a_seed(folder: Path) -> None:
    def pieces() -> int:
        return len(list(folder.glob("cache/gradients/*.safetensors")))

    perform("prune_fisher", *SMALL, f"run.folder={folder}", "constraint=0.6", "seed=5")
    before = pieces()
    again = perform("prune_fisher", *SMALL, f"run.folder={folder}", "constraint=0.7", "seed=5")
    assert pieces() == before
    assert again["metrics"]["seconds_gradients"] > 0
    perform("prune_fisher", *SMALL, f"run.folder={folder}", "constraint=0.7", "seed=5", "labels=predicted")
    assert pieces() == before + 1


def test_a_sweep_evaluates_the_unpruned_model_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import prunekit.evaluation.cached as cache

    def again(*_positional: Any, **_named: Any) -> Any:
        raise AssertionError("evaluated again")

    arguments = [*SMALL, f"run.folder={folder}", "tune=false"]
    first = perform("prune_fisher", *arguments, "constraint=0.55")
    monkeypatch.setattr(cache, "evaluate", again)
    second = perform("prune_fisher", *arguments, "constraint=0.65")
    rows = [table(folder, record, "stages").iloc[0].drop("seconds") for record in (first, second)]
    assert rows[0].equals(rows[1])
    with pytest.raises(AssertionError, match="evaluated again"):
        perform("prune_fisher", *arguments, "constraint=0.65", "evaluation.examples=50")
    [*files] = folder.glob("cache/evaluations/*.json")
    for file in files:
        file.write_text("{")
    with pytest.raises(AssertionError, match="evaluated again"):
        perform("prune_fisher", *arguments, "constraint=0.66")


def test_an_interrupted_run_ends_with_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import prunekit.stages.stage_table as stages

    def numbers(record: dict[str, Any]) -> str:
        kept = {name: value for name, value in record.items() if name not in NOT_NUMBERS}
        own = {n: v for n, v in record["metrics"].items() if not n.startswith(("seconds", "speedup"))}
        return json.dumps({**kept, "metrics": own, "config": {**kept["config"], "run": None}})

    arguments = [*SMALL, f"run.folder={folder}", "constraint=0.4"]
    whole = perform("prune_fisher", *arguments)
    calls: list[str] = []

    def dies(self: Any, stage: str, model: Any) -> None:
        calls.append(stage)
        if stage == "rearrange" and calls.count("rearrange") == 1:
            raise KeyboardInterrupt
        real(self, stage, model)

    real = stages.StageTable.evaluate
    monkeypatch.setattr(stages.StageTable, "evaluate", dies)
    with pytest.raises(KeyboardInterrupt):
        perform("prune_fisher", *arguments, "run.force=true")
    assert numbers(perform("prune_fisher", *arguments)) == numbers(whole)


def test_the_pruned_model_computes_what_tuned_gates_compute(folder: Path) -> None:
    record = perform("prune_fisher", *SMALL, f"run.folder={folder}", "constraint=0.45")
    home = folder / "prune_fisher" / record["run_id"]
    teacher = checkpoints.load(folder / "finetune" / record["teacher"]["run_id"] / "model")
    saved = json.loads((home / "masks" / "masks.json").read_text())
    masks = Masks.ones(describe(teacher), dtype=torch.float32)
    masks.heads["self"], masks.neurons = torch.tensor(saved["heads"]), torch.tensor(saved["neurons"])
    ids = torch.randint(5, teacher.config.vocab_size, (3, 12))
    with torch.no_grad(), gated(teacher, masks):
        expected = teacher(input_ids=ids).logits
    with torch.no_grad():
        torch.testing.assert_close(checkpoints.load(home / "model")(input_ids=ids).logits, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("constraint=0", r"constraint: 0.* outside \(0, 1\)"),
        ("constraint=1", r"constraint: 1.* outside \(0, 1\)"),
        ("budget=flops", r"budget: .*mac"),
        ("score=fischer", r"score: .*fisher"),
        ("labels=none", r"labels: .*gold"),
        ("calibration_examples=0", r"calibration_examples: 0"),
        ("score=random labels=predicted", r"labels: score=random looks at no label, use labels=gold"),
        ("task.labels=[] task.metrics=[pearson] labels=predicted", "labels: a regression model is never wrong about"),
    ],
)
def test_bad_settings(folder: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        perform("prune_fisher", *SMALL, f"run.folder={folder}", *override.split())


def test_a_budget_out_of_reach_is_said_before_anything_is_computed(folder: Path) -> None:
    before = sorted(folder.glob("cache/*/*"))
    with pytest.raises(UserError, match="1e-05 of this model's MACs leaves no room for a single unit; it can go down"):
        perform("prune_fisher", *SMALL, f"run.folder={folder}", "constraint=1e-5", "seed=17", "evaluation.examples=9")
    assert sorted(folder.glob("cache/*/*")) == before


def test_only_what_was_changed_has_another_revision() -> None:
    def revision(*overrides: str) -> int:
        return main.revision(composed("prune_fisher", *overrides))

    released, squad = "variant=released", "task=squad"
    assert [revision(), revision("target=assistant"), revision("labels=predicted")] == [1, 1, 1]
    assert [revision(released), revision(released, "budget=latency"), revision(released, "score=magnitude")] == [2] * 3
    assert [revision(released, "tune=false"), revision(released, "target=dense")] == [1, 1]
    assert [revision(squad), revision(squad, "score=importance"), revision(squad, released, "tune=false")] == [2] * 3
    assert [revision(squad, "score=magnitude"), revision(squad, "score=random")] == [1, 1]
    snli = ("task=snli", "labels=predicted")  # whose rows without a label are not drawn from any more
    assert [revision("task=snli"), revision(*snli), revision(*snli, released)] == [1, 2, 3]
    assert [revision("task=snli", "score=random"), revision("task=mnli", "labels=predicted")] == [1, 1]


def test_shared_layers_are_refused_before_anything_is_computed(folder: Path, tmp_path: Path) -> None:
    albert = ["model.family=albert", "+model.shape.embedding_size=8"]
    with pytest.raises(UserError, match=r"tuning: this albert runs the same layer at several depths.*tune=false"):
        perform("prune_fisher", *SMALL, *albert, f"run.folder={tmp_path}")
    assert not list(tmp_path.glob("cache/gradients/*"))
    record = perform("prune_fisher", *SMALL, *albert, f"run.folder={tmp_path}", "tune=false")
    assert record["sparsity"]["achieved_macs"] >= 0.5
