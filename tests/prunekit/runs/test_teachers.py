"""Teachers: on which rows they are trained and chosen, and what is left of their training."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.cli.verb import named
from prunekit.data.kinds import encode_for
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import load_tokenizer
from prunekit.evaluation.evaluate import evaluate
from prunekit.models import checkpoints
from prunekit.support.errors import UserError
from tests.support.commands import TINY, composed, perform

SMALL = [override for override in TINY if not override.startswith("train.epochs")]


def test_the_best_weights_are_chosen_on_rows_that_are_not_trained_on(tmp_path: Path) -> None:
    own = [*SMALL, f"run.folder={tmp_path}", "train.keep=best", "train.held_out=50", "train.epochs=2", "train.seed=3"]
    record, config = perform("finetune", *own), composed("finetune", *own)
    assert [(item["role"], item["rows"]) for item in record["data"]] == [("train", 142), ("evaluation", 96)]
    rows = load_rows(config.task, config.task.train)
    order = np.random.default_rng(3).permutation(192)
    left = rows.take(sorted(order[50:].tolist()))
    assert left.record("train")["fingerprint"] == record["data"][0]["fingerprint"]
    folder = tmp_path / "finetune" / record["run_id"] / "model"
    model, tokenizer = checkpoints.load(folder), load_tokenizer(dataclasses.replace(config.model, path=str(folder)))
    examples = encode_for(model, rows.take(sorted(order[:50].tolist())), tokenizer)
    found = evaluate(config.task, model, examples, device=torch.device("cpu")).metrics["accuracy"]
    assert found == record["metrics"]["held_out"]
    assert 0 < record["metrics"]["best_step"] <= record["metrics"]["steps"] == 10


@pytest.mark.parametrize(
    ("verb", "task", "package", "extra"),
    [
        ("finetune", ["task=demo_tags"], "seqeval", "tags"),
        ("prune_fisher", ["task=demo_tags"], "seqeval", "tags"),
        ("finetune", ["task=demo_translation", "model=marian-demo"], "sacrebleu", "translation"),
    ],
)
def test_a_package_that_scores_need_is_missed_before_anything_is_trained(
    verb: str, task: list[str], package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("prunekit.runs.teachers.train", lambda *_, **__: pytest.fail("something was trained"))
    how = rf"in prunekit's checkout `make setup` or `pip install '\.\[{extra}\]'`"
    expected = rf"^{package}[.a-z_]* is not installed, {how} brings it$"
    with pytest.raises(UserError, match=expected):
        perform(verb, "run.wandb=disabled", *task, f"run.folder={tmp_path}")
    assert not list(tmp_path.glob("*/*/config.yaml"))


def test_a_forced_run_that_cannot_be_scored_keeps_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = dataclasses.replace(named("finetune"), name="verb", procedure=lambda config, run: None)
    command = ["run.wandb=disabled", "task=demo_tags", f"run.folder={tmp_path}"]
    record = own.execute(composed("finetune", *command))
    for name in [name for name in sys.modules if name.partition(".")[0] == "seqeval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "seqeval", None)
    with pytest.raises(UserError, match=r"^seqeval[.a-z_]* is not installed"):
        own.execute(composed("finetune", *command, "run.force=true"))
    assert (tmp_path / "verb" / record["run_id"] / "result.json").is_file()


@pytest.mark.parametrize(
    ("verb", "overrides", "scores"),
    [
        ("prune_heads", [], True),
        ("latency_table", ["length=8"], False),
        ("time_inference", [], True),
        ("time_inference", ["model.weights=random"], False),
        ("time_inference", ["shape_of=analysis/logged_runs/prune_cofi/060d10eea87a25cb"], False),
        ("time_decoding", ["task=demo_translation", "model=marian-demo"], True),
        ("time_decoding", ["task=demo_translation", "model=marian-demo", "model.weights=random", "length=8"], False),
        ("benchmark", ["benchmark=fisher"], True),
        ("benchmark", ["benchmark=finetune"], False),
        ("benchmark", ["benchmark=sweep"], False),
    ],
)
def test_packages_of_scores_are_needed_where_there_are_scores(
    verb: str, overrides: list[str], scores: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("prunekit.runs.teachers.check_scores", lambda config: asked.append(config.task.name))
    config = composed(verb, *overrides)
    named(verb).check(config, torch.device("cpu"))
    assert asked == [config.task.name] * scores


@pytest.mark.parametrize(
    ("verb", "overrides", "expected"),
    [
        ("time_inference", ["runtimes=[torch,onnx-int8]"], ("runtimes", ["torch", "onnx-int8"])),
        ("benchmark", ["benchmark=latency", "runtime=onnx"], ("runtime", ["onnx"])),
        ("quantize", [], ("quantization", ["onnx"])),
    ],
)
def test_runtimes_are_needed_where_models_are_timed_in_them(
    verb: str, overrides: list[str], expected: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(
        "prunekit.models.export.sessions.check_runtimes", lambda setting, runtimes, _: asked.append((setting, runtimes))
    )
    in_8_bits: list[tuple[str, str]] = []
    monkeypatch.setattr("prunekit.models.export.sessions.check_int8", lambda *words: in_8_bits.append(words))
    named(verb).check(composed(verb, *overrides), torch.device("cpu"))
    assert asked == [expected]
    assert in_8_bits == [("quantization: dynamic", "run it on another machine")] * (verb == "quantize")


def test_snapshots_are_the_model_as_it_was(tmp_path: Path) -> None:
    own = [*SMALL, f"run.folder={tmp_path}", "train.epochs=3", "train.snapshots=[1,3]"]
    home = tmp_path / "finetune" / perform("finetune", *own)["run_id"]
    assert sorted(path.name for path in (home / "epochs").iterdir()) == ["1", "3"]
    final, first, last = (checkpoints.load(home / name).state_dict() for name in ("model", "epochs/1", "epochs/3"))
    assert all(torch.equal(final[name], last[name]) for name in final)
    assert any(not torch.equal(final[name], first[name]) for name in final)
