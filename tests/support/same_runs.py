"""Run folders that must agree in everything but time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load_file

NOT_NUMBERS = ("seconds", "quiet", "peak_memory_bytes", "started", "finished", "git")


TIMED_COLUMNS = ["seconds", "dense_ms", "pruned_ms", "speedup"]


def numbers(root: Path) -> dict[str, Any]:
    """Everything in a run folder that another run of the same commands must have too, by path."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file() and ".locks" not in path.parts):
        content: Any = path.read_bytes()
        if path.name == "result.json":
            content = {name: value for name, value in json.loads(content).items() if name not in NOT_NUMBERS}
            timed = [name for name in content["metrics"] if name.startswith(("seconds", "speedup"))]
            content["metrics"] = {name: value for name, value in content["metrics"].items() if name not in timed}
        elif path.name in ("stages.csv", "latency.csv"):
            content = pd.read_csv(path).drop(columns=TIMED_COLUMNS, errors="ignore").to_csv()
        elif path.parent.name == "gradients" and path.suffix == ".safetensors":
            content = {name: tensor.tolist() for name, tensor in load_file(path).items()}  # seconds are in its header
        found[str(path.relative_to(root))] = content
    return found


def assert_same(found: Path, expected: Path) -> None:
    one, other = numbers(found), numbers(expected)
    assert one.keys() == other.keys()  # nothing is missing, and nothing temporary is left
    assert [name for name in one if one[name] != other[name]] == []


def table(folder: Path, record: dict[str, Any], name: str) -> pd.DataFrame:
    return pd.read_csv(folder / record["verb"] / record["run_id"] / "tables" / f"{name}.csv")
