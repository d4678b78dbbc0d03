"""CoFi from its command to its record, at the smallest size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from prunekit.cofi.teacher_outputs import ComputedOutputs
from prunekit.evaluation.evaluate import evaluate
from prunekit.models import checkpoints
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.models.surgery import prune
from prunekit.support.errors import UserError
from prunekit.training.loop import StageRun
from tests.support.commands import TINY_STUDENT, perform

NOT_NUMBERS = ("seconds", "quiet", "peak_memory_bytes", "started", "finished", "git")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


def table(folder: Path, record: dict[str, Any], name: str) -> pd.DataFrame:
    return pd.read_csv(folder / record["verb"] / record["run_id"] / "tables" / f"{name}.csv")


def numbers(record: dict[str, Any]) -> str:
    kept = {name: value for name, value in record.items() if name not in NOT_NUMBERS}
    own = {name: value for name, value in record["metrics"].items() if not name.startswith("speedup")}
    return json.dumps({**kept, "metrics": own, "config": {**kept["config"], "run": None}})


def test_a_student_is_pruned_saved_and_told_of(folder: Path) -> None:
    record = perform("prune_cofi", *TINY_STUDENT, f"run.folder={folder}")
    home, kept = folder / "prune_cofi" / record["run_id"], table(folder, record, "kept")
    small = checkpoints.load(home / "model")
    layout = describe(small)
    assert kept[kept.unit == "hidden"].kept.item() == layout.hidden
    assert record["sparsity"]["requested"] == 0.5
    assert record["sparsity"]["expected"] >= 0.495 or not record["metrics"]["reached_target"]
    assert 0 < record["sparsity"]["counted"] <= 1
    assert [item["role"] for item in record["data"]] == ["train", "evaluation", "selection", "distillation"]
    assert [item["rows"] for item in record["data"][2:]] == [40, 152]
    assert table(folder, record, "latency").length.tolist() == [32, 32]  # the model has no more positions
    assert record["metrics"]["steps_distil"] == 10 and record["metrics"]["steps_prune"] == 60
    assert not list(home.glob("*.safetensors"))
    lines = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    assert {"match_0", "match_1", "expected_sparsity"} <= lines[1].keys()
    saved = json.loads((home / "masks" / "masks.json").read_text())
    masks = Masks(
        {"self": torch.tensor(saved["heads"]["self"])}, torch.tensor(saved["neurons"]),
        {kind: torch.tensor(gates) for kind, gates in saved["layers"].items()}, torch.tensor(saved["hidden"]),
    )  # fmt: skip
    teacher = checkpoints.load(folder / "finetune" / record["teacher"]["run_id"] / "model")
    shapes = {name: tensor.shape for name, tensor in prune(teacher, masks).state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in small.state_dict().items()}


def test_an_interrupted_run_ends_with_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prunekit.data.batches import to_device as real
    from prunekit.training import loop

    arguments = [*TINY_STUDENT, f"run.folder={folder}", "run.checkpoint_seconds=0"]
    whole, calls = perform("prune_cofi", *arguments), 0

    def dies(*positional: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 55:
            raise KeyboardInterrupt
        return real(*positional)

    monkeypatch.setattr(loop, "to_device", dies)
    with pytest.raises(KeyboardInterrupt):
        perform("prune_cofi", *arguments, "run.force=true")
    again = perform("prune_cofi", *arguments)
    assert calls < 100  # of 80 steps, some twice
    assert numbers(again) == numbers(whole)


def test_the_released_variant_and_other_units(folder: Path) -> None:
    record = perform(
        "prune_cofi", *TINY_STUDENT, f"run.folder={folder}", "variant=released", "units=[heads,neurons]",
        "sparsity=0.4", "student.select_on=validation", "student.start=teacher",
    )  # fmt: skip
    kept = table(folder, record, "kept")
    assert record["config"]["matching"] == "ordered"
    assert kept[kept.unit == "hidden"].kept.item() == 16
    assert (kept[kept.unit.str.contains("layers")].kept == 1).all()
    assert [item["role"] for item in record["data"]] == ["train", "evaluation", "distillation"]


BASELINES = ["fisher", pytest.param("magnitude", marks=pytest.mark.slow), "flap", "layers", "dense"]


@pytest.mark.parametrize("structure", BASELINES)
def test_baselines_are_trained_as_long(folder: Path, structure: str) -> None:
    record = perform("prune_cofi", *TINY_STUDENT, f"run.folder={folder}", f"structure={structure}")
    kept = table(folder, record, "kept").groupby("unit").kept.sum()
    assert record["metrics"]["steps_train"] == 70 and record["metrics"]["steps_finetune"] == 10
    # one threshold ends at the first unit that does not fit, which may be a head, 0.17 of this model
    assert record["sparsity"]["counted"] == pytest.approx(0.5, abs=0.17 if structure == "flap" else 0.1)
    assert "expected" not in record["sparsity"]
    reached = abs(record["sparsity"]["counted"] - 0.5) <= 0.01
    assert record["metrics"]["reached_target"] == reached == ("missed" not in record["metrics"])
    small = checkpoints.load(folder / "prune_cofi" / record["run_id"] / "model")
    assert kept["heads"] == describe(small).heads and kept["neurons"] == describe(small).neurons
    if structure in ("layers", "dense"):
        assert kept["ffn layers"] == 1


@pytest.mark.parametrize(
    ("structure", "stages"),
    [("learned", ("distil", "prune", "finetune")), ("layers", ("train", "finetune")), ("dense", ("train", "finetune"))],
)
def test_students_train_with_the_attention_of_the_recipe(
    folder: Path, structure: str, stages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher answers, and what is saved is scored, with the model's own."""
    trained: list[str] = []
    answered: list[str] = []
    scored: list[str] = []

    def step(self: StageRun, indices: Any) -> Any:
        if "layers" in self.stage.modules:  # a student's, which learns a map of layers as well
            [student] = (own for name, own in self.stage.modules.items() if name in ("student", "model"))
            trained.append(f"{self.stage.name} {attention_of(student)}")
        return one_step(self, indices)

    def answer(self: ComputedOutputs, batch: Any) -> Any:
        answered.append(attention_of(self.teacher))
        return one_answer(self, batch)

    def evaluated(task: Any, model: Any, *given: Any, **how: Any) -> Any:
        scored.append(attention_of(model))
        return evaluate(task, model, *given, **how)

    one_step, one_answer = StageRun.step, ComputedOutputs.__call__
    monkeypatch.setattr(StageRun, "step", step)
    monkeypatch.setattr(ComputedOutputs, "__call__", answer)
    monkeypatch.setattr("prunekit.cofi.student_run.evaluate", evaluated)
    own = ["train.attention=eager", "student.prune_epochs=2", f"structure={structure}", f"run.folder={folder}"]
    perform("prune_cofi", *TINY_STUDENT, *own)
    assert list(dict.fromkeys(trained)) == [f"{stage} eager" for stage in stages]
    assert set(answered) == {"sdpa"} and scored[-1] == "sdpa"


def attention_of(model: Any) -> str:
    return str(model.config._attn_implementation)


def test_whole_layers_that_come_nowhere_near_the_target_have_missed_it(folder: Path) -> None:
    """One of two layers is the least that can stay."""
    record = perform("prune_cofi", *TINY_STUDENT, f"run.folder={folder}", "structure=layers", "sparsity=0.9")
    metrics = record["metrics"]
    assert metrics["reached_target"] is False
    assert metrics["missed"] == "the counted sparsity is 0.500, nothing nearer to 0.9 has this structure"


def test_a_target_that_leaves_no_head_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = ["structure=magnitude", "sparsity=0.97", "student.prune_epochs=1", "student.sparsity_epochs=0"]
    kept = table(folder, perform("prune_cofi", *TINY_STUDENT, f"run.folder={folder}", *own), "kept")
    assert kept[kept.unit == "heads"].kept.sum() == 0 < kept[kept.unit == "neurons"].kept.sum()
    assert "no head is left in any layer" in caplog.messages


def test_random_units_have_the_learned_shape(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The learned model is trained first if need be, and found if it is there."""
    arguments = [*TINY_STUDENT, f"run.folder={folder}", "seed=7"]
    runs = len(list((folder / "prune_cofi").glob("*/result.json")))
    drawn = perform("prune_cofi", *arguments, "structure=random")
    assert len(list((folder / "prune_cofi").glob("*/result.json"))) == runs + 2
    said = capsys.readouterr().out
    learned = perform("prune_cofi", *arguments)
    first = f"its learned model is trained first, by prune_cofi into {folder / 'prune_cofi' / learned['run_id']}: "
    assert said.count(first) == 1
    assert 0 < learned["seconds"]["total"] <= drawn["seconds"]["learned model"] < drawn["seconds"]["total"]
    one, other = table(folder, learned, "kept"), table(folder, drawn, "kept")
    assert one.equals(other)
    assert drawn["sparsity"]["counted"] == pytest.approx(learned["sparsity"]["counted"], abs=1e-6)
    assert drawn["metrics"]["steps_distil"] == 10 and drawn["metrics"]["steps_train"] == 60


def test_without_distillation(folder: Path) -> None:
    record = perform("prune_cofi", *TINY_STUDENT, f"run.folder={folder}", "learn_from=labels", "matching=none")
    lines = (folder / "prune_cofi" / record["run_id"] / "metrics.jsonl").read_text()
    assert "layer_loss" not in lines and "prediction_loss" in lines


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sparsity=0", r"sparsity: 0.* outside \(0, 1\)"),
        ("units=[head]", r"units: 'head' is unknown, did you mean 'heads'"),
        ("units=[]", r"units: it is empty, choose from hidden, layers, heads, neurons"),
        ("units=[neurons]", r"sparsity: 0.5 is out of reach for gates of neurons; they reach 0.* to 0.\d+"),
        ("structure=dens", r"structure: 'dens' is unknown, did you mean 'dense'"),
        ("learn_from=gold", r"learn_from: 'gold' is unknown"),
        ("student.teacher_gigabytes=-1", r"student.teacher_gigabytes: -1.0 must not be negative"),
        ("matching=v4", r"matching: 'v4' is unknown"),
        ("student.sparsity_epochs=9", r"student.sparsity_epochs: 9 are more than the 6 epochs of pruning"),
        ("student.held_out=500", r"student.held_out: 500 of 192 training rows leave none"),
        ("prediction_weight=1.5", r"prediction_weight: 1.5 is outside \[0, 1\]"),
    ],
)
def test_bad_settings(folder: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        perform("prune_cofi", *TINY_STUDENT, f"run.folder={folder}", override)
