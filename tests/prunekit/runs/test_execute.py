import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

import prunekit
from experiments.cli.verb import named
from prunekit.config.sections import Experiment, ModelConfig, RunConfig, Settings, TrainConfig
from prunekit.evaluation.row_answers import of_labels
from prunekit.runs import provenance
from prunekit.runs.execute import Procedure, Run, execute
from prunekit.runs.finished import FinishedRecord, read_result
from prunekit.runs.identity import FORMER_NAMES, NOT_IDENTITY, run_id
from prunekit.runs.local_input import local_input
from prunekit.runs.run_data import logged_on_the_same
from prunekit.runs.run_device import prepare_device
from prunekit.runs.tracking import Tracker
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import weights_fingerprint
from prunekit.support.quiet import Counters, Machine
from tests.support.families import tiny
from tests.support.settings import finetune


def test_identity_does_not_depend_on_the_order_of_keys() -> None:
    one = Experiment(model=ModelConfig(name="m", shape={"a": 1, "b": 2}))
    two = Experiment(model=ModelConfig(name="m", shape={"b": 2, "a": 1}))
    assert run_id("v", 1, one) == run_id("v", 1, two)


def test_identity_is_of_what_changes_the_result() -> None:
    base = Experiment(model=ModelConfig(name="m"))
    same = replace(base, run=RunConfig(folder="elsewhere", threads=1, wandb="offline"))
    assert run_id("v", 1, base) == run_id("v", 1, same)
    others = [
        run_id("v", 2, base),
        run_id("w", 1, base),
        run_id("v", 1, replace(base, seed=1)),
        run_id("v", 1, replace(base, train=TrainConfig(epochs=4))),
        run_id("v", 1, base, {"name": "another processor"}),
        run_id("v", 1, replace(base, dtype="float64")),
        run_id("v", 1, base, content={"teacher": "another content"}),
    ]
    assert len({run_id("v", 1, base), *others}) == 8


def test_a_setting_at_its_default_is_no_part_of_the_identity() -> None:
    """So that a new setting orphans no old run: pinned, because changing it would orphan all of them."""
    assert run_id("v", 1, Experiment()) == run_id("v", 1, Experiment(seed=0, dtype="float32"))
    assert run_id("v", 1, Experiment(seed=3)) == "923ff296c1ad6bd6"


def test_a_run_names_the_one_that_it_replaces(tmp_path: Path) -> None:
    config = finetune(tmp_path)
    first, second = (execute("verb", revision, config, lambda config, run: None) for revision in (1, 2))
    assert first["replaces"] is None
    assert second["replaces"] == first["run_id"] != second["run_id"]
    timed = [execute("verb", number, config, lambda config, run: None, measures_time=True) for number in (1, 2)]
    assert timed[1]["replaces"] == timed[0]["run_id"] != first["run_id"]


def test_a_renamed_verb_keeps_the_ids_of_its_first_name() -> None:
    assert FORMER_NAMES == {"time_decoding": "time_inference"}
    assert run_id("time_decoding", 1, Experiment(seed=3)) == run_id("time_inference", 1, Experiment(seed=3))


ROOT = Path(__file__).parents[3]
LOGGED = sorted((ROOT / "analysis" / "logged_runs").glob("*/*/result.json"))


DROPPED: dict[str, dict[str, Any]] = {"time_inference": {"shares": [0.25, 0.5, 0.75], "words": 24}}
"""Settings that a verb no longer has, and the value at which they were no part of an identity."""


hints_of: Callable[[Any], dict[str, Any]] = cache(get_type_hints)


def built(schema: type[Any], values: dict[str, Any]) -> Any:
    """A configuration from its sections, without the seconds in which OmegaConf merges each of hundreds."""
    hints = hints_of(schema)
    return schema(**{
        name: built(hints[name], value) if is_dataclass(hints[name]) else value for name, value in values.items()
    })  # fmt: skip


def test_new_settings_orphan_no_logged_run() -> None:
    """The configuration of every logged run still has the identity under which the run is kept."""
    assert LOGGED
    for path in LOGGED:
        record = json.loads(path.read_text())
        schema = named(record["verb"]).settings
        sections = {name: value for name, value in record["config"].items() if name not in NOT_IDENTITY}
        for name, default in DROPPED.get(record["verb"], {}).items():
            assert sections.pop(name, default) == default, (path, name)
        config = built(schema, sections)
        shape = sections.get("shape_of")  # of another logged run, whose record is part of the identity
        content = local_input(replace(config, shape_of=str(ROOT / shape))) if shape else None
        own = record["verb"], record["revision"], config
        assert record["run_id"] in {run_id(*own, device, content) for device in (None, record["device"])}, path


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    calls = []

    def procedure(config: Settings, run: Run) -> None:
        calls.append(1)
        run.metrics = {"accuracy": 0.5, "broken": float("nan")}
        run.table("rows", [{"a": 1}])
        run.log(1, loss=2.0)

    config = finetune(tmp_path)
    first = execute("verb", 1, config, procedure)
    assert execute("verb", 1, config, procedure) == first
    assert len(calls) == 1
    execute("verb", 1, replace(config, run=replace(config.run, force=True)), procedure)
    assert len(calls) == 2
    folder = tmp_path / "verb" / first["run_id"]
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "metrics.jsonl", "result.json", "tables"}
    assert json.loads((folder / "result.json").read_text())["metrics"] == {"accuracy": 0.5, "broken": None}
    assert (folder / "tables" / "rows.csv").read_text() == "a\n1\n"
    assert (folder / "metrics.jsonl").read_text() == '{"step": 1, "loss": 2.0}\n'


def test_an_interrupted_run_goes_on_from_its_log(tmp_path: Path) -> None:
    seen: list[list[dict[str, Any]]] = []

    def procedure(config: Settings, run: Run) -> None:
        seen.append(run.logged())
        for step in range(1, 4):
            run.log(step, value=step)
            if step == 2 and len(seen) == 1:
                with (run.folder / "metrics.jsonl").open("a") as file:
                    file.write('{"step": 3, "val')  # killed while writing
                raise KeyboardInterrupt

    config = finetune(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        execute("verb", 1, config, procedure)
    assert not list(tmp_path.glob("verb/*/result.json"))
    record = execute("verb", 1, config, procedure)
    assert seen == [[], [{"step": 1, "value": 1}, {"step": 2, "value": 2}]]
    lines = (tmp_path / "verb" / record["run_id"] / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


def test_a_damaged_result_is_run_again(tmp_path: Path) -> None:
    record = execute("verb", 1, finetune(tmp_path), lambda config, run: None)
    folder = tmp_path / "verb" / record["run_id"]
    (folder / "result.json").write_text('{"status": "fini')
    assert read_result(folder) is None
    assert execute("verb", 1, finetune(tmp_path), lambda config, run: None)["status"] == "finished"


def test_a_result_with_nothing_but_a_status_is_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = execute("verb", 1, finetune(tmp_path), lambda config, run: None)
    path = tmp_path / "verb" / record["run_id"] / "result.json"
    for text, words in (
        ('{"status": "finished"}', "no field 'verb'"),
        ("[]", "no object"),
        ("{", "Expecting property"),
    ):
        path.write_text(text)
        caplog.clear()
        again = execute("verb", 1, finetune(tmp_path), lambda config, run: None)
        [line] = caplog.messages
        assert line.startswith(f"{path}: damaged, ") and words in line and line.endswith("; the run is done again")
        assert not isinstance(again, FinishedRecord) and again["run_id"] == record["run_id"]
    assert isinstance(execute("verb", 1, finetune(tmp_path), lambda config, run: None), FinishedRecord)


def test_what_a_link_leads_to_is_not_deleted(tmp_path: Path) -> None:
    config = finetune(tmp_path / "runs")
    record = execute("verb", 1, config, lambda config, run: run.table("rows", [{"a": 1}]))
    folder, elsewhere = tmp_path / "runs" / "verb" / record["run_id"], tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    before = {path.name for path in elsewhere.rglob("*")}
    assert execute("verb", 1, config, lambda config, run: None) == record
    with pytest.raises(UserError, match=f"run.force: {folder} is a link"):
        execute("verb", 1, replace(config, run=replace(config.run, force=True)), lambda config, run: None)
    assert {path.name for path in elsewhere.rglob("*")} == before >= {"result.json", "rows.csv"}


def test_what_is_known_to_fail_is_refused_before_a_finished_run_is_deleted(tmp_path: Path) -> None:
    def refuse(config: Settings, device: torch.device) -> None:
        assert config.task.name == "demo" and device.type == "cpu"
        raise UserError("a package is missed")

    config = finetune(tmp_path)
    record = execute("verb", 1, config, lambda config, run: run.table("rows", [{"a": 1}]))
    folder = tmp_path / "verb" / record["run_id"]
    before = {path.name for path in folder.rglob("*")}
    with pytest.raises(UserError, match="a package is missed"):
        execute("verb", 1, replace(config, run=replace(config.run, force=True)), lambda *_: None, check=refuse)
    assert {path.name for path in folder.rglob("*")} == before >= {"result.json", "rows.csv"}
    assert execute("verb", 1, config, lambda *_: None, check=refuse) == record  # which stands, whatever is missed
    with pytest.raises(UserError, match="a package is missed"):
        execute("new", 1, config, lambda *_: None, check=refuse)
    assert not (tmp_path / "new").exists()


def test_a_refused_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    config = finetune(tmp_path)
    config = replace(config, run=replace(config.run, wandb="offline"))

    def refuse(config: Settings, run: Run) -> None:
        raise UserError("task.label: no such column")

    def break_off(config: Settings, run: Run) -> None:
        run.log(1, loss=0.5)
        raise UserError("later")

    with pytest.raises(UserError, match="no such column"):
        execute("verb", 1, config, refuse)
    assert not list(tmp_path.glob("verb/*")) and not list(tmp_path.glob("wandb/*run*"))
    with pytest.raises(UserError, match="later"):
        execute("verb", 1, config, break_off)
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1, "what was begun stays"


def test_a_refused_run_does_not_reach_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of W&B's begins before the first thing that there is to say."""
    import wandb

    begun: list[str] = []
    start = wandb.init

    def offline(mode: str, **how: Any) -> Any:
        begun.append(how["id"])
        return start(mode="offline", **how)

    monkeypatch.setattr(wandb, "init", offline)
    config = finetune(tmp_path)
    config = replace(config, run=replace(config.run, wandb="online"))

    def refuse(config: Settings, run: Run) -> None:
        assert begun == []
        raise UserError("task.label: no such column")

    with pytest.raises(UserError, match="no such column"):
        execute("verb", 1, config, refuse)
    assert begun == []
    record = execute("verb", 1, config, lambda config, run: run.metrics.update(accuracy=0.5))
    assert begun == [f"verb-{record['run_id']}"]


def test_a_finished_run_whose_teacher_was_trained_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = ["one"]
    model: dict[str, Any] = {"name": "m", "path": None, "weights": "scratch", "family": "bert"}
    model |= {"parameters": 1, "layers": 1, "heads": 1}
    source = {"seed": 0, "metric": "accuracy", "value": 0.5, "device": "CPU (cpu)"}

    def trained(config: Settings, run: Run) -> None:
        run.model = {**model, "fingerprint": weights[0]}
        run.metrics = {"accuracy": 0.5, "steps": 1, "created": []}
        run.beside = {"trivial": {"accuracy": 0.4}, "above_trivial": True}
        run.data = [{"role": "evaluation", "name": "demo", "source": "demo", "split": "validation", "rows": 1,
                     "rows_available": 1, "fingerprint": "f"}]  # fmt: skip
        answers = of_labels("classification", "f", np.zeros(1, int), np.zeros(1, int))
        run.answers.add("evaluation", [{"stage": "final"}], answers)

    def used(config: Settings, run: Run) -> None:
        run.model, run.teacher = {**model, "fingerprint": weights[0]}, {"run_id": teacher["run_id"], **source}
        run.log(1)

    config = finetune(tmp_path)
    again = replace(config, run=replace(config.run, force=True))
    teacher = execute("finetune", 1, config, trained)
    first = execute("verb", 1, config, used)
    execute("finetune", 1, again, trained)  # to the same weights
    assert execute("verb", 1, config, used) == first and not caplog.messages
    weights[0] = "other"
    execute("finetune", 1, again, trained)
    second = execute("verb", 1, config, used)
    assert caplog.messages == [
        f"verb/{first['run_id']}: its teacher finetune/{teacher['run_id']} was trained again since, to other weights; "
        "starting anew"
    ]
    assert not isinstance(second, FinishedRecord) and second["run_id"] == first["run_id"]
    assert second["model"]["fingerprint"] == "other"
    assert (tmp_path / "verb" / second["run_id"] / "metrics.jsonl").read_text() == '{"step": 1}\n'
    assert isinstance(execute("verb", 1, config, used), FinishedRecord)
    shutil.rmtree(tmp_path / "finetune")  # as of logged runs
    assert isinstance(execute("verb", 1, config, used), FinishedRecord)


def test_a_finished_run_whose_pruned_model_was_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = {"name": "m", "path": None, "weights": "scratch", "family": "bert", "parameters": 1, "layers": 1, "heads": 1}
    pruned = tiny("bert", dtype=torch.float32)
    home = tmp_path / "prune_cofi" / "abc" / "model"

    def used(config: Settings, run: Run) -> None:
        run.model = own | {"pruned_run": "prune_cofi/abc", "pruned_fingerprint": weights_fingerprint(pruned)}

    config = finetune(tmp_path)
    prunekit.save(pruned, home)
    first = execute("verb", 1, config, used)
    prunekit.save(pruned, home)  # to the same weights
    assert execute("verb", 1, config, used) == first and not caplog.messages
    with torch.no_grad():
        next(pruned.parameters()).view(-1)[0] += 1e-6
    prunekit.save(pruned, home)
    second = execute("verb", 1, config, used)
    assert caplog.messages == [
        f"verb/{first['run_id']}: its pruned model prune_cofi/abc was made again since, to other weights; starting anew"
    ]
    assert not isinstance(second, FinishedRecord) and second["run_id"] == first["run_id"]
    assert isinstance(execute("verb", 1, config, used), FinishedRecord)
    (home / "model.safetensors").unlink()  # whoever needs the weights says that they are not there
    assert isinstance(execute("verb", 1, config, used), FinishedRecord)
    shutil.rmtree(home)  # as of logged runs
    assert isinstance(execute("verb", 1, config, used), FinishedRecord)


def test_a_folder_without_a_model_is_no_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls = list[int]()

    def procedure(config: Settings, run: Run) -> None:
        calls.append(1)
        prunekit.save(tiny("bert"), run.folder / "model")

    config = finetune(tmp_path)
    first = execute("verb", 1, config, procedure)
    home = tmp_path / "verb" / first["run_id"] / "model"
    for file in home.iterdir():
        file.unlink()
    assert isinstance(execute("verb", 1, config, procedure), FinishedRecord) and not caplog.messages
    execute("verb", 1, config, procedure, needs_model=True)
    assert caplog.messages == [f"verb/{first['run_id']}: its weights are gone; starting anew"]
    execute("verb", 1, replace(config, run=replace(config.run, force=True)), procedure, needs_model=True)
    assert len(calls) == 3 and len(caplog.messages) == 1


def test_the_record_names_what_it_was_made_with(tmp_path: Path) -> None:
    record = execute("verb", 3, finetune(tmp_path, seed=5), lambda config, run: None)
    assert record["revision"] == 3
    assert record["seed"] == 5
    assert record["config"]["train"]["seed"] == 5
    assert record["versions"]["torch"].startswith("2.")
    assert record["device"]["type"] == "cpu"
    assert record["device"]["threads"] >= 1
    assert record["peak_memory_bytes"] > 10_000_000
    assert set(record["git"]) == {"commit", "dirty"}


def test_steps_rise_and_none_is_logged_twice(tmp_path: Path) -> None:
    def procedure(config: Settings, run: Run) -> None:
        for step in (1, 2, 2, 1, 3):
            run.log(step)

    record = execute("verb", 1, finetune(tmp_path), procedure)
    text = (tmp_path / "verb" / record["run_id"] / "metrics.jsonl").read_text()
    assert text == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def test_offline_wandb_run_mirrors_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)

    def procedure(config: Settings, run: Run) -> None:
        run.log(1, loss=0.5)
        run.table("rows", [{"a": 1}])
        run.metrics = {"accuracy": 0.75}

    config = finetune(tmp_path)
    config = replace(config, run=replace(config.run, wandb="offline"))
    execute("verb", 1, config, procedure)
    files = list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 1
    assert files[0].stat().st_size > 0


def test_an_unreachable_wandb_server_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    def refuse(mode: str, **arguments: Any) -> Any:
        raise wandb.errors.CommError("no route to host")

    monkeypatch.setattr(wandb, "init", refuse)
    config = finetune(tmp_path)
    config = replace(config, run=replace(config.run, wandb="online"))

    def procedure(config: Settings, run: Run) -> None:
        run.log(1, loss=0.5)

    record = execute("verb", 1, config, procedure)
    assert record["status"] == "finished"
    assert (tmp_path / "verb" / record["run_id"] / "metrics.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n'


def test_auto_is_the_cpu_on_a_mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MPS has no float64."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert prepare_device(finetune(tmp_path)) == torch.device("cpu")


@pytest.mark.parametrize(("device", "current"), [("cuda:1", [torch.device("cuda", 1)]), ("cuda", []), ("auto", [])])
def test_the_gpu_of_a_run_is_torch_s_current_one(
    device: str, current: list[torch.device], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a number it stays the current one, which torchrun has chosen."""
    made: list[torch.device] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", made.append)
    config = finetune(tmp_path)
    config.run.device = device
    prepare_device(config)
    assert made == current


def test_a_run_goes_on_without_the_package_of_its_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    tracker = Tracker("offline", "prunekit", "verb", "1", {}, tmp_path)
    tracker.start()
    assert tracker.run is None
    assert caplog.messages == [
        "Weights & Biases: wandb is not installed, in prunekit's checkout `make setup` or `pip install '.[tracking]'`"
        " brings it; going on without it"
    ]
    tracker.log(1, {"loss": 1.0})


@pytest.mark.parametrize("tracked", [True, False])
def test_the_commit_is_that_of_the_library(tracked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of a user's own repository may hold an installed library: that repository's commit is not ours."""
    source = tmp_path / "site-packages" / "prunekit" / "provenance.py"
    source.parent.mkdir(parents=True)
    source.touch()
    (tmp_path / "own.py").touch()

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=u", "-c", "user.email=u@example.org")
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    git("add", "." if tracked else "own.py")
    git("commit", "--message", "one")
    monkeypatch.setattr(provenance, "__file__", str(source))
    commit = git("rev-parse", "HEAD")
    expected = {"commit": commit, "dirty": False} if tracked else {"commit": None, "dirty": None}
    assert provenance.git_state.__wrapped__() == expected


def own_file(folder: Path, text: str) -> Settings:
    (folder / "train.csv").write_text(text)
    config = finetune(folder)
    return replace(config, task=replace(config.task, source="files", files={"train": str(folder / "train.csv")}))


def test_input_that_changes_while_a_run_reads_it_gives_no_record(tmp_path: Path) -> None:
    config = own_file(tmp_path, "a")

    def changes(_config: Settings, _run: Run) -> None:
        own_file(tmp_path, "b")

    with pytest.raises(UserError, match=r"^task\.files\.train: changed while the run read it"):
        execute("verb", 1, config, changes)
    assert not list(tmp_path.rglob("result.json"))
    assert execute("verb", 1, config, lambda config, run: None)["input"].keys() == {"task.files.train"}


def test_input_that_appears_or_goes_while_a_run_works_gives_no_record(tmp_path: Path) -> None:
    config, path = own_file(tmp_path, "a"), tmp_path / "train.csv"

    def goes(_config: Settings, _run: Run) -> None:
        path.unlink()

    def appears(_config: Settings, _run: Run) -> None:
        path.write_text("a")

    for procedure in (goes, appears):
        with pytest.raises(UserError, match=r"^task\.files\.train: changed while the run read it"):
            execute("verb", 1, config, procedure)
    assert not list(tmp_path.rglob("result.json"))


def test_a_log_of_other_rows_is_not_gone_on_with(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[list[dict[str, Any]]] = []

    def procedure_of(rows: str, dies: bool) -> Procedure:
        def told(config: Settings, run: Run) -> None:
            run.model = {"fingerprint": "w"}
            run.data = [{"role": "evaluation", "fingerprint": rows}]
            seen.append(logged_on_the_same(run))
            run.log(1, value=len(seen))
            if dies:
                raise KeyboardInterrupt

        return told

    for rows in ("a", "a", "b"):
        with pytest.raises(KeyboardInterrupt):
            execute("verb", 1, finetune(tmp_path), procedure_of(rows, dies=True))
    assert seen == [[], [{"step": 1, "value": 1}], []]
    [line] = caplog.messages
    assert line.endswith("not gone on with, its evaluation rows had another content; starting anew")
    [folder] = tmp_path.glob("verb/*")
    assert json.loads((folder / "metrics.jsonl").read_text()) == {"step": 1, "value": 3}


def test_a_record_says_how_quiet_each_stage_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    middle = Counters(10, 10, 14, 20)
    counters = iter([Counters(0, 0, 0, 0), middle, middle, Counters(20, 20, 24, 40)])
    monkeypatch.setattr(Machine, "read", lambda self: next(counters))

    def procedure(config: Settings, run: Run) -> None:
        for name in ("train", "evaluate"):
            with run.stage(name):
                pass

    record = execute("own", 1, finetune(tmp_path), procedure)
    shares = {name: (mark["during"], mark["disturbed"]) for name, mark in record["quiet"].items()}
    assert shares == {"train": (0.2, True), "evaluate": (0.0, False)}
