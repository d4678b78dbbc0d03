"""The verb `quantize` from its command to its record, at the smallest size."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import prunekit
from experiments.cli.again import command_of
from experiments.cli.verb import named
from experiments.prune_cofi import main as prune_cofi
from experiments.quantize import as_pruned
from experiments.quantize import main as quantize
from prunekit.data.batches import evaluation_batches
from prunekit.data.kinds import encode_for
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import load_tokenizer
from prunekit.evaluation.runtimes import Served
from prunekit.models.export.sessions import Session
from prunekit.runs.finished import FinishedRecord
from prunekit.runs.identity import run_id
from prunekit.runs.local_input import local_input
from prunekit.runs.recorded_shape import with_its_own_model
from prunekit.runs.runtime_speed import in_turn
from prunekit.runs.schema.answer_file import FILE, read_answers
from prunekit.support.errors import UserError
from prunekit.support.files import plain
from prunekit.support.fingerprints import weights_fingerprint
from tests.support.commands import TINY, composed, perform
from tests.support.same_runs import table
from tests.support.score_data import regression

STUDENT = ["student.distil_epochs=1", "student.prune_epochs=1", "student.finetune_epochs=1", "student.held_out=32"]
SMALL = [*TINY, *STUDENT, "batch_sizes=[1,2]", "repeats=1", "warmup=0", "run.threads=1"]
FISHER = [*TINY, "calibration_examples=64", "batch_sizes=[2]", "repeats=1", "run.threads=1", "constraint=0.4"]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of onnxscript


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run folder for the file: the teacher is trained once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def pruned(folder: Path) -> dict[str, Any]:
    return perform("prune_fisher", *FISHER, f"run.folder={folder}")


def home(folder: Path, record: dict[str, Any]) -> Path:
    return folder / record["verb"] / record["run_id"]


def test_a_teacher_after_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [*SMALL, f"run.folder={folder}"]
    scored, served = list[Path](), list[Path]()

    def session(path: Path, threads: int) -> Session:
        scored.append(path)
        return Session(path, threads)

    def timed(config: Any, path: Path) -> Served:
        served.append(path)
        return Served(config, path)

    with monkeypatch.context() as patch:
        patch.setattr("prunekit.quantization.quantized_run.Session", session)
        patch.setattr("prunekit.quantization.quantized_run.Served", timed)
        record = perform("quantize", *own)
    metrics, stages, gains = record["metrics"], table(folder, record, "stages"), table(folder, record, "gains")
    assert stages.stage.tolist() == ["dense", "quantized"] and stages.precision.tolist() == ["float32", "int8"]
    graphs = [home(folder, record) / "onnx" / name / "model.onnx" for name in ("float32", "int8")]
    assert stages.bytes.tolist() == [path.stat().st_size for path in graphs]
    assert scored == graphs  # one a stage
    exact, pruned, _, in_8 = served
    assert (exact, pruned, in_8) == (graphs[0], graphs[0], graphs[1]) and len({*served}) == 3
    assert metrics["remaining_bytes"] == stages.bytes[1] / stages.bytes[0] and metrics["remaining_macs"] == 1
    teacher = json.loads(next(folder.glob("finetune/*/result.json")).read_text())
    assert metrics["baseline"] == teacher["metrics"]["accuracy"]
    runtimes = table(folder, record, "runtimes")
    assert list(zip(runtimes.variant, runtimes.runtime, strict=True)) == 2 * [
        (variant, runtime) for runtime in ("onnx", "onnx-int8") for variant in ("original", "pruned")
    ]  # in the order in which their graphs were opened
    assert gains.batch_size.tolist() == [1, 2]
    for row in gains.to_dict("records"):
        size = row["batch_size"]
        assert [metrics[f"speedup_{name}_batch_{size}"] for name in ("pruning", "int8", "both")] == [
            row["pruning"], row["int8"], row["both"],
        ]  # fmt: skip
    assert "DynamicQuantizeLinear" in graphs[1].read_bytes().decode("latin-1")
    assert Session(graphs[1], 1).outputs == ["logits"]
    assert not {"pruned_run", "pruned_fingerprint"} & record["model"].keys()
    assert isinstance(perform("quantize", *own), FinishedRecord)


@pytest.mark.slow
def test_a_pruned_model_that_is_trained_for_it(folder: Path, pruned: dict[str, Any]) -> None:
    source = f"prune_fisher/{pruned['run_id']}"
    own = [f"run.folder={folder}", "run.wandb=disabled", "run.quiet_seconds=0", "run.threads=1", "batch_sizes=[1]",
           "repeats=1", f"source={source}", "quantization=aware", "epochs=3", "learning_rate=1e-2"]  # fmt: skip
    record = perform("quantize", *own)
    stages = table(folder, record, "stages").set_index("stage")
    assert stages.index.tolist() == ["dense", "pruned", "simulated", "trained", "quantized"]
    assert stages.value["pruned"] == pruned["metrics"]["value"]
    assert record["metrics"]["remaining_macs"] == pruned["metrics"]["remaining_macs"]
    assert record["config"]["source"] == source and record["config"]["model"] == pruned["config"]["model"]
    assert record["metrics"]["steps"] == 18
    assert record["model"]["pruned_run"] == source
    assert record["model"]["pruned_fingerprint"] == weights_fingerprint(prunekit.load(home(folder, pruned) / "model"))
    assert record["config"]["train"] == pruned["config"]["train"]
    before, after = (prunekit.load(home(folder, one) / "model") for one in (pruned, record))
    assert [name for name, _ in before.named_parameters()] == [name for name, _ in after.named_parameters()]
    assert not torch.equal(next(before.parameters()), next(after.parameters()))
    control = perform("quantize", *own[:-3], "quantization=trained", "epochs=3", "learning_rate=1e-2")
    assert table(folder, control, "stages").stage.tolist() == ["dense", "pruned", "trained", "quantized"]
    weights = next(prunekit.load(home(folder, control) / "model").parameters())
    assert not torch.equal(weights, next(after.parameters()))


@pytest.mark.slow
def test_what_remains_is_pruned_and_trained_as_cofi_does_its_baseline(folder: Path) -> None:
    record = perform("quantize", *SMALL, f"run.folder={folder}", "remaining=0.5")
    wanted = composed("prune_cofi", *TINY, *STUDENT, f"run.folder={folder}", "run.threads=1", "sparsity=0.5",
                      "structure=fisher")  # fmt: skip
    student = prune_cofi.execute(wanted)
    assert isinstance(student, FinishedRecord)
    assert record["metrics"]["remaining_macs"] == student["metrics"]["remaining_macs"]
    stages = table(folder, record, "stages").set_index("stage")
    assert stages.index.tolist() == ["dense", "pruned", "quantized"]
    assert stages.value["pruned"] == student["metrics"]["value"]
    assert record["model"]["pruned_run"] == f"prune_cofi/{student['run_id']}"
    saved = home(folder, student) / "model"
    assert record["model"]["pruned_fingerprint"] == weights_fingerprint(prunekit.load(saved))
    own = [*SMALL, f"run.folder={folder}", "remaining=0.5"]
    assert isinstance(perform("quantize", *own), FinishedRecord)
    shutil.rmtree(saved)
    assert isinstance(perform("quantize", *own), FinishedRecord)
    longer = perform("quantize", *own, "repeats=2")  # of another run the weights are made again, by the same settings
    assert longer["model"]["pruned_run"] == record["model"]["pruned_run"]
    assert longer["model"]["pruned_fingerprint"] == weights_fingerprint(prunekit.load(saved))
    other = prunekit.load(saved)
    with torch.no_grad():
        next(other.parameters()).mul_(1.01)
    prunekit.save(other, saved)
    again = perform("quantize", *own)
    assert not isinstance(again, FinishedRecord) and again["run_id"] == record["run_id"]
    assert again["model"]["pruned_fingerprint"] == weights_fingerprint(other)


def test_the_command_of_a_record_leads_to_the_same_pruned_model(folder: Path) -> None:
    own = composed("quantize", *SMALL, f"run.folder={folder}", "remaining=0.5", "scale.repeats=7", "repeats=9")
    assert (as_pruned(own).repeats, own.student_repeats) == (7, 7)
    made = command_of({"verb": "quantize", "scale": "demo", "config": plain(dataclasses.asdict(own))})
    again = composed("quantize", *shlex.split(made.partition("experiments.quantize ")[2]))
    assert run_id("prune_cofi", 2, as_pruned(again)) == run_id("prune_cofi", 2, as_pruned(own))


@pytest.mark.slow
def test_stages_and_times_are_of_their_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [*regression(tmp_path), f"run.folder={tmp_path / 'runs'}"]
    small = [one for one in FISHER if one not in TINY]
    source = perform("prune_fisher", *own, *small, "evaluation.batch_size=7")
    timed: dict[tuple[str, str], tuple[bool, int]] = {}

    class Seen(Served):
        def __init__(self, config: Any, path: Path) -> None:
            super().__init__(config, path)
            content = path.read_bytes()
            self.graph = (b"DynamicQuantizeLinear" in content, len(content))

    def seen(models: Any, *rest: Any) -> Any:
        timed.update({name: served.graph for name, served in models.items()})
        return in_turn(models, *rest)

    monkeypatch.setattr("prunekit.quantization.quantized_run.Served", Seen)
    monkeypatch.setattr("prunekit.quantization.quantized_run.in_turn", seen)
    record = perform("quantize", own[-1], "run.wandb=disabled", "run.quiet_seconds=0", "run.threads=1", "repeats=1",
                     "batch_sizes=[1]", "warmup=0", f"source=prune_fisher/{source['run_id']}")  # fmt: skip
    written = table(tmp_path / "runs", record, "stages").set_index("stage").bytes
    whole_8 = timed.pop(("original", "onnx-int8"))
    assert whole_8[0] and whole_8[1] > written["quantized"]
    assert timed == {
        ("original", "onnx"): (False, written["dense"]), ("pruned", "onnx"): (False, written["pruned"]),
        ("pruned", "onnx-int8"): (True, written["quantized"]),
    }  # fmt: skip

    folder, config = home(tmp_path / "runs", record), composed("prune_fisher", *own)
    model = prunekit.load(home(tmp_path / "runs", source) / "model")
    tokenizer = load_tokenizer(dataclasses.replace(config.model, path=str(folder / "onnx" / "int8")))
    examples = encode_for(model, load_rows(config.task, config.task.evaluation), tokenizer)
    sheet = read_answers(folder / FILE)["evaluation"]
    answers = {}
    for stage, precision in (("pruned", "float32"), ("quantized", "int8")):
        session, scores = Session(folder / "onnx" / precision / "model.onnx", 1), np.full(len(examples), np.nan)
        for batch in evaluation_batches(examples, 7):  # what is in a batch changes the range of its inputs
            scores[batch["index"].numpy()] = session(batch)["logits"][:, 0]
        answers[stage] = sheet.answers.given["score"][:, sheet.of(stage=stage)]
        assert np.array_equal(answers[stage], scores)
    assert not np.allclose(answers["pruned"], answers["quantized"], rtol=1e-4)


def test_training_for_8_bits_is_the_teachers_but_for_what_the_run_is_told() -> None:
    train = ["train.seed=2", "train.learning_rate=3e-5", "train.examples=64", "train.batch_size=7", "train.keep=best"]
    plain = composed("quantize", *train, "seed=5").recipe
    assert (plain.seed, plain.epochs, plain.learning_rate, plain.examples) == (5, 2, 3e-5, 64)
    told = composed("quantize", *train, "seed=5", "epochs=3", "learning_rate=1e-4", "training_examples=9").recipe
    assert (told.seed, told.epochs, told.learning_rate, told.examples) == (5, 3, 1e-4, 9)
    assert {(one.batch_size, one.keep) for one in (plain, told)} == {(7, "last")}


def test_another_revision_of_the_pruning_is_another_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [f"run.folder={folder}", "run.threads=1"]
    half, whole = (composed("quantize", *SMALL, *own, f"remaining={part}") for part in (0.5, 1))
    sourced = composed("quantize", *own, "source=prune_cofi/abc")
    before = quantize.revision(half)
    assert before == prune_cofi.revision(as_pruned(half)) - 1 == 1
    monkeypatch.setattr("experiments.quantize.prune_cofi", dataclasses.replace(prune_cofi, revision=lambda own: 7))
    assert quantize.revision(half) == 6
    assert quantize.revision(whole) == quantize.revision(sourced) == 1  # a source is named by its content


@pytest.mark.parametrize(("verb", "overrides", "first"), [
    ("quantize", [], 1),
    ("time_inference", ["runtimes=[torch,onnx-int8]"], 2),
    ("benchmark", ["benchmark=latency", "runtime=onnx"], 3),
])  # fmt: skip
def test_times_of_graphs_that_share_threads_are_others_than_they_were(
    verb: str, overrides: list[str], first: int
) -> None:
    def revision(*more: str) -> int:
        return named(verb).revision(composed(verb, *overrides, *more))

    assert [revision(f"run.threads={threads}") for threads in ("1", "2", "auto", "null")] == [first, *3 * [first + 1]]


def test_times_without_graphs_are_what_they_were() -> None:
    for verb, own, first in (("time_inference", "runtimes=[torch,compile]", 2), ("benchmark", "repeats=1", 1)):
        assert named(verb).revision(composed(verb, own, "run.threads=2")) == first


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [*SMALL, f"run.folder={folder}", "quantization=aware", "epochs=2", "learning_rate=1e-2", "seed=3",
           "run.checkpoint_seconds=0"]  # fmt: skip
    whole = perform("quantize", *own)
    weights = prunekit.load(home(folder, whole) / "model").state_dict()

    def dies(*positional: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("prunekit.quantization.quantized_run.checkpoints.save", dies)
        perform("quantize", *own, "run.force=true")
    resumed = perform("quantize", *own)
    same = ("value", "low", "high", "bytes", "steps")
    assert [resumed["metrics"][name] for name in same] == [whole["metrics"][name] for name in same]
    again = prunekit.load(home(folder, resumed) / "model").state_dict()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    simulated = [table(folder, record, "stages").set_index("stage").value["simulated"] for record in (whole, resumed)]
    assert simulated[0] == simulated[1]


def test_a_source_is_named_by_its_content(folder: Path, pruned: dict[str, Any], tmp_path: Path) -> None:
    """Wherever it lies and however it is called; other weights are another run."""
    path = home(folder, pruned)

    def identity(source: str) -> tuple[str, str]:
        config = with_its_own_model(composed("quantize", f"run.folder={folder}", f"source={source}"))
        return config.source, run_id("quantize", 1, config, None, local_input(config))

    assert identity(str(path)) == identity(f"prune_fisher/{pruned['run_id']}")
    copied = tmp_path / "copied"
    shutil.copytree(path, copied)
    source, before = identity(str(copied))
    assert source == str(copied)
    weights = next((copied / "model").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert identity(str(copied))[1] != before


def test_a_source_is_evaluated_as_it_was(folder: Path, pruned: dict[str, Any], tmp_path: Path) -> None:
    """On as many rows, so that it stands with the other runs of its scale; of a teacher, on those of the command."""
    copied = tmp_path / "copied"
    shutil.copytree(home(folder, pruned), copied)
    record = json.loads((copied / "result.json").read_text())
    record["config"]["evaluation"] |= {"examples": 77, "batch_size": 5}
    (copied / "result.json").write_text(json.dumps(record))
    command = composed("quantize", f"run.folder={folder}", f"source={copied}")
    own = with_its_own_model(command).evaluation
    assert (own.examples, own.batch_size) == (77, 5) and command.evaluation.examples == 2000
    teacher = next(folder.glob("finetune/*"))
    assert with_its_own_model(dataclasses.replace(command, source=str(teacher))).evaluation == command.evaluation


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["remaining=0.5", "source=a"], "remaining: a source is what it is"),
        (["source=a", "task=mrpc"], "task: a source has its own, leave out task or source"),
        (["source=a", "train.epochs=3"], "train: a source has its own"),
        (["source=a", "model.attention=eager"], "model: a source has its own, leave out model or source"),
        (["source=a", "evaluation.examples=9"], "evaluation: a source has its own, leave out evaluation or source"),
        (["remaining=0"], "remaining: 0.0 must be above 0|outside"),
        (["quantization=static"], "quantization: 'static' is unknown"),
        (["dtype=bfloat16"], "dtype: ONNX Runtime is timed on CPUs, from float32"),
        (["run.device=cuda"], "use dtype=float32 and run.device=cpu"),
        (["model=marian-demo", "task=demo_translation"], "translation"),
    ],
)
def test_settings_that_do_not_go_together(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        composed("quantize", *overrides)


def test_a_source_without_a_model(folder: Path, pruned: dict[str, Any], tmp_path: Path) -> None:
    def refused(source: Any, message: str) -> None:
        with pytest.raises(UserError, match=message) as error:
            perform("quantize", f"run.folder={tmp_path / 'runs'}", "run.wandb=disabled", f"source={source}")
        assert "\n" not in str(error.value)
        assert not (tmp_path / "runs" / "quantize").exists() and not (tmp_path / "runs" / "finetune").exists()

    refused(tmp_path / "nowhere", "source: .*nowhere is no folder of a finished run; right would be one of finetune")
    shutil.copytree(home(folder, pruned), tmp_path / "copied")
    shutil.rmtree(tmp_path / "copied" / "model")
    made = command_of(json.loads((tmp_path / "copied" / "result.json").read_text()))
    assert "constraint=0.4" in made and "task.train_rows=192" in made  # what differs from presets as well
    refused(tmp_path / "copied", f"no weights; they come back with: {re.escape(made)} run.force=true$")
    teacher = next(folder.glob("finetune/*"))
    refused(teacher / "model" / "nothing", "is no folder of a finished run")
    refused(tmp_path, "source: .* is a folder of runs; give one of them, such as .*/copied$")
    refused(home(folder, pruned) / "tables", "is no folder of a finished run")


@pytest.mark.parametrize("verb", ["prune_fisher", "finetune"])
def test_a_source_of_another_teacher(verb: str, folder: Path, pruned: dict[str, Any], tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(next((folder / verb).iterdir()), copied)
    record = json.loads((copied / "result.json").read_text())
    record["model"]["fingerprint"] = "0" * 16
    (copied / "result.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"source: .*copied is of, or was pruned from, a teacher of other weights"):
        perform("quantize", f"run.folder={folder}", "run.wandb=disabled", f"source={copied}")
