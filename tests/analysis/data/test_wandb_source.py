"""Records from Weights & Biases, with its API replaced by one that serves a folder."""

from __future__ import annotations

import shutil
import types
from pathlib import Path

import pytest

from analysis.data.loading import Journal, load
from analysis.data.wandb_source import fetch
from prunekit.support.errors import UserError
from tests.support.records import michel
from tests.support.records.frame import MINILM


class Artifact:
    def __init__(self, kind: str, folder: Path, version: str) -> None:
        self.type, self.folder, self.version = kind, folder, version

    def download(self, root: str) -> None:
        shutil.copytree(self.folder, root, dirs_exist_ok=True)


class Run:
    def __init__(self, folder: Path | None, run_id: str) -> None:
        self.id, self.folder = run_id, folder

    def logged_artifacts(self) -> list[Artifact]:
        record = [Artifact("record", self.folder, "v10")] if self.folder else []
        return [*record, Artifact("masks", Path("none"), "v11"), Artifact("record", Path("none"), "v9")][
            : 3 * len(record)
        ]


def serve(monkeypatch: pytest.MonkeyPatch, runs: list[Run]) -> None:
    def api() -> types.SimpleNamespace:
        return types.SimpleNamespace(runs=lambda project: runs if project == "me/prunekit" else 1 / 0)

    monkeypatch.setattr("wandb.Api", api)


def test_records_come_back_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = michel.timing(tmp_path / "runs", MINILM)
    serve(monkeypatch, [Run(original, f"time_inference-{original.name}"), Run(None, "other")])
    folder = fetch("me/prunekit", tmp_path / "fetched")
    [record] = load([folder], Journal())
    assert record.folder == tmp_path / "fetched" / "time_inference" / original.name
    for file in ("result.json", "tables/timings.csv"):
        assert (record.folder / file).read_bytes() == (original / file).read_bytes()


def test_ids_from_elsewhere_lead_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = michel.timing(tmp_path / "runs", MINILM)
    serve(monkeypatch, [Run(original, "../../x-.."), Run(original, "..-x")])
    fetch("me/prunekit", tmp_path / "deep" / "fetched")
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"fetched"}


def test_unreachable_or_empty_projects_are_user_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, [])
    with pytest.raises(UserError, match="wandb:me/prunekit: no run there"):
        fetch("me/prunekit", tmp_path)
    with pytest.raises(UserError, match="wandb:me/other: division by zero"):
        fetch("me/other", tmp_path)
