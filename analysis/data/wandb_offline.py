"""Run records in the folders that Weights & Biases writes offline: the record's files, and W&B's log to vouch for them.

``offline-run-TIME-VERB-RUN_ID/`` holds the log ``run-VERB-RUN_ID.wandb`` and, in ``files/``, what the run saved:
``result.json``, ``metrics.jsonl`` and ``tables/`` as they were on disk. Folders of online runs look the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.data.columns import DamagedRecordError
from analysis.data.records import Record, read_record


@dataclass(frozen=True)
class OfflineRun:
    """One folder, and what W&B's own program says of its log."""

    folder: Path
    verb: str
    run_id: str
    log: Path
    state: dict[str, Any] | None
    """``state``, ``exit_code`` and more; None where the log cannot be read."""

    def read(self) -> Record | None:
        """The record; None when the run did not finish.

        Raises:
            DamagedRecordError: the log is no log or cut off, the record is not there, or is itself damaged.
        """
        files = self.folder / "files"
        if self.state is None:
            raise DamagedRecordError(f"{self.log}: no log of Weights & Biases, or cut off at its start")
        if self.state.get("state") != "finished":
            if (files / "result.json").exists():
                raise DamagedRecordError(f"{self.log}: cut off")
            return None
        if self.state.get("exit_code") != 0:
            return None
        if not (files / "result.json").exists():
            raise DamagedRecordError(f"{files / 'result.json'}: missing")
        return read_record(files)


def log_in(folder: Path) -> Path | None:
    """The log that makes a folder one of W&B's, or None."""
    return next(iter(sorted(folder.glob("run-*.wandb"))), None)


def offline_runs(folders: Sequence[Path]) -> list[OfflineRun]:
    """The runs of those folders that W&B wrote, the newest first: a run done again stands for its older selves."""
    logs = [(folder, log) for folder in sorted(folders, reverse=True) if (log := log_in(folder))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each log starts a program, which takes about a second
        states = list(pool.map(inspect, (log for _, log in logs)))
    runs = []
    for (folder, log), state in zip(logs, states, strict=True):
        verb, _, run_id = log.stem.removeprefix("run-").rpartition("-")
        runs.append(OfflineRun(folder, verb, run_id, log, state))
    return runs


def inspect(log: Path) -> dict[str, Any] | None:
    """State, exit code, configuration and summary, read by W&B's own program; None if it is no log."""
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(log)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        content = json.loads(done.stdout)
    except ValueError:
        return None
    # Of a log without a single record it says so in this way, with exit status 0.
    return content if isinstance(content, dict) and content.get("run_id") else None
