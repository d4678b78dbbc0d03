"""What a finished run says in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from experiments.cli.outcome import curve_points, facts, outcome
from prunekit.config.sections import Settings
from prunekit.runs.finished import FinishedRecord
from prunekit.runs.model_facts import weights_gone
from prunekit.runs.schema.seconds import own_seconds, seconds_ahead
from prunekit.support.progress import console


def announce(record: dict[str, Any], config: Settings, cell: str | None = None) -> dict[str, Any]:
    """Print the facts of a run, the data they are of, and where its record and its models are; returns the record.

    Args:
        cell: what tells the run from the others that are made with it: one that was finished before is a line then.
    """
    folder = Path(config.run.folder) / record["verb"] / record["run_id"]
    if cell is not None and isinstance(record, FinishedRecord):
        own = outcome(record, config)
        words = (
            f"{own.metric} {own.score}" if own.score else "", own.achieved, f"finished before, {record.when}",
            "its weights are gone" if weights_gone(record, folder) else "", str(folder),
        )  # fmt: skip
        name = f"{record['verb']} {cell}".strip()  # a sweep of one has nothing to be told by
        console.print(f"{name}: {', '.join(filter(None, words))}", soft_wrap=True)
        return record
    data = ", ".join(
        f"{item['role']}: {item['name']} {item['split']} ({item['rows']:,} rows)" for item in record["data"]
    )
    model = record["model"]
    label = model.get("name", "") + (" with random weights" if model.get("weights") == "random" else "")
    console.print(Text.assemble((record["verb"], "bold"), f" {label}"), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    for name, value in [*facts(record, config), *([("data", data)] if data else [])]:
        table.add_row(Text(f"  {name}"), Text(value, overflow="fold"))
    console.print(table)
    if points := curve_points(record, config):
        console.print(_curve(points, record["metrics"]["metric"]))
    console.print(Text(f"  {seconds_in_words(record)}, record: {folder}"), soft_wrap=True)
    for name, model_folder in _models(record, Path(config.run.folder)):
        console.print(Text(f"  {name}: {model_folder}"), soft_wrap=True)
    if isinstance(record, FinishedRecord):
        gone = "its weights are gone, run.force=true makes them again"
        again = gone if weights_gone(record, folder) else "run.force=true runs it again"
        console.print(f"  finished before, {record.when}; {again}", soft_wrap=True)
    return record


def seconds_in_words(record: Mapping[str, Any]) -> str:
    """Of a run without what was made ahead of it, and of that: ``6.0 s, 243.0 s for the teacher``."""
    seconds = record["seconds"]
    return ", ".join(filter(None, (f"{own_seconds(seconds):.1f} s", ahead_in_words(seconds_ahead(seconds)))))


def ahead_in_words(seconds: Mapping[str, float]) -> str:
    """Of :func:`prunekit.runs.schema.seconds.seconds_ahead`; nothing where there are none."""
    return " and ".join(f"{taken:.1f} s for the {what}" for what, taken in seconds.items())


def _curve(points: list[tuple[str, str, str]], metric: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("  heads gone", "heads left", metric):
        table.add_column(Text(heading), justify="right")
    for row in points:
        table.add_row(*map(Text, row))
    return table


def _models(record: dict[str, Any], runs: Path) -> Iterator[tuple[str, Path]]:
    """Folders that :func:`prunekit.load` takes: of the run's own model, and of the teacher that was trained for it. And
    the one of graphs for ONNX Runtime."""
    own = runs / record["verb"] / record["run_id"] / "model"
    if own.is_dir():
        yield "model", own
    if own.with_name("onnx").is_dir():
        yield "graphs", own.with_name("onnx")
    trained = (record["teacher"] or {}).get("run_id")
    if trained and (runs / "finetune" / trained / "model").is_dir():
        yield "teacher's model", runs / "finetune" / trained / "model"
