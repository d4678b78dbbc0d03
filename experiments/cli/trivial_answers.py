"""Write analysis/data/marks/trivial_answers.csv: what the trivial answer scores on the rows of the logged runs.

Records say it themselves since version 3 of their schema; of older ones the rows are read again, and have to be the
same: python -m experiments.cli.trivial_answers
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prunekit.runs.schema.verbs import VERBS
from prunekit.support.errors import UserError
from prunekit.support.files import write_text

ROOT = Path(__file__).parents[2]
SOURCE, FILE = ROOT / "analysis" / "logged_runs", ROOT / "analysis" / "data" / "marks" / "trivial_answers.csv"
SECTIONS = {"evaluation": "task", "second": "second"}
"""Where the configuration has the task of the rows, by their role."""


def lines(source: Path) -> list[str]:
    """Of the file: a row for each set of evaluation rows and metric.

    Raises:
        UserError: rows cannot be read, or are not those of the run any more.
    """
    known = {}
    for task, item in _row_sets(source):
        for metric, value in _scores(task, item).items():
            cells = [item["name"], item["split"], item["rows"], item["fingerprint"], metric, f"{value:.10g}"]
            known[item["fingerprint"], metric] = ",".join(map(str, cells))
    return ["task,split,rows,fingerprint,metric,value", *sorted(known.values())]


def _row_sets(source: Path) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """The task and how a record names its rows, once for each set."""
    seen = set()
    for path in sorted(source.glob("*/*/result.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if "trivial" not in VERBS[record["verb"]].metrics.missing([]):
            continue
        for item in record["data"]:
            if item["role"] in SECTIONS and item["fingerprint"] not in seen:
                seen.add(item["fingerprint"])
                yield record["config"][SECTIONS[item["role"]]], item


def _scores(settings: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, float]:
    from prunekit.config.task import TaskConfig
    from prunekit.data.rows import load_rows
    from prunekit.evaluation.trivial import trivial_scores

    names = {field.name for field in dataclasses.fields(TaskConfig)}
    task = TaskConfig(**{name: value for name, value in settings.items() if name in names})
    rows = load_rows(task, item["split"]).sample(item["rows"])
    if rows.fingerprint() != item["fingerprint"]:
        raise UserError(f"{task.name} {item['split']}: its {len(rows)} rows are not those of the logged runs")
    return trivial_scores(task, rows)


if __name__ == "__main__":
    write_text(FILE, "\n".join(lines(SOURCE)) + "\n")
    print(FILE)
