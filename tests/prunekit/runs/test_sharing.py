"""Runs that are forced, and runs that several processes want at the same moment."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import pytest

from prunekit.config.sections import Settings
from prunekit.runs.execute import Ahead, Run, execute
from prunekit.runs.finished import lock_of, unchanged
from prunekit.support.errors import UserError
from tests.support.settings import finetune


def forced(folder: Path) -> Settings:
    config = finetune(folder)
    return replace(config, run=replace(config.run, force=True))


@pytest.fixture
def waiting() -> Iterator[threading.Semaphore]:
    """Released once for each thread that finds a lock taken, just before it waits for it."""
    found = threading.Semaphore(0)

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().endswith("another process is at it; waiting until it is done"):
                found.release()

    heard, log = Heard(), logging.getLogger("prunekit.support.files")
    log.addHandler(heard)
    yield found
    log.removeHandler(heard)


def test_whoever_comes_second_waits_and_returns_the_same_record(tmp_path: Path, waiting: threading.Semaphore) -> None:
    inside, calls, records = threading.Event(), list[int](), list[dict[str, Any]]()

    def procedure(config: Settings, run: Run) -> None:
        calls.append(1)
        inside.set()
        assert waiting.acquire(timeout=60)  # the other one has come, and this run is not finished
        run.metrics = {"number": len(calls)}

    def second() -> None:
        assert inside.wait(60)
        records.append(execute("verb", 1, finetune(tmp_path), procedure))

    other = threading.Thread(target=second)
    other.start()
    records.append(execute("verb", 1, finetune(tmp_path), procedure))
    other.join()
    assert len(calls) == 1
    assert records[0] == records[1]


def test_weights_that_two_want_and_that_are_gone_are_made_once(
    tmp_path: Path, waiting: threading.Semaphore
) -> None:
    inside, calls, records = threading.Event(), list[int](), list[dict[str, Any]]()
    config = finetune(tmp_path)

    def procedure(config: Settings, run: Run) -> None:
        calls.append(1)
        inside.set()
        (run.folder / "model").mkdir()
        for name in ("config.json", "model.safetensors"):
            (run.folder / "model" / name).touch()
        run.metrics = {"number": len(calls)}

    def wanted() -> None:
        records.append(execute("verb", 1, config, procedure, needs_model=True))

    first = execute("verb", 1, config, procedure)
    model = tmp_path / "verb" / first["run_id"] / "model"
    wanted()
    shutil.rmtree(model)
    assert execute("verb", 1, config, procedure) == first == records.pop()  # the record stands without them
    lock = filelock.FileLock(tmp_path / ".locks" / f"verb-{first['run_id']}.lock")
    others = [threading.Thread(target=wanted) for _ in range(2)]
    inside.clear()
    with lock:  # both come while there are none
        for one in others:
            one.start()
        assert all(waiting.acquire(timeout=60) for _ in others)
        assert not inside.is_set()
    for one in others:
        one.join()
    assert len(calls) == 2 and model.is_dir()
    assert [record["metrics"] for record in records] == 2 * [{"number": 2}]


def test_half_of_a_forced_runs_old_folder_passes_for_no_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def procedure(config: Settings, run: Run) -> None:
        run.table("rows", [{"a": 1}])

    record = execute("verb", 1, finetune(tmp_path), procedure)
    folder = tmp_path / "verb" / record["run_id"]

    def dies(path: Path) -> None:
        (folder / "tables" / "rows.csv").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", dies)
    with pytest.raises(KeyboardInterrupt):
        execute("verb", 1, forced(tmp_path), procedure)
    monkeypatch.undo()
    execute("verb", 1, finetune(tmp_path), procedure)
    assert (folder / "tables" / "rows.csv").read_text() == "a\n1\n"


def test_only_waiting_for_another_process_is_charged_to_what_is_made_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of its own: two seconds for the lock are, two seconds to read local input before it are not."""
    clock = [0.0]

    def slow(*_: Any) -> dict[str, str]:
        clock[0] += 2
        return {}

    @contextmanager
    def taken(*_: Any) -> Iterator[None]:
        clock[0] += held
        yield

    def teacher(config: Settings, run: Run) -> None:
        run.metrics = {"number": 1}

    def procedure(config: Settings, run: Run) -> None:
        execute("teacher", 1, finetune(tmp_path), teacher, ahead=Ahead(run, "teacher"))

    execute("teacher", 1, finetune(tmp_path), teacher)
    monkeypatch.setattr("prunekit.runs.execute.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr("prunekit.runs.execute.local_input", slow)
    monkeypatch.setattr("prunekit.runs.execute.locked", taken)
    for seed, held in enumerate((0.0, 2.0)):
        seconds = execute("verb", 1, finetune(tmp_path, seed=seed), procedure)["seconds"]
        assert seconds.get("teacher") == (held or None)


def test_an_interrupted_forced_run_goes_on(tmp_path: Path) -> None:
    """``force`` is about a finished record; what an interrupted run has done is not done again."""
    seen: list[int] = []

    def procedure(config: Settings, run: Run) -> None:
        seen.append(len(run.logged()))
        run.log(1, value=1)
        if len(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute("verb", 1, forced(tmp_path), procedure)
    record = execute("verb", 1, forced(tmp_path), procedure)
    execute("verb", 1, forced(tmp_path), procedure)
    assert seen == [0, 1, 0]
    assert json.loads((tmp_path / "verb" / record["run_id"] / "metrics.jsonl").read_text()) == {"step": 1, "value": 1}


def test_what_a_killed_run_left_half_written_is_removed(tmp_path: Path) -> None:
    def procedure(config: Settings, run: Run) -> None:
        run.table("rows", [{"a": 1}])
        if not (run.folder / "killed").exists():
            (run.folder / "killed").touch()
            (run.folder / "tables" / ".rows.csv.12.tmp").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute("verb", 1, finetune(tmp_path), procedure)
    record = execute("verb", 1, finetune(tmp_path), procedure)
    assert [path.name for path in (tmp_path / "verb" / record["run_id"] / "tables").iterdir()] == ["rows.csv"]


def test_what_a_run_makes_ahead_is_said_once_and_its_seconds_are_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def teacher(config: Settings, run: Run) -> None:
        with run.stage("train"):
            run.metrics = {"number": 1}

    def procedure(config: Settings, run: Run) -> None:
        made.append(execute("teacher", 1, finetune(tmp_path), teacher, ahead=Ahead(run, "teacher")))

    made: list[dict[str, Any]] = []
    first, second = (execute("verb", 1, finetune(tmp_path, seed=seed), procedure) for seed in (0, 1))
    folder = tmp_path / "teacher" / made[0]["run_id"]
    config = finetune(tmp_path)
    assert capsys.readouterr().out == (
        f"verb: its teacher is trained first, by teacher into {folder}: {config.model.name} on {config.task.name}; all "
        "runs that need the same share it\n"
    )
    assert first["seconds"]["total"] >= first["seconds"]["teacher"] >= made[0]["seconds"]["total"]
    assert list(second["seconds"]) == ["total"] and made[0] == made[1]


def test_what_is_refused_is_not_said_to_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And of what is made ahead of what is made ahead, the outer is said first."""
    bad = True

    def teacher(config: Settings, run: Run) -> None:
        if bad:
            raise UserError("no column 'verdikt'")
        with run.stage("train"), run.stage("evaluate"):
            run.metrics = {"number": 1}

    def learned(config: Settings, run: Run) -> None:
        execute("teacher", 1, finetune(tmp_path), teacher, ahead=Ahead(run, "teacher"))

    def procedure(config: Settings, run: Run) -> None:
        execute("learned", 1, finetune(tmp_path), learned, ahead=Ahead(run, "learned model"))

    with pytest.raises(UserError, match="verdikt"):
        execute("verb", 1, finetune(tmp_path), procedure)
    assert capsys.readouterr().out == "" and list(tmp_path.glob("*/*/*")) == []
    bad = False
    execute("verb", 1, finetune(tmp_path), procedure)
    said = [line.split(", by ")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["verb: its learned model is trained first", "learned: its teacher is trained first"]


def taken(lock: Path) -> bool:
    with filelock.FileLock(lock, blocking=False):
        return False


@pytest.mark.parametrize(
    ("seen_from", "source", "verb"),
    [
        (".", "verb/ab", "verb"), (".", "linked/ab", "linked"), ("verb", "../verb/ab", "verb"),
        ("verb", "../linked/ab", "linked"), ("verb/cd", "../ab", "verb"),
    ],
)
def test_a_run_is_locked_wherever_it_is_seen_from(
    seen_from: str, source: str, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    for name in ("ab", "cd"):
        (runs / "verb" / name).mkdir(parents=True)
    (runs / ".locks").mkdir()
    (tmp_path / "elsewhere" / "ab").mkdir(parents=True)
    (runs / "linked").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(runs / seen_from)
    lock = lock_of(runs, verb, "ab")
    with unchanged(Path(source)), pytest.raises(filelock.Timeout):
        taken(lock)
    assert not taken(lock) and [path.name for path in tmp_path.rglob("*.lock")] == [lock.name]


def test_a_run_whose_lock_is_another_users_is_read_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(self: filelock.FileLock, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self.lock_file))

    (tmp_path / ".locks").mkdir()
    read: list[str] = []
    monkeypatch.setattr(filelock.FileLock, "acquire", refuses)
    with unchanged(tmp_path / "verb" / "ab"):
        read.append("ab")
    assert read == ["ab"]
    with pytest.raises(PermissionError, match="config"), unchanged(tmp_path / "verb" / "ab"):
        raise PermissionError("config.json")
