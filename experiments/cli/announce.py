"""What a finished run says in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from experiments.cli.outcome import facts
from prunekit.config.sections import Settings
from prunekit.runs.execute import FinishedRecord
from prunekit.support.progress import console


def announce(record: dict[str, Any], config: Settings) -> dict[str, Any]:
    """Print the facts of a run, the data they are of, and where the record is; returns the record."""
    data = ", ".join(f"{item['name']} {item['split']} ({item['rows']:,} rows)" for item in record["data"])
    model = record["model"]
    label = model.get("name", "") + (" with random weights" if model.get("weights") == "random" else "")
    console.print(Text.assemble((record["verb"], "bold"), f" {label}"), soft_wrap=True)
    table = Table.grid(padding=(0, 2))
    for name, value in [*facts(record, config), *([("data", data)] if data else [])]:
        table.add_row(Text(f"  {name}"), Text(value, overflow="fold"))
    console.print(table)
    folder = Path(config.run.folder) / record["verb"] / record["run_id"]
    console.print(Text(f"  {record['seconds']['total']:.1f} s, record: {folder}"), soft_wrap=True)
    if isinstance(record, FinishedRecord):
        console.print(f"  finished before, {record.when}; run.force=true runs it again", soft_wrap=True)
    return record
