"""Thousands of run records read and drawn as one figure, beside a loop that reads one after the other.

The records are the pruning curves of BERT that this repository has logged, each copied many times under its own seeds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

import analysis
from analysis.data.groups import Group, by_condition, teacher_of
from analysis.data.loading import Journal, load
from analysis.michel import fig3b
from analysis.render.output import Drawing
from experiments.benchmarks.paired import BenchmarkCase, Results, paired

LOGGED = Path(analysis.__file__).parent / "logged_runs" / "prune_heads"
SEEDS_APART = 10
"""Of two copies of a run: more than the seeds of the logged ones are apart."""


def compare(case: BenchmarkCase) -> Results:
    case.require_cpu()
    # in the run's folder, named like what a killed process leaves there: the next one removes it
    with tempfile.TemporaryDirectory(dir=case.run.folder, prefix=".", suffix=".tmp") as home:
        runs = Path(home, "prune_heads")
        write_copies(runs, case.size)
        functions = {"plain": lambda: drawn(runs, one_by_one), "fast": lambda: drawn(runs, together)}
        return paired(case, functions, agreement)


def write_copies(folder: Path, number: int) -> None:
    """Records of ``number`` runs, no two the same."""
    logged = [(json.loads(path.read_bytes()), path.parent) for path in sorted(LOGGED.glob("*/result.json"))]
    originals = [
        (result, (run / "tables" / "points.csv").read_bytes())
        for result, run in logged
        if not result["config"]["task"].get("translation")  # two models are two figures
    ]
    for copy in range(number):
        result, points = originals[copy % len(originals)]
        seed = result["seed"] + SEEDS_APART * (copy // len(originals))
        run = folder / f"{copy:016x}"
        (run / "tables").mkdir(parents=True)
        (run / "tables" / "points.csv").write_bytes(points)
        changed = {"run_id": run.name, "seed": seed, "config": result["config"] | {"seed": seed}}
        (run / "result.json").write_text(json.dumps(result | changed))


def drawn(runs: Path, figure: Callable[[Group], Drawing]) -> pd.DataFrame:
    """Load the records, draw their figure and save it; returns its numbers."""
    [group] = by_condition(load([runs], Journal()))
    drawing = figure(group)
    drawing.save(runs.parent / "figures")
    return drawing.frame


def together(group: Group) -> Drawing:
    [drawing] = fig3b.draw(group, Journal())
    assert isinstance(drawing, Drawing)
    return drawing


def one_by_one(group: Group) -> Drawing:
    """The same figure from tables that are read in a loop."""
    tables = [
        pd.read_csv(record.table_path("points")).assign(
            order=fig3b.order_of(record), teacher=teacher_of(record), seed=record.seed
        )
        for record in group.records
    ]
    points = pd.concat(tables, ignore_index=True)
    points["value"] *= 100
    cell = ["order", "teacher", "seed", "share"]
    points = points.drop_duplicates(cell).sort_values(cell, ignore_index=True)
    frame = fig3b.with_published(fig3b.with_runs(fig3b.curves(group.records, points), points))
    return Drawing("fig3b", fig3b.plot(frame), frame, group.caption)


def agreement(results: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Whether the numbers are the same, and how many runs the fullest point is a mean of."""
    plain, fast = results["plain"], results["fast"]
    numbers = fast.select_dtypes("number").columns
    return {
        "max_difference": float((plain[numbers] - fast[numbers]).abs().max().max()),
        "runs": int(fast["runs"].max()),
    }
