"""What all synthetic run records have in common: the models, the frame of ``result.json``, and how one is written.

What is written is held to the schema of records as it is when a verb runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from prunekit.evaluation.row_answers import AnswerSheet, RowAnswers, joined
from prunekit.runs.schema.answer_file import FILE, write_answers
from prunekit.runs.schema.fields import VERSION
from prunekit.runs.schema.verbs import VERBS
from prunekit.runs.schema.writing import check_line, check_record, check_rows
from prunekit.support.quiet import Quietness

BERT = {"name": "bert-base", "path": "bert-base-uncased", "weights": "pretrained", "family": "bert",
        "parameters": 109_484_547, "layers": 12, "heads": 144}  # fmt: skip
MINILM = {"name": "minilm-l6", "path": "sentence-transformers/all-MiniLM-L6-v2", "weights": "pretrained",
          "family": "bert", "parameters": 22_714_371, "layers": 6, "heads": 72}  # fmt: skip
DEMO = {"name": "demo", "path": None, "weights": "scratch", "family": "bert",
        "parameters": 1_200_000, "layers": 4, "heads": 16}  # fmt: skip

TRIVIAL = {"accuracy": 0.35, "f1": 0.4, "bleu": 0.03, **dict.fromkeys(("matthews", "pearson", "spearman"), 0.0)}
"""Of made-up rows: what one answer to all of them scores."""


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Put a table of another length into a finished run, whose record says how many rows it has."""
    table.to_csv(folder / "tables" / f"{name}.csv", index=False)
    result = json.loads((folder / "result.json").read_text())
    result["tables"][name] = len(table)
    (folder / "result.json").write_text(json.dumps(result))


def add_answers(folder: Path, *models: tuple[dict[str, Any], RowAnswers]) -> None:
    """Put answers into a finished run: of one model each, with the words that tell it. Its rows become theirs."""
    sheet = joined([AnswerSheet((words,), answers) for words, answers in models])
    write_answers(folder / FILE, {"evaluation": sheet})
    result = json.loads((folder / "result.json").read_text())
    result["answers"] = {"evaluation": len(models)}
    for item in result["data"]:
        if item["role"] == "evaluation":
            item |= {"fingerprint": sheet.answers.rows, "rows": len(sheet.answers)}
    (folder / "result.json").write_text(json.dumps(result))


def write_run(
    root: Path,
    verb: str,
    *,
    tables: Mapping[str, pd.DataFrame] | None = None,
    metrics: dict[str, Any] | None = None,
    sparsity: dict[str, float] | None = None,
    log: Sequence[tuple[int, dict[str, Any]]] = (),
    config: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    task: str = "mnli",
    scale: str | None = "small",
    teacher: int | None = 0,
    seed: int = 0,
    rows: int = 2000,
    revision: int = 1,
    data: list[dict[str, Any]] | None = None,
    seconds: dict[str, float] | None = None,
) -> Path:
    """Write one finished run below ``root`` and return its folder.

    Arguments:
        log: steps and what is logged at each.

    Raises:
        SchemaError: a table, a metric or a line of the log is not what the schema of the verb says.
    """
    model = dict(model or MINILM)
    full = {
        "model": {"name": model["name"], "path": model["path"], "weights": model["weights"]},
        "task": {"name": task},
        "train": {"seed": teacher or 0, "examples": 24511},
        "run": {"folder": str(root), "threads": None},
        "seed": seed,
        **(config or {}),
    }
    run_id = f"{abs(hash_of([verb, full, scale, rows, revision])):016x}"
    folder = root / verb / run_id
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name, table in (tables or {}).items():
        check_rows(verb, name, table.to_dict("records"))  # type: ignore[arg-type]
        table.to_csv(folder / "tables" / f"{name}.csv", index=False)
    for _, values in log:
        check_line(verb, values)
    if log:
        lines = (json.dumps({"step": step, **values}) + "\n" for step, values in log)
        (folder / "metrics.jsonl").write_text("".join(lines))
    (folder / "config.yaml").write_text(json.dumps(full))
    demo = task.startswith("demo")
    evaluation = {"role": "evaluation", "name": task, "source": "demo" if demo else "nyu-mll/glue",
                  "split": "validation_matched", "rows": rows, "rows_available": 2000 if demo else 9815,
                  "fingerprint": "sha256:ab"}  # fmt: skip
    train = evaluation | {"role": "train", "split": "train", "rows": 24511, "rows_available": 392702}
    used = [train, evaluation] if data is None else [{"fingerprint": "sha256:ab", **item} for item in data]
    result = {
        "schema": VERSION,
        "verb": verb, "revision": revision, "run_id": run_id, "replaces": None, "status": "finished",
        "config": full,
        "metrics": beside(verb) | (metrics or {}), "sparsity": sparsity or {}, "model": model,
        "teacher": None if teacher is None
        else {"run_id": f"t{teacher}", "seed": teacher, "metric": "accuracy", "value": 0.7},
        "data": used, "seed": seed, "scale": scale,
        "seconds": {**(seconds or {}), "total": 1.0}, "quiet": {}, "peak_memory_bytes": 10**9,
        "device": {"type": "cpu", "name": "AMD EPYC 7B13", "threads": 2, "dtype": "float32"},
        "versions": {"python": "3.11.9"}, "git": {"commit": "0" * 40, "dirty": False}, "started": "", "finished": "",
        "tables": {name: len(table) for name, table in (tables or {}).items()},
    }  # fmt: skip
    check_record(result, tables or {})
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def mark_quiet(folder: Path, shares: Mapping[str, float | None]) -> Path:
    """Let a finished run say what share of the CPUs other processes took in some of its stages."""
    path = folder / "result.json"
    result = json.loads(path.read_text())
    result["quiet"] |= {stage: Quietness(during=share, cpus=2).as_dict() for stage, share in shares.items()}
    check_record(result, result["tables"])
    path.write_text(json.dumps(result))
    return folder


def spread(gain: float) -> dict[str, float]:
    """Of the rounds that a speed-up is the median of."""
    return {"speedup_low": 0.99 * gain, "speedup_high": 1.01 * gain, "repeats": 20}


def timed_again(
    root: Path, folder: Path, speedups: Mapping[int, float], *, length: int = 64, share: float | None = 0.0,
    device: str = "AMD EPYC 7B13",
) -> Path:  # fmt: skip
    """A run of ``time_inference`` of the shape that the run in ``folder`` pruned to.

    Arguments:
        speedups: by batch size.
        share: of the CPUs that other processes took.
    """
    result = json.loads((folder / "result.json").read_text())
    rows = [{"batch_size": batch, "length": length, "dense_ms": 10.0 * batch, "pruned_ms": 10.0 * batch / gain,
             "speedup": gain, **spread(gain), "mac_speedup": 2.0} for batch, gain in speedups.items()]  # fmt: skip
    model = {name: value for name, value in result["model"].items() if name != "weights"}
    new = write_run(
        root, "time_inference", tables={"latency": pd.DataFrame(rows)}, teacher=None, data=[],
        task=result["config"]["task"]["name"],
        config={"shape_of": str(folder), "batch_sizes": list(speedups), "lengths": [length], "device": device},
        model={**model, "weights": "random", "shape_of": f"{result['verb']}/{result['run_id']}",
               "shape_fingerprint": "ab"},
        metrics={f"speedup_batch_{batch}": gain for batch, gain in speedups.items()},
        sparsity={"achieved_heads": 0.5, "achieved_parameters": 0.5, "achieved_macs": 0.5},
    )  # fmt: skip
    path = new / "result.json"
    path.write_text(path.read_text().replace("AMD EPYC 7B13", device))
    return mark_quiet(new, {"time inference": share})
def beside(verb: str) -> dict[str, Any]:
    """What every verb that scores a model has beside its own metrics."""
    names = VERBS[verb].metrics.missing([]) if verb in VERBS else []
    of = {"trivial": dict(TRIVIAL), "above_trivial": True}
    return {name: of[name.removeprefix("second_")] for name in names if name.removeprefix("second_") in of}


def hash_of(value: Any) -> int:
    """Stable over processes, unlike ``hash``."""
    return int(hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:15], 16)
