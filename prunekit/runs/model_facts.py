"""What a run's record says of the model that it left, for the model card."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.config.sections import ModelConfig
from prunekit.runs.finished import has_model
from prunekit.runs.schema.checking import folder_problems
from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_there
from prunekit.support.markdown import cell, in_markdown

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from prunekit.models.export.card import Facts

METHODS = {
    "finetune": "Fine-tuned, not pruned",
    "prune_heads": "Heads in the order of a score (Michel et al. 2019)",
    "prune_fisher": "Heads and neurons by Fisher information, rearranged and tuned without training (Kwon et al. 2022)",
    "compress": "Heads and neurons to a budget, by a method of prunekit",
    "prune_cofi": "Layers, heads, neurons and hidden dimensions by learned masks, distilled (CoFi, Xia et al. 2022)",
    "quantize": "Trained for 8 bits (Q8BERT, Zafrir et al. 2019)",
}
"""By verb, of those that leave a model."""
CONTROL = "Trained as long as a model that is trained for 8 bits, without them: the control of it"
TABLES = {"prune_fisher": "stages", "compress": "stages", "prune_heads": "points", "quantize": "stages"}
"""By verb, those that have a score of every model on the way to what was left."""
BASES = {
    "google-bert/": "apache-2.0", "distilbert/": "apache-2.0", "google/electra-": "apache-2.0",
    "albert/albert-": "apache-2.0", "FacebookAI/": "mit", "sentence-transformers/": "apache-2.0",
    "Helsinki-NLP/": "cc-by-4.0",
}  # fmt: skip
"""Licences of base models, by the start of their name on the Hub."""
UNITS = {"Macs": "Multiply-accumulates"}
UNKNOWN = "unknown"
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "source.spm", "spiece.model")
"""Files by one of which a folder has a tokenizer."""
Again = Callable[[Mapping[str, Any]], str]
"""From a record, as ``result.json`` has it, the command that makes its run again."""


def weights_gone(record: Mapping[str, Any], folder: Path) -> bool:
    """Whether a finished run left a model, or graphs, that are not in its folder any more."""
    verb, config = record["verb"], record["config"]
    leaves = {"prune_heads": bool(config.get("save")), "quantize": config.get("quantization") != "dynamic"}
    graphs = verb == "quantize" and not (folder / "onnx").is_dir()
    return graphs or (leaves.get(verb, verb in METHODS) and not has_model(folder))


@dataclass(frozen=True)
class RunModel:
    """A model of a finished run, or any other."""

    path: str
    """Folder or Hub id."""
    facts: Facts
    run: Path | None = None
    """Folder of the run, if it is of one."""

    def tokenizer(self) -> Any:
        """The one beside the model; None where there is none."""
        if Path(self.path).is_dir() and not any((Path(self.path) / name).exists() for name in TOKENIZERS):
            return None
        from prunekit.data.tokenizers import load_tokenizer

        return load_tokenizer(ModelConfig(path=self.path))


def run_model(source: str, again: Again | None = None) -> RunModel:
    """The model in a run's folder, and what its record says of it; of any other model that alone.

    Args:
        again: None says no command, which only those know that have the presets.

    Raises:
        UserError: as :func:`run_folder`.
    """
    folder = run_folder(source, again)
    if folder is None:
        from prunekit.models.export.card import Facts

        return RunModel(source, Facts())
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return RunModel(str(folder / "model"), _facts(folder, record, again), folder)


def run_folder(source: str, again: Again | None = None) -> Path | None:
    """The folder of the run that a model is of; None for any other model, here or on the Hub. It takes no torch.

    Args:
        again: as of :func:`run_model`.

    Raises:
        UserError: no such folder, no finished run that leaves a model, or its weights are gone.
    """
    folder = Path(source)
    if folder.name == "model" and (folder.parent / "result.json").exists():
        folder = folder.parent
    if not (folder / "result.json").exists():
        if (folder / "config.yaml").exists():
            raise UserError(f"source: {source} is a run that is not finished; the command that began it goes on")
        check_there(source, "source")
        return None
    for problem in folder_problems(folder):
        raise UserError(f"source: {problem}; give the folder of a finished run")
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if record["verb"] == "quantize" and record["config"]["quantization"] == "dynamic":
        raise UserError(
            f"source: {source} leaves graphs alone, in {folder / 'onnx'}; give the run whose model was quantised"
        )
    if record["verb"] not in METHODS:
        leave = ", ".join(METHODS)
        raise UserError(f"source: {source} is a run of {record['verb']}, which leaves no model; right would be {leave}")
    if not has_model(folder):
        save = " save=true" if record["verb"] == "prune_heads" else ""
        if again is None:
            raise UserError(f"source: {source} has no weights; run it again, with{save} run.force=true")
        raise UserError(f"source: {source} has no weights; they come back with: {again(record)}{save} run.force=true")
    return folder


def _facts(source: Path, record: Mapping[str, Any], again: Again | None) -> Facts:
    from prunekit.models.export.card import Facts

    config, task = record["config"], record["config"]["task"]
    base = record["model"]["path"]
    on_hub = base is not None and not Path(str(base)).exists()
    title = f"{record['model']['name']} on {task['name']}, {_sizes(record)}"
    score = _score(source, record)
    metadata: dict[str, Any] = {"license": next((BASES[name] for name in BASES if str(base).startswith(name)), UNKNOWN)}
    metadata |= {"base_model": base} if on_hub else {}
    source_of_data = str(task["source"])
    if "/" in source_of_data and not Path(source_of_data).exists():
        metadata["datasets"] = [source_of_data]
    sections = {"What it is": "\n".join(_what(record)), "Score": "\n".join(_score_lines(record, score))}
    if latency := list(_latency(source, record)):
        sections["Speed"] = "\n".join(latency)
    sections["Data"] = "\n".join(_data(record))
    sections["How it was made"] = "\n".join(_made(record, again))
    results = [] if score is None else [_result(record, config, score)]
    return Facts(title, metadata, results, sections)


def _sizes(record: Mapping[str, Any]) -> str:
    gone = record["sparsity"].get("achieved_parameters")
    return "whole" if not gone else f"{gone:.0%} of its parameters pruned"


def _what(record: Mapping[str, Any]) -> Iterator[str]:
    base = record["model"]["path"] or f"a {record['model']['family']} of its own shape"
    control = record["config"].get("quantization") == "trained"
    yield f"- Method: {CONTROL if control else METHODS[record['verb']]}."
    yield f"- Base model: {in_markdown(base)}."
    if teacher := record["teacher"]:
        name = f"run finetune/{teacher['run_id']}" if teacher.get("run_id") else teacher.get("path")
        yield f"- Teacher: {in_markdown(str(name))}, {record['model']['parameters']:,} parameters."
    for name, value in record["sparsity"].items():
        if name.startswith("achieved_") and isinstance(value, int | float):
            unit = name.removeprefix("achieved_").replace("_", " ").capitalize()
            yield f"- {UNITS.get(unit, unit)} that are gone: {value:.1%}."


@dataclass(frozen=True)
class _Score:
    metric: str
    value: float
    low: float | None
    high: float | None


def _score(source: Path, record: Mapping[str, Any]) -> _Score | None:
    """Of the model that was left, in float32, with its band where the record has one."""
    metrics = record["metrics"]
    if table := TABLES.get(record["verb"]):
        rows = _rows(source / "tables" / f"{table}.csv")
        last = next((row for row in rows if row.get("stage") == "trained"), rows[-1])  # not its graph in 8 bits
        return _Score(last["metric"], float(last["value"]), float(last["low"]), float(last["high"]))
    if "value" in metrics:
        return _Score(metrics["metric"], metrics["value"], metrics.get("low"), metrics.get("high"))
    first = record["config"]["task"]["metrics"][0]
    return _Score(first, metrics[first], None, None) if first in metrics else None


def _score_lines(record: Mapping[str, Any], score: _Score | None) -> Iterator[str]:
    if score is None:
        yield "The record has none."
        return
    metrics, rows = record["metrics"], next(item["rows"] for item in record["data"] if item["role"] == "evaluation")
    yield f"On {rows:,} evaluation rows, with the ends of 95 % intervals:"
    yield ""
    yield f"| | {cell(score.metric)} | low | high |"
    yield "|---|---|---|---|"
    yield f"| this model | {_number(score.value)} | {_number(score.low)} | {_number(score.high)} |"
    if "baseline" in metrics:
        ends = (metrics["baseline_low"], metrics["baseline_high"])
        yield f"| its teacher | {_number(metrics['baseline'])} | {_number(ends[0])} | {_number(ends[1])} |"
    if score.metric in metrics.get("trivial", {}):
        yield f"| the best answer without a model | {_number(metrics['trivial'][score.metric])} | | |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _latency(source: Path, record: Mapping[str, Any]) -> Iterator[str]:
    path = source / "tables" / "latency.csv"
    if not path.exists():
        return
    device = record["device"]
    threads = f"{device['threads']} thread{'s' * (device['threads'] != 1)}"
    where = f"{device['name']}, {threads}, {device['dtype']}"
    yield f"Measured in PyTorch on {where}, in the shape below; teacher and pruned in turn. Other formats differ:"
    yield ""
    yield "| batch | tokens | its teacher, ms | pruned, ms | speed-up |"
    yield "|---|---|---|---|---|"
    for row in _rows(path):
        times = " | ".join(f"{float(row[name]):.2f}" for name in ("dense_ms", "pruned_ms", "speedup"))
        yield f"| {row['batch_size']} | {row['length']} | {times} |"
    if any(stage.get("disturbed") for stage in (record.get("quiet") or {}).values()):
        yield ""
        yield "Other processes were at work on that machine meanwhile."


def _data(record: Mapping[str, Any]) -> Iterator[str]:
    yield "| role | data | split | rows used | of rows |"
    yield "|---|---|---|---|---|"
    for item in record["data"]:
        names = " | ".join(cell(item[name]) for name in ("role", "source", "split"))
        yield f"| {names} | {item['rows']:,} | {item['rows_available']:,} |"


def _made(record: Mapping[str, Any], again: Again | None) -> Iterator[str]:
    versions = record["versions"]
    yield f"Run {record['verb']}/{record['run_id']} of {record['finished'][:10]}{':' if again else '.'}"
    yield ""
    if again is not None:
        yield f"    {again(record)}"
        yield ""
    yield f"PyTorch {versions['torch']}, transformers {versions['transformers']}; commit {record['git']['commit']}."


def _result(record: Mapping[str, Any], config: Mapping[str, Any], score: _Score) -> EvalResult:
    from huggingface_hub import EvalResult

    from prunekit.data.kinds import KINDS
    from prunekit.data.kinds.base import TaskKind

    data = next(item for item in record["data"] if item["role"] == "evaluation")
    task = next((kind.pipeline for name, kind in KINDS.items() if config["task"].get(name)), TaskKind.pipeline)
    return EvalResult(
        task_type=task, dataset_type=str(config["task"]["source"]), dataset_name=str(data["name"]),
        dataset_config=config["task"].get("subset"), dataset_split=str(data["split"]), metric_type=score.metric,
        metric_value=score.value,
    )  # fmt: skip


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
