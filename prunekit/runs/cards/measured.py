"""What a run measured of the model that it left: its score, in float32 and in 8 bits, and its speed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.config.sections import recorded_section
from prunekit.config.task import TaskConfig
from prunekit.runs.cards.names import on_hub
from prunekit.runs.local_input import NO_FOLDERS
from prunekit.runs.schema.place import place_of
from prunekit.runs.schema.seconds import LATENCIES
from prunekit.support.markdown import cell

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TABLES = {"prune_fisher": "stages", "compress": "stages", "prune_heads": "points", "quantize": "stages"}
"""By verb, those that have a score of every model on the way to what was left."""
ON_HUB = {
    "matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr", "answer_f1": "f1",
    "entity_f1": "f1", "token_accuracy": "accuracy",
}  # fmt: skip
"""What the Hub calls metrics that it has by another name."""
OF_TURNS = (
    "The speed-up is the median of the turns' quotients, not the quotient of the two medians: near 1 they may disagree."
)
"""Below times and speed-ups, which may contradict each other."""


@dataclass(frozen=True)
class Score:
    """Of one model on the evaluation rows."""

    metric: str
    value: float
    low: float | None
    high: float | None
    """Ends of its 95 % interval, where it is known."""


def score_of(source: Path, record: Mapping[str, Any], *, int8: bool = False) -> Score | None:
    """Of the model that a run left, in float32 or in 8 bits; None where the record has none.

    Args:
        source: folder of the run.
    """
    metrics = record["metrics"]
    if table := TABLES.get(record["verb"]):
        rows = rows_of(source / "tables" / f"{table}.csv")
        named = next((row for row in rows if row.get("stage") == ("quantized" if int8 else "trained")), None)
        last = named or (None if int8 else rows[-1])
        if last is None:
            return None
        return Score(last["metric"], float(last["value"]), float(last["low"]), float(last["high"]))
    if int8:
        return None
    if "value" in metrics:
        return Score(metrics["metric"], metrics["value"], metrics.get("low"), metrics.get("high"))
    first = record["config"]["task"]["metrics"][0]
    return Score(first, metrics[first], *_interval(source, first)) if first in metrics else None


def run_in_8_bits(source: Path, record: Mapping[str, Any]) -> tuple[Path, Mapping[str, Any]] | None:
    """Folder and record of the run of `quantize` that measured a run's model in 8 bits; of one that trains for them
    itself, else the newest that put that model into 8 bits after training, in the same folder of all runs."""
    if record["verb"] == "quantize":
        return source, record
    found: list[tuple[Path, Mapping[str, Any]]] = []
    for path in sorted((place_of(source).parent.parent / "quantize").glob("*/result.json")):
        with suppress(OSError, ValueError, LookupError, TypeError):  # a damaged one tells nothing
            other = json.loads(path.read_text(encoding="utf-8"))
            if other["config"]["quantization"] == "dynamic" and _quantises(other, record):
                found.append((path.parent, other))
    return max(found, key=lambda one: str(one[1]["finished"]), default=None)


def _quantises(other: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether a run of `quantize` is of the model that another run left, and was evaluated on the same rows."""
    pruned = other["model"].get("pruned_run")
    if record["verb"] == "finetune":
        whole = pruned is None and other["config"]["remaining"] == 1
        same = whole and (other["teacher"] or {}).get("run_id") == record["run_id"]
    else:
        same = pruned == f"{record['verb']}/{record['run_id']}"
    if other["finished"] < record["finished"]:
        return False  # of what was there before that run was made again
    return bool(same and _rows(other) == _rows(record))


def _rows(record: Mapping[str, Any]) -> list[str]:
    """Fingerprints of the rows that a run was evaluated on."""
    return [data["fingerprint"] for data in record["data"] if data["role"] == "evaluation"]


def _interval(source: Path, metric: str) -> tuple[float | None, float | None]:
    """Of the only model whose answers a run has, by a bootstrap over its rows."""
    from prunekit.evaluation.rescoring import resampled, right_answers
    from prunekit.runs.schema.answer_file import FILE, read_answers
    from prunekit.support.statistics import accuracy_band, bootstrap_counts

    sheet = read_answers(source / FILE).get("evaluation") if (source / FILE).is_file() else None
    if sheet is None or sheet.answers.models != 1:
        return None, None
    right = right_answers(sheet.answers, metric, 0)
    if right is not None:
        band = accuracy_band(right)
        return float(band.low), float(band.high)
    import numpy as np

    low, high = np.quantile(
        resampled(sheet.answers, metric, 0, bootstrap_counts(len(sheet.answers))), [0.025, 0.975]
    )
    return float(low), float(high)


def score_lines(record: Mapping[str, Any], score: Score | None, model: str = "this model") -> Iterator[str]:
    """A table, in Markdown.

    Args:
        model: what the score is of.
    """
    if score is None:
        yield "The record has none."
        return
    metrics, rows = record["metrics"], _evaluation(record)["rows"]
    yield f"On {rows:,} evaluation rows, with the ends of 95 % intervals:"
    yield ""
    yield f"| | {cell(score.metric)} | low | high |"
    yield "|---|---|---|---|"
    yield f"| {model} | {_number(score.value)} | {_number(score.low)} | {_number(score.high)} |"
    if "baseline" in metrics:
        ends = (metrics["baseline_low"], metrics["baseline_high"])
        yield f"| its teacher | {_number(metrics['baseline'])} | {_number(ends[0])} | {_number(ends[1])} |"
    if score.metric in metrics.get("trivial", {}):
        yield f"| the best answer without a model | {_number(metrics['trivial'][score.metric])} | | |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def speed_lines(source: Path, record: Mapping[str, Any]) -> Iterator[str]:
    """Tables of what was timed, in Markdown; nothing where nothing was."""
    device = record["device"]
    threads = f"{device['threads']} thread{'s' * (device['threads'] != 1)}"
    where = f"{device['name']}, {threads}, {device['dtype']}"
    lines: list[str] = []
    if (path := source / "tables" / "latency.csv").exists():
        lines = [
            f"Measured in PyTorch on {where}, in the shape below, teacher and pruned model in turn; other formats have "
            "other speeds:",
            "", "| batch | tokens | its teacher, ms | pruned, ms | speed-up |", "|---|---|---|---|---|",
            *(_row(row, ("dense_ms", "pruned_ms", "speedup")) for row in rows_of(path)), "", OF_TURNS,
        ]  # fmt: skip
    elif (path := source / "tables" / "gains.csv").exists():
        lines = [
            f"Measured in ONNX Runtime on {where}; how many times as fast as the whole model in float32, in turn:", "",
            "| batch | tokens | pruned | in 8 bits | both |", "|---|---|---|---|---|",
            *(_row(row, ("pruning", "int8", "both")) for row in rows_of(path)),
        ]  # fmt: skip
    yield from lines
    quiet = record.get("quiet") or {}
    if lines and any(quiet[stage].get("disturbed") for stage in LATENCIES if stage in quiet):
        yield ""
        yield "Other processes were at work on that machine meanwhile."


def _row(row: Mapping[str, str], names: tuple[str, ...]) -> str:
    return f"| {row['batch_size']} | {row['length']} | {' | '.join(f'{float(row[name]):.2f}' for name in names)} |"


def result_of(record: Mapping[str, Any], score: Score) -> EvalResult:
    """For ``model-index``."""
    from huggingface_hub import EvalResult

    from prunekit.data.kinds import kind_of

    data, task = _evaluation(record), recorded_section(TaskConfig, record["config"]["task"])
    own = task.source in NO_FOLDERS or not on_hub(record, task.source)
    return EvalResult(
        task_type=kind_of(task).pipeline, dataset_type=task.name if own else task.source,
        dataset_name=str(data["name"]), dataset_config=task.subset, dataset_split=str(data["split"]),
        metric_type=ON_HUB.get(score.metric, score.metric), metric_name=score.metric, metric_value=score.value,
    )  # fmt: skip


def _evaluation(record: Mapping[str, Any]) -> Mapping[str, Any]:
    data: Mapping[str, Any] = next(item for item in record["data"] if item["role"] == "evaluation")
    return data


def rows_of(path: Path) -> list[dict[str, str]]:
    """Of a table of a record."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
