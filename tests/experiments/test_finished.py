"""What has been made before is found at once: a finished run without torch, a teacher without training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.cli.composition import CONF
from prunekit.runs.schema import seconds
from tests.support.commands import TINY, called, perform

HEAVY = ("torch", "transformers", "datasets", "numpy", "pandas", "matplotlib", "wandb", "huggingface_hub")
PROGRAM = """
import sys
from experiments.cli.verb import named
sys.argv[0] = "experiments/prune_heads.py"
named("prune_heads")()
print("heavy", *[module for module in HEAVY if module in sys.modules])
"""
SWEEP = ["order=magnitude", "share=0.5", "floor=0,1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def first(runs: Path) -> list[str]:
    """What a sweep says whose teacher has to be trained."""
    done = called("prune_heads", "-m", *TINY, f"run.folder={runs}", *SWEEP)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def records(runs: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in runs.glob("prune_heads/*/result.json")]
    return sorted(found, key=lambda record: int(record["config"]["floor"]))


def test_a_teacher_that_is_trained_first_is_said_and_its_seconds_are_told_apart(runs: Path, first: list[str]) -> None:
    [teacher] = runs.glob("finetune/*")
    said = [line for line in first if "is trained first" in line]
    assert said == [
        f"prune_heads: its teacher is trained first, by finetune into {teacher}: demo on demo; all runs that need the "
        "same share it"
    ]
    one, other = (record["seconds"] for record in records(runs))
    training = json.loads((teacher / "result.json").read_text())["seconds"]["total"]
    assert one["total"] > one["teacher"] >= training > 0 and "teacher" not in other
    told = [line.split(", record: ")[0] for line in first if ", record: " in line]
    assert told == [
        f"  {one['total'] - one['teacher']:.1f} s, {one['teacher']:.1f} s for the teacher", f"  {other['total']:.1f} s"
    ]
    assert f"  floor=0 done: {one['teacher']:.1f} s for the teacher" in first


def test_seconds_of_a_cell_are_without_those_of_its_teacher(
    runs: Path, first: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the table of its sweep: here more than it took at all, so that none are left to be shown."""
    monkeypatch.setattr(seconds, "seconds_ahead", lambda of: {"teacher": 1e6})
    done = called("prune_heads", "-m", *TINY, f"run.folder={runs}", *SWEEP[:2], "floor=0", "run.force=true")
    lines = done.stdout.splitlines()
    [heading] = [line for line in lines if line.startswith("cell")]
    [cell] = [line for line in lines if line.startswith("floor=0") or line.split()[:1] == ["done"]]
    assert heading.split()[-1] == "seconds" and cell.split()[-1] == "gone"
    assert any(line.endswith("done: 1000000.0 s for the teacher") for line in lines)


def test_cells_that_were_finished_before_are_a_line_each(runs: Path, first: list[str]) -> None:
    done = called("prune_heads", "-m", *TINY, f"run.folder={runs}", *SWEEP)
    lines = done.stdout.splitlines()
    for record in records(runs):
        name, value = f"floor={record['config']['floor']}", f"{record['metrics']['accuracy']:.4g}"
        folder = runs / "prune_heads" / record["run_id"]
        [line] = [line for line in lines if line.startswith(f"prune_heads {name}: ")]
        assert line.startswith(f"prune_heads {name}: accuracy {value}, heads ") and line.endswith(f", {folder}")
        assert "gone, finished before, on " in line
    assert "2 cells: 2 of 2 were finished before" in lines
    assert sum("finished before" in line for line in lines) == 3 and "trained first" not in done.stdout
    assert not any(line.startswith("  baseline") for line in lines)


def test_a_finished_run_is_found_before_anything_heavy_is_imported(runs: Path, first: list[str]) -> None:
    own = [*TINY, f"run.folder={runs}", *SWEEP[:2], "floor=1"]
    command = [sys.executable, "-c", f"HEAVY = {HEAVY!r}\n{PROGRAM}", *own]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == "prune_heads demo" and any(line.startswith("  finished before, on ") for line in lines)
    assert lines[-1] == "heavy"


@pytest.mark.parametrize(("share", "lines"), [("1", ["no head is left in any layer"]), ("null", [])])
def test_a_share_that_leaves_no_head_says_so(
    runs: Path, first: list[str], share: str, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A whole curve is meant to end there."""
    perform("prune_heads", *TINY, f"run.folder={runs}", "order=magnitude", f"share={share}", "grid=0.5")
    assert [line for line in caplog.messages if "is left" in line] == lines
