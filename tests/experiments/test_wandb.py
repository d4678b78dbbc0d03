"""A whole verb mirrored to Weights & Biases offline: what is there is what the record says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.data.recorded_answers import answers_of
from analysis.data.records import read_record
from prunekit.runs.tracking import Tracker
from tests.support.commands import TINY, perform
from tests.support.offline_logs import offline_logs


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Tracker, "unreachable", False)


def inspect(log: Path) -> dict[str, Any]:
    """Configuration and summary of an offline run, read by W&B's own program."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--summary", "--json", str(log)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if line.name == "prunekit.runs.tracking"]


def without_empty(value: Any) -> Any:
    """W&B leaves out empty sections."""
    return {k: without_empty(v) for k, v in value.items() if v != {}} if isinstance(value, dict) else value


def test_an_offline_run_has_the_records_config_metrics_tables_and_figures(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = perform("prune_heads", *TINY, "run.wandb=offline", f"run.folder={tmp_path}", "order=random", "share=0.5")
    [log] = offline_logs(tmp_path, "prune_heads-*")
    mirrored = inspect(log)
    assert mirrored["run_id"] == f"prune_heads-{record['run_id']}"
    assert (mirrored["state"], mirrored["exit_code"]) == ("finished", 0)
    assert mirrored["config"] == without_empty(record["config"])
    summary = mirrored["summary"]
    assert {name: summary[name] for name in record["metrics"]} == record["metrics"]
    assert summary["tables/points"]["nrows"] == 2
    assert summary["figures/fig3b"]["_type"] == "image-file"

    own = tmp_path / "prune_heads" / record["run_id"] / "tables"
    assert {path.name for path in own.iterdir()} == {"kept.csv", "points.csv", "scores.csv"}
    for path in own.iterdir():
        assert (log.parent / "files" / "tables" / path.name).read_bytes() == path.read_bytes()
    assert (log.parent / "files" / "answers.npz").read_bytes() == (own.parent / "answers.npz").read_bytes()
    mirror = read_record(log.parent / "files")
    assert mirror is not None and len(answers_of(mirror).models) == 2  # type: ignore[union-attr]
    assert "wandb" not in capfd.readouterr().err


def test_the_record_goes_as_files_of_an_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What analysis fetches from a W&B project: the record's files under their own names."""
    import wandb

    logged: list[Any] = []
    monkeypatch.setattr(wandb.Run, "log_artifact", lambda self, artifact: logged.append(artifact))
    folder = tmp_path / "verb" / "12"
    (folder / "tables").mkdir(parents=True)
    for name in ("result.json", "config.yaml", "metrics.jsonl", "answers.npz", "tables/a.csv"):
        (folder / name).write_text(f"of,{name}\n")
    tracker = Tracker("offline", "prunekit", "verb", "12", {}, tmp_path)
    tracker.finish({}, folder, [])
    [record] = [artifact for artifact in logged if artifact.type == "record"]
    assert {entry.path: entry.local_path for entry in record.manifest.entries.values()} == {
        name: str(folder / name)
        for name in ("result.json", "config.yaml", "metrics.jsonl", "answers.npz", "tables/a.csv")
    }


def test_an_unreachable_server_is_told_once_and_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    start, modes = wandb.init, list[str]()

    def init(mode: Any, **arguments: Any) -> Any:
        modes.append(mode)
        if mode == "online":
            raise wandb.errors.CommError("no route to host")
        return start(mode=mode, **arguments)

    monkeypatch.setattr(wandb, "init", init)
    for number in ("1", "2"):
        tracker = Tracker("online", "prunekit", "verb", number, {}, tmp_path)
        tracker.log(1, {"loss": 0.5})
        tracker.finish({"accuracy": 1.0}, tmp_path / number, [])
    assert modes == ["online", "offline", "offline"]
    assert told(caplog) == [
        "Weights & Biases is not available (no route to host); going on offline, `wandb sync` uploads it later"
    ]
    assert [inspect(log)["summary"]["accuracy"] for log in offline_logs(tmp_path)] == [1.0, 1.0]


def test_a_failing_mirror_is_told_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import wandb

    def fails(self: Any, values: dict[str, Any]) -> None:
        raise OSError("no space for wandb")

    tracker = Tracker("offline", "prunekit", "verb", "3", {}, tmp_path)
    monkeypatch.setattr(wandb.Run, "log", fails)
    for step in range(3):
        tracker.log(step, {"loss": 0.5})
    tracker.finish({}, tmp_path, [])
    assert told(caplog) == [
        "Weights & Biases: no space for wandb; the record on disk loses nothing"
    ]
