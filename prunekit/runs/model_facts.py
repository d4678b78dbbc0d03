"""What a run's record says of the model that it left, for the model card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.config.sections import ModelConfig
from prunekit.runs.cards.measured import Score, result_of, run_in_8_bits, score_lines, score_of, speed_lines
from prunekit.runs.cards.method_in_words import LEAVE_A_MODEL, method_in_words
from prunekit.runs.finished import has_model
from prunekit.runs.schema.checking import folder_problems
from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_no_folder_of_runs, check_there
from prunekit.support.markdown import cell, in_markdown

if TYPE_CHECKING:
    from prunekit.models.export.card import Facts

BASES = {
    "google-bert/": "apache-2.0", "distilbert/": "apache-2.0", "google/electra-": "apache-2.0",
    "albert/albert-": "apache-2.0", "FacebookAI/": "mit", "sentence-transformers/": "apache-2.0",
    "Helsinki-NLP/": "cc-by-4.0", "facebook/bart-large-": "mit", "facebook/bart-": "apache-2.0",
    "facebook/data2vec-text-": "mit", "almanach/camembert-base": "mit", "camembert-base": "mit",
}  # fmt: skip
"""Licences of base models, by the start of their name on the Hub, of two the longer first."""
UNITS = {"Macs": "Multiply-accumulates"}
UNKNOWN = "unknown"
UNMEASURED = "In 8 bits it was not measured, which `python -m experiments.quantize source=RUN` does."
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "source.spm", "spiece.model")
"""Files by one of which a folder has a tokenizer."""
Again = Callable[[Mapping[str, Any]], str]
"""From a record, as ``result.json`` has it, the command that makes its run again."""


def weights_gone(record: Mapping[str, Any], folder: Path) -> bool:
    """Whether a finished run left a model, or graphs, that are not in its folder any more."""
    verb, config = record["verb"], record["config"]
    leaves = {"prune_heads": bool(config.get("save")), "quantize": config.get("quantization") != "dynamic"}
    graphs = verb == "quantize" and not (folder / "onnx").is_dir()
    return graphs or (leaves.get(verb, verb in LEAVE_A_MODEL) and not has_model(folder))


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
        UserError: no such folder, one of many runs, no finished run that leaves a model, or its weights are gone.
    """
    folder = Path(source)
    if folder.name == "model" and (folder.parent / "result.json").exists():
        folder = folder.parent
    if not (folder / "result.json").exists():
        if (folder / "config.yaml").exists():
            raise UserError(f"source: {source} is a run that is not finished; the command that began it goes on")
        check_there(source, "source")
        check_no_folder_of_runs(folder, "source")
        return None
    for problem in folder_problems(folder):
        raise UserError(f"source: {problem}; give the folder of a finished run")
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if record["verb"] == "quantize" and record["config"]["quantization"] == "dynamic":
        raise UserError(
            f"source: {source} leaves graphs alone, in {folder / 'onnx'}; give the run whose model was quantised"
        )
    if record["verb"] not in LEAVE_A_MODEL:
        leave = ", ".join(LEAVE_A_MODEL)
        raise UserError(f"source: {source} is a run of {record['verb']}, which leaves no model; right would be {leave}")
    if not has_model(folder):
        save = " save=true" if record["verb"] == "prune_heads" else ""
        if again is None:
            raise UserError(f"source: {source} has no weights; run it again, with{save} run.force=true")
        raise UserError(f"source: {source} has no weights; they come back with: {again(record)}{save} run.force=true")
    return folder


def _facts(source: Path, record: Mapping[str, Any], again: Again | None) -> Facts:
    from prunekit.models.export.card import Facts

    task = record["config"]["task"]
    base = record["model"]["path"]
    on_hub = base is not None and not Path(str(base)).exists()
    title = f"{record['model']['name']} on {task['name']}, {_sizes(record)}"
    metadata: dict[str, Any] = {"license": next((BASES[name] for name in BASES if str(base).startswith(name)), UNKNOWN)}
    metadata |= {"base_model": base} if on_hub else {}
    source_of_data = str(task["source"])
    if "/" in source_of_data and not Path(source_of_data).exists():
        metadata["datasets"] = [source_of_data]
    what, data, made = ("\n".join(lines) for lines in (_what(source, record), _data(record), _made(record, again)))

    def told(score: Score | None, lines: Iterable[str], where: Path, measured: Mapping[str, Any]) -> Facts:
        speed = "\n".join(speed_lines(where, measured))
        scores = "\n".join(lines)
        sections = {"What it is": what, "Score": scores, "Speed": speed, "Data": data, "How it was made": made}
        return Facts(
            title, metadata, [] if score is None else [result_of(measured, score)],
            {heading: text for heading, text in sections.items() if text}, pairs=len(task.get("columns", [])) > 1,
        )  # fmt: skip

    whole = score_of(source, record)
    facts = told(whole, score_lines(record, whole), source, record)
    in_8_bits = run_in_8_bits(source, record)
    int8 = None if in_8_bits is None else score_of(*in_8_bits, int8=True)
    if in_8_bits is None or int8 is None:
        lines = [UNMEASURED, "", *score_lines(record, whole, "it in float32")]
        return dataclasses.replace(facts, int8=told(None, lines, source, record))
    lines = list(score_lines(in_8_bits[1], int8, "this model, in 8 bits"))
    return dataclasses.replace(facts, int8=told(int8, lines, *in_8_bits))


def _sizes(record: Mapping[str, Any]) -> str:
    gone = record["sparsity"].get("achieved_parameters")
    return "whole" if not gone else f"{gone:.0%} of its parameters pruned"


def _what(source: Path, record: Mapping[str, Any]) -> Iterator[str]:
    base = record["model"]["path"] or f"a {record['model']['family']} of its own shape"
    yield f"- Method: {method_in_words(record, source.parent.parent)}."
    yield f"- Base model: {in_markdown(base)}."
    if teacher := record["teacher"]:
        name = f"run finetune/{teacher['run_id']}" if teacher.get("run_id") else teacher.get("path")
        yield f"- Teacher: {in_markdown(str(name))}, {record['model']['parameters']:,} parameters."
    for name, value in record["sparsity"].items():
        if name.startswith("achieved_") and isinstance(value, int | float):
            unit = name.removeprefix("achieved_").replace("_", " ").capitalize()
            yield f"- {UNITS.get(unit, unit)} that are gone: {value:.1%}."


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
        elsewhere = {**record, "config": {**record["config"], "run": {}}}  # the folder is of this machine
        yield f"    {again(elsewhere)}"
        yield ""
    yield f"PyTorch {versions['torch']}, transformers {versions['transformers']}; commit {record['git']['commit']}."
