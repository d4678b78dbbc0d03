"""Folders that W&B wrote offline as a source: the same runs give the same files, and bad ones are named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from analysis.data import wandb_offline
from analysis.data.loading import Journal, load
from analysis.data.wandb_offline import inspect
from tests.support.commands import TINY, perform
from tests.support.drawings import without_pdf
from tests.support.offline_logs import offline_logs
from tests.support.records import michel
from tests.support.records.frame import DEMO


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real runs with their mirrors in ``wandb/``."""
    root = tmp_path_factory.mktemp("mirrored")
    for seed in (0, 1):
        perform("prune_heads", *TINY, "run.wandb=offline", f"run.folder={root}", "order=random", "grid=0.5",
                "train.seed=0", f"seed={seed}")  # fmt: skip
    assert len(offline_logs(root)) == 3, "of both and of their teacher"
    return root


@pytest.fixture
def copied(mirrored: Path, tmp_path: Path) -> list[Path]:
    """The mirrors' folders elsewhere, where the records are not beside them; those of the two runs, in order."""
    shutil.copytree(mirrored / "wandb", tmp_path / "wandb", symlinks=True)
    return sorted((tmp_path / "wandb").glob("offline-run-*-prune_heads-*"))


def log_of(folder: Path) -> Path:
    [log] = folder.glob("run-*.wandb")
    return log


def test_both_sources_give_the_same_files(
    mirrored: Path, copied: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records, one folder of mirrors, and its runs one by one."""
    monkeypatch.setattr("analysis.render.output.save_figure", without_pdf)
    sources = {"records": mirrored, "mirrors": copied[0].parent, "one by one": ",".join(map(str, copied))}
    for name, source in sources.items():
        assert main([f"source={source}", f"out={tmp_path / name}"]) == 0
    files = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in sources
    }
    assert {path.name for path in files["records"]} >= {"fig3b.csv", "fig3b.png"}
    assert files["mirrors"] == files["records"] == files["one by one"]


def test_a_mirror_has_every_number_of_the_record(mirrored: Path, copied: list[Path]) -> None:
    for record in load([copied[0].parent], Journal()):
        own = mirrored / record.verb / record.run_id
        assert record.folder.parent.parent == copied[0].parent
        for path in (own / "result.json", own / "metrics.jsonl", *(own / "tables").glob("*")):
            copy = record.folder / path.relative_to(own)
            assert copy.read_bytes() == path.read_bytes() and not copy.is_symlink()


def test_a_log_that_is_cut_off_is_named_and_left_out(copied: list[Path]) -> None:
    cut, whole = map(log_of, copied)
    cut.write_bytes(cut.read_bytes()[:-100])
    journal = Journal()
    assert {record.folder.parent for record in load(copied, journal)} == {whole.parent}
    assert journal.warnings == [f"skipped: {cut}: cut off"]
    [unused] = journal.unused
    assert (unused.run.verb, unused.why) == ("prune_heads", "damaged")
    assert cut.stem == f"run-prune_heads-{unused.run.run_id}"


def test_a_cut_off_log_alone_is_a_user_error(copied: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    log_of(copied[0]).write_bytes(log_of(copied[0]).read_bytes()[:5])
    assert main([f"source={copied[0]}"]) == 2
    told = capsys.readouterr()
    assert "cut off at its start" in told.out and "no finished run record" in told.err


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"\0" * 4096])
def test_what_is_no_log_has_no_state(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run-verb-1.wandb").write_bytes(content)
    assert inspect(tmp_path / "run-verb-1.wandb") is None


def tracker(root: Path, time: str, run: Path, state: str = "finished", exit_code: int | None = 0) -> Path:
    """A folder as W&B would have written it; its log says in JSON what ``inspect`` finds in a real one."""
    folder = root / f"offline-run-{time}-{run.parent.name}-{run.name}"
    shutil.copytree(run, folder / "files")
    said = {"run_id": f"{run.parent.name}-{run.name}", "state": state, "exit_code": exit_code}
    (folder / f"run-{run.parent.name}-{run.name}.wandb").write_text(json.dumps(said))
    return folder


def read_json(log: Path) -> Any:
    return json.loads(log.read_text())


@pytest.mark.parametrize(("state", "exit_code"), [("running", None), ("finished", 1)])
def test_runs_that_did_not_finish_are_named(
    state: str, exit_code: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_offline, "inspect", read_json)
    folder = tracker(tmp_path / "wandb", "1", michel.timing(tmp_path / "runs", DEMO), state, exit_code)
    (folder / "files" / "result.json").unlink()
    journal = Journal()
    assert load([tmp_path / "wandb"], journal) == []
    assert journal.warnings == [f"not used: 1 unfinished run(s): {folder}"]


def test_a_mirror_without_its_record_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_offline, "inspect", read_json)
    folder = tracker(tmp_path / "wandb", "1", michel.timing(tmp_path / "runs", DEMO))
    (folder / "files" / "result.json").unlink()
    journal = Journal()
    assert load([folder], journal) == []
    assert journal.warnings == [f"skipped: {folder / 'files' / 'result.json'}: missing"]


def test_of_a_run_done_twice_the_newer_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_offline, "inspect", read_json)
    run = michel.timing(tmp_path / "runs", DEMO)
    _, newer = (tracker(tmp_path / "wandb", time, run) for time in ("20261101_000000", "20261102_000000"))
    [record] = load([tmp_path / "wandb"], Journal())
    assert record.folder == newer / "files"


def test_mirrors_beside_records_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(log: Path) -> None:
        raise AssertionError(log)

    monkeypatch.setattr(wandb_offline, "inspect", fails)
    run = michel.timing(tmp_path / "runs", DEMO)
    tracker(tmp_path / "runs" / "wandb", "1", run)
    journal = Journal()
    assert [record.folder for record in load([tmp_path / "runs"], journal)] == [run]
    assert journal.warnings == []
