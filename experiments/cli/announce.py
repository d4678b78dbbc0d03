"""What a finished run says in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.text import Text

from prunekit.config.sections import Settings
from prunekit.runs.execute import FinishedRecord
from prunekit.support.progress import console


def announce(record: dict[str, Any], config: Settings) -> dict[str, Any]:
    """Print headline numbers of a run, the data they are of, and where the record is; returns the record."""
    numbers = {name: value for name, value in record["metrics"].items() if isinstance(value, float | int | str)}
    text = ", ".join(_worded(name, value) for name, value in numbers.items())
    data = ", ".join(f"{item['name']} {item['split']} ({item['rows']:,} rows)" for item in record["data"])
    model = record["model"]
    label = model.get("name", "") + (" with random weights" if model.get("weights") == "random" else "")
    console.print(Text.assemble((record["verb"], "bold"), f" {label}: {text}"), soft_wrap=True)
    if data:
        console.print(f"  on {data}", soft_wrap=True)
    if record["sparsity"]:
        text = ", ".join(_worded(name, value) for name, value in record["sparsity"].items())
        console.print(f"  sparsity: {text}", soft_wrap=True)
    folder = Path(config.run.folder) / record["verb"] / record["run_id"]
    console.print(f"  {record['seconds']['total']:.1f} s, record: {folder}", soft_wrap=True)
    if isinstance(record, FinishedRecord):
        console.print(f"  finished before, {record.when}; run.force=true runs it again", soft_wrap=True)
    return record


def _worded(name: str, value: float | int | str) -> str:
    return f"{name.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
