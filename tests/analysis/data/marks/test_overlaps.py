"""Runs of older records that another logged run was beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from analysis.data.loading import Journal, load
from analysis.data.marks.quiet import disturbed
from tests.support.records import kwon
from tests.support.records.frame import MINILM, mark_quiet

SECONDS = {"gradients": 40.0, "search": 1.0, "measure latency": 10.0, "total": 100.0}


def run(root: Path, seed: int, start: int, minutes: tuple[int, int], **changed: Any) -> Path:
    """A run from one minute past noon to another; its latency is measured for the last ten seconds."""
    folder = kwon.pruning(root, MINILM, seed=seed)
    path = folder / "result.json"
    record = json.loads(path.read_text())
    begin, end = (f"2026-11-26T12:{minute:02d}:{start:02d}+00:00" for minute in minutes)
    path.write_text(json.dumps(record | {"started": begin, "finished": end, "seconds": SECONDS} | changed))
    return folder


def marks(root: Path, *stages: str) -> dict[int, bool | None]:
    return {record.seed: disturbed(record, stages) for record in load([root], Journal())}


def test_latency_is_beside_what_runs_when_a_run_ends(tmp_path: Path) -> None:
    run(tmp_path, 0, 0, (0, 2))
    run(tmp_path, 1, 55, (1, 3))  # the last five of ten seconds of run 0
    run(tmp_path, 2, 56, (2, 4))  # all of the last seconds of 1
    assert marks(tmp_path, "measure latency") == {0: True, 1: True, 2: None}
    run(tmp_path, 1, 56, (1, 3))
    assert marks(tmp_path, "measure latency")[0] is None, "four of ten seconds"


def test_a_stage_was_beside_others_that_is_longer_than_the_time_alone(tmp_path: Path) -> None:
    run(tmp_path, 0, 0, (0, 2))
    run(tmp_path, 1, 0, (0, 1))
    run(tmp_path, 2, 30, (0, 1))
    assert marks(tmp_path, "gradients")[0] is None, "thirty of its seconds may have been alone"
    run(tmp_path, 2, 40, (0, 1))
    assert marks(tmp_path, "gradients")[0] is True and marks(tmp_path, "search")[0] is None
    assert marks(tmp_path, "total")[0] is None


def test_a_run_that_waits_for_another_is_not_beside_it(tmp_path: Path) -> None:
    run(tmp_path, 0, 0, (0, 2))
    run(tmp_path, 1, 0, (0, 4), seconds=SECONDS | {"teacher": 120.0})
    assert marks(tmp_path, "measure latency", "gradients", "teacher") == {0: None, 1: None}
    run(tmp_path, 1, 0, (0, 4), seconds=SECONDS | {"teacher": 110.0})
    assert marks(tmp_path, "measure latency")[0] is True


def test_other_hardware_and_what_records_say_stand(tmp_path: Path) -> None:
    device = {"type": "cuda", "name": "NVIDIA H200", "threads": 1, "dtype": "float32"}
    run(tmp_path, 0, 0, (0, 2))
    run(tmp_path, 1, 0, (0, 4), device=device)
    assert marks(tmp_path, "measure latency") == {0: None, 1: None}
    run(tmp_path, 1, 0, (0, 4))
    assert marks(tmp_path, "measure latency") == {0: True, 1: None}
    mark_quiet(run(tmp_path, 0, 0, (0, 2)), {"measure latency": 0.0})
    assert marks(tmp_path, "measure latency")[0] is False
    run(tmp_path, 0, 0, (0, 2), started="")
    assert marks(tmp_path, "measure latency")[0] is None, "no date, no word"
