"""Disks, clocks and locks that fail a run: one line, and the same command goes on once they are well again."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from experiments.cli.composition import CONF
from tests.support.commands import TINY, called, perform

SETTINGS = [*TINY, "train.epochs=3", "run.checkpoint_seconds=0"]
DISK = ["unshare", "--map-root-user", "--mount", "bash", "-c"]
"""A shell that may mount a small disk which nobody else sees."""
HOLDING = """
import filelock, sys
lock = filelock.FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def on_small_disk(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in which ``$RUN`` is a training into ``$DISK``, a disk of 96 kB at first."""
    mount = f"mount -t tmpfs -o size=96k none {folder}"
    if subprocess.run([*DISK, mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a disk of his own")
    return subprocess.run(
        [*DISK, f"{mount} && {script}"],
        cwd=CONF.parent, env={**os.environ, "HF_HUB_OFFLINE": "1", "DISK": str(folder)}, capture_output=True, text=True,
    )  # fmt: skip


def verb(name: str, *overrides: str) -> str:
    quoted = " ".join(f"'{text}'" for text in (*overrides, *SETTINGS))
    return f"{sys.executable} -m experiments.{name} {quoted} run.folder=$DISK/runs"


def test_no_space_for_a_checkpoint_and_the_same_command_with_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.replace

    def full(self: Path, target: Path) -> Path:
        if Path(target).name == "checkpoint.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return rename(self, target)

    training = [*SETTINGS, f"run.folder={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        done = called("finetune", *training)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("finetune: the disk is full (")
    assert line.endswith("; free space, the same command goes on from here")
    assert not list(tmp_path.rglob("result.json"))
    assert called("finetune", *training).returncode == 0
    assert not list(tmp_path.rglob("*.tmp")) and len(list(tmp_path.glob("finetune/*/result.json"))) == 1


@pytest.mark.slow
def test_a_full_disk_and_the_same_command_with_more_space(tmp_path: Path) -> None:
    training = verb("finetune")
    done = on_small_disk(
        f"{training}; echo status $?; mount -o remount,size=64m none $DISK; {training}; echo status $?; "
        "find $DISK -name '*.tmp'",
        tmp_path,
    )
    told = done.stderr.strip().splitlines()
    assert len(told) == 1 and told[0].startswith("finetune: the disk is full ("), done.stderr
    assert told[0].endswith("; free space, the same command goes on from here")
    lines = done.stdout.strip().splitlines()
    assert [line for line in lines if line.startswith("status")] == ["status 2", "status 0"]
    assert lines[-1] == "status 0"  # nothing temporary is left


@pytest.mark.slow  # a run's and a sweep's failures are told by the same code, see test_bad_input.py
def test_a_sweep_whose_disk_is_full(tmp_path: Path) -> None:
    done = on_small_disk(f"dd if=/dev/zero of=$DISK/rest bs=1k count=88 status=none; "
                         f"{verb('finetune', '-m', 'train.seed=0,1')}", tmp_path)  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("finetune: the disk is full (") == 2 and "Traceback" not in done.stderr
    assert "2 cells: 2 failed" in done.stdout or "2 cells: 2 no report" in done.stdout


@pytest.mark.slow  # the fast suite has a folder that cannot be made, in test_bad_input.py
@pytest.mark.parametrize("overrides", [(), ("-m", "train.seed=0,1")], ids=["run", "sweep"])
def test_a_folder_that_may_only_be_read(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    done = on_small_disk(f"mount -o remount,ro none $DISK; {verb('finetune', *overrides)}", tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert line.startswith(f"finetune: run.folder: cannot write {tmp_path}/runs")
    assert line.endswith("(Read-only file system); choose another run.folder")


def test_a_clock_that_was_ahead(tmp_path: Path) -> None:
    """What finished in the future is still what was finished before, and of its sweep nothing is done again."""
    record = perform("finetune", *SETTINGS, f"run.folder={tmp_path}")
    path = tmp_path / "finetune" / record["run_id"] / "result.json"
    ahead = record | {"started": "2099-01-01T00:00:00+00:00", "finished": "2099-01-01T00:00:01+00:00"}
    path.write_text(json.dumps(ahead))
    done = called("finetune", "-m", *SETTINGS, f"run.folder={tmp_path}", "train.seed=0")
    assert done.returncode == 0, done.stderr
    assert "1 cells: 1 of 1 was finished before" in done.stdout
    assert json.loads(path.read_text()) == ahead


def test_a_lock_whose_owner_is_gone(tmp_path: Path) -> None:
    record = perform("finetune", *SETTINGS, f"run.folder={tmp_path}")
    lock = tmp_path / ".locks" / f"finetune-{record['run_id']}.lock"
    (tmp_path / "finetune" / record["run_id"] / "result.json").unlink()
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    with pytest.raises(filelock.Timeout), filelock.FileLock(lock, timeout=0):
        pass
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    again = perform("finetune", *SETTINGS, f"run.folder={tmp_path}")
    assert again["metrics"] == record["metrics"]
