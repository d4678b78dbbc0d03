"""What a run's record says of the model that it left, for the model card."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.config.sections import ModelConfig
from prunekit.runs.cards.measured import Score, result_of, run_in_8_bits, score_lines, score_of, speed_lines
from prunekit.runs.cards.method_in_words import LEAVE_A_MODEL, method_in_words
from prunekit.runs.cards.names import for_others, on_hub, shown
from prunekit.runs.finished import has_model
from prunekit.runs.schema.checking import folder_problems
from prunekit.runs.schema.place import place_of
from prunekit.support.errors import UserError
from prunekit.support.hub_names import check_no_folder_of_runs, check_there
from prunekit.support.markdown import cell, in_markdown

if TYPE_CHECKING:
    from prunekit.models.export.card import Facts

LICENCES = {
    "apache-2.0": (
        "google-bert/bert-base-uncased", "google-bert/bert-base-cased", "google-bert/bert-large-uncased",
        "google-bert/bert-large-cased", "distilbert/distilbert-base-uncased", "distilbert/distilbert-base-cased",
        "google/electra-small-discriminator", "google/electra-base-discriminator", "google/electra-large-discriminator",
        "albert/albert-base-v2", "albert/albert-large-v2", "sentence-transformers/all-MiniLM-L6-v2",
        "sentence-transformers/all-mpnet-base-v2", "Helsinki-NLP/opus-mt-en-fr", "facebook/bart-base",
        "facebook/bart-large",
    ),
    "mit": ("FacebookAI/roberta-base", "FacebookAI/roberta-large", "facebook/data2vec-text-base",
            "almanach/camembert-base"),
}  # fmt: skip
"""Of base models, by their whole names on the Hub: an owner's models have several. Of others it is not known."""
UNITS = {"Macs": "Multiply-accumulates"}
UNKNOWN = "unknown"
UNMEASURED = "In 8 bits it was not measured, which `python -m experiments.quantize source=RUN` does."
TOKENIZERS = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "source.spm", "spiece.model",
    "sentencepiece.bpe.model",
)  # fmt: skip
"""Files by one of which a model has a tokenizer beside it."""
LANGUAGE = re.compile(r"(?:.*\.)?([a-z]{2})")
"""A column of a translation's pairs that is named by its language, as ``de`` or ``translation.de``."""
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
        from prunekit.data.tokenizers import load_tokenizer
        from prunekit.models.weight_files import file_of

        if not any(file_of(self.path, name) for name in TOKENIZERS):
            return None
        return load_tokenizer(ModelConfig(path=self.path), setting="source")


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
    return RunModel(str(folder / "model"), facts_of(folder, record, again), folder)


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
        curve = record["verb"] == "prune_heads"  # saves the last point alone, and only if it is told to
        save = " save=true" if curve else ""
        if again is None:
            raise UserError(f"source: {source} has no weights; run it again, with{save} run.force=true")
        where = ", which is another run and leaves the last point of its grid" if curve else ""
        raise UserError(
            f"source: {source} has no weights; they come back with: {again(record)}{save} run.force=true{where}"
        )
    return folder


def facts_of(source: Path, record: Mapping[str, Any], again: Again | None) -> Facts:
    """What a record says, for the card.

    Args:
        source: folder of the run.
        again: as of :func:`run_model`.
    """
    from prunekit.models.export.card import Facts

    task = record["config"]["task"]
    base, source_of_data = record["model"]["path"], str(task["source"])
    title = f"{record['model']['name']} on {task['name']}, {_sizes(record)}"
    metadata: dict[str, Any] = {"license": next((name for name, own in LICENCES.items() if base in own), UNKNOWN)}
    if base is not None and on_hub(record, str(base)):
        metadata["base_model"] = base
    if "/" in source_of_data and on_hub(record, source_of_data):
        metadata["datasets"] = [source_of_data]
    languages = [LANGUAGE.fullmatch(column) for column in task["columns"]] if task.get("translation") else []
    if languages and all(languages):
        metadata["language"] = [match[1] for match in languages if match]
    what, data, made = ("\n".join(lines) for lines in (_what(source, record), _data(record), _made(record, again)))

    def as_facts(score: Score | None, lines: Iterable[str], where: Path, measured: Mapping[str, Any]) -> Facts:
        speed = "\n".join(speed_lines(where, measured))
        scores = "\n".join(lines)
        sections = {"What it is": what, "Score": scores, "Speed": speed, "Data": data, "How it was made": made}
        return Facts(
            title, metadata, [] if score is None else [result_of(measured, score)],
            {heading: text for heading, text in sections.items() if text}, pairs=len(task.get("columns", [])) > 1,
        )  # fmt: skip

    whole = score_of(source, record)
    facts = as_facts(whole, score_lines(record, whole), source, record)
    in_8_bits = run_in_8_bits(source, record)
    int8 = None if in_8_bits is None else score_of(*in_8_bits, int8=True)
    if in_8_bits is None or int8 is None:
        lines = [UNMEASURED, "", *score_lines(record, whole, "it in float32")]
        return dataclasses.replace(facts, int8=as_facts(None, lines, source, record))
    lines = list(score_lines(in_8_bits[1], int8, "this model, in 8 bits"))
    return dataclasses.replace(facts, int8=as_facts(int8, lines, *in_8_bits))


def _sizes(record: Mapping[str, Any]) -> str:
    gone = record["sparsity"].get("achieved_parameters")
    if record["config"].get("structure") == "dense":  # of `prune_cofi`
        return f"a small model of {1 - gone:.0%} of its parameters" if gone else "whole"
    return "whole" if not gone else f"{gone:.0%} of its parameters pruned"


def _what(source: Path, record: Mapping[str, Any]) -> Iterator[str]:
    path = record["model"]["path"]
    base = shown(record, str(path)) if path else f"a {record['model']['family']} of its own shape"
    yield f"- Method: {method_in_words(record, place_of(source).parent.parent)}."
    yield f"- Base model: {in_markdown(base)}."
    if teacher := record["teacher"]:
        trained = f"run finetune/{teacher['run_id']}" if teacher.get("run_id") else None
        name = trained or shown(record, str(teacher.get("path")))
        yield f"- Teacher: {in_markdown(name)}, {record['model']['parameters']:,} parameters."
    for name, value in record["sparsity"].items():
        if name.startswith("achieved_") and isinstance(value, int | float):
            unit = name.removeprefix("achieved_").replace("_", " ").capitalize()
            yield f"- {UNITS.get(unit, unit)} that are gone: {value:.1%}."


def _data(record: Mapping[str, Any]) -> Iterator[str]:
    yield "| role | data | split | rows used | of rows |"
    yield "|---|---|---|---|---|"
    source = str(record["config"]["task"]["source"])
    for item in record["data"]:
        where = str(item["source"]).replace(source, shown(record, source))
        names = " | ".join(cell(name) for name in (item["role"], where, item["split"]))
        yield f"| {names} | {item['rows']:,} | {item['rows_available']:,} |"


def _made(record: Mapping[str, Any], again: Again | None) -> Iterator[str]:
    versions = record["versions"]
    yield f"Run {record['verb']}/{record['run_id']} of {record['finished'][:10]}{':' if again else '.'}"
    yield ""
    if again is not None:
        yield f"    {again(for_others(record))}"
        yield ""
    yield f"PyTorch {versions['torch']}, transformers {versions['transformers']}; commit {record['git']['commit']}."
