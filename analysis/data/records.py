"""One run record as an experiment wrote it, checked and read into a typed object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.data.columns import DamagedRecordError, read_columns
from prunekit.runs.schema.fields import TableSchema
from prunekit.runs.schema.records import damage
from prunekit.runs.schema.table_rows import rows_expected, rows_problem
from prunekit.runs.schema.verbs import VERBS
from prunekit.support.errors import first_line

if TYPE_CHECKING:
    import pandas as pd

TIMING_VERBS = ("time_inference", "time_decoding", "benchmark", "latency_table")
"""The verbs that report no score: only their records may come from random weights, and hardware tells them apart."""


@dataclass(frozen=True)
class Model:
    name: str
    path: str
    weights: str
    """``pretrained``, ``scratch`` (trained here from nothing) or ``random`` (never trained: timings only)."""
    parameters: int
    layers: int
    heads: int
    """Attention heads in all layers together."""
    fingerprint: str = ""
    """Of its weights before any pruning; empty in older records."""
    shape_of: str = ""
    """``VERB/RUN_ID`` of the run whose pruned model's shape was timed; empty elsewhere."""


@dataclass(frozen=True)
class Data:
    role: str
    name: str
    source: str
    """Hub id, ``files``, or ``demo`` for the generated task."""
    split: str
    rows: int
    rows_available: int
    fingerprint: str


@dataclass(frozen=True)
class Provenance:
    """Where and when a run was made."""

    commit: str
    """Empty where it was made outside a checkout."""
    dirty: bool
    """The working tree had changes that the commit does not have."""
    hardware: str
    threads: int
    dtype: str
    seconds: float
    """Of the whole run."""
    started: str
    """Date and time in ISO 8601."""
    finished: str
    versions: Mapping[str, str]
    """By library."""


@dataclass(frozen=True)
class Record:
    """One finished run: the content of its ``result.json``, and its tables on demand."""

    folder: Path
    verb: str
    revision: int
    run_id: str
    replaces: str | None
    """Id of the run of the same settings at the revision before."""
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    sparsity: Mapping[str, Any]
    """What was requested and what was achieved, shares that are gone."""
    model: Model
    task: str
    translation: bool
    """The task is translation, the model an encoder-decoder."""
    data: tuple[Data, ...]
    teacher_seed: int | None
    """Seed of the fine-tuned model under test; None where there is none, or where it came from outside."""
    teacher_path: str | None
    """A fine-tuned model that came from outside."""
    teacher_run: str | None
    """Id of the run that fine-tuned it; None where it came from outside or there is none."""
    teacher_score: float | None
    """As that run has it."""
    seed: int
    scale: str | None
    input: Mapping[str, str]
    """Hash of the content of local files and folders, by the setting that names them; none in older records."""
    seconds: Mapping[str, float]
    """By stage; of a stage whose result was taken from a cache, only what looking it up took."""
    peak_memory_bytes: int
    device: str
    """Device, threads and dtype in words."""
    provenance: Provenance
    rows: Mapping[str, int]
    """Of every table; empty in records that do not say."""
    answers: Mapping[str, int]
    """Models whose answers are recorded, by the role of the rows; none in older records."""
    quiet: Mapping[str, Mapping[str, Any]]
    """By stage how quiet the machine was; empty in older records."""
    timed_again: Record | None = None
    """A later run that timed the shape of this one's pruned model on the same machine."""
    _tables: dict[tuple[str, tuple[tuple[str, str], ...]], pd.DataFrame] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """What :meth:`table` has read: claims, figures and tables of a page ask for the same."""

    def history(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``.

        Raises:
            DamagedRecordError: the file is missing, or a line is no JSON object with a step.
        """
        path = self.folder / "metrics.jsonl"
        lines = []
        try:
            for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                line = json.loads(text, parse_constant=_no_number)
                if not isinstance(line, dict) or "step" not in line:
                    raise DamagedRecordError(f"{path}, line {number}: no step in it")
                lines.append(line)
        except FileNotFoundError:
            raise DamagedRecordError(f"{path}: missing") from None
        except (OSError, ValueError) as error:
            raise DamagedRecordError(f"{path}: {first_line(error)}") from None
        return lines

    def table(self, name: str, columns: Mapping[str, str]) -> pd.DataFrame:
        """``tables/NAME.csv``, read when it is asked for first.

        Arguments:
            columns: the needed columns and their kind: ``int``, ``float``, ``bool`` or ``str``.

        Raises:
            DamagedRecordError: the file is missing, cut off, lacks a column, or holds a wrong value.
        """
        key = name, tuple(columns.items())
        if key not in self._tables:
            path, schema = self.table_path(name), self.schema_of(name)
            frame = read_columns(path, columns, schema)
            if schema is not None:
                names = [key for key in schema.keys if key in frame]
                keys = list(frame[names].itertuples(index=False, name=None))
                if problem := rows_problem(schema, names, keys, self.rows_expected(schema)):
                    raise DamagedRecordError(f"{path}: {problem}")
            self._tables[key] = frame
        return self._tables[key].copy()

    def schema_of(self, table: str) -> TableSchema | None:
        """What is known of a table; None where its verb has none of that name."""
        verb = VERBS.get(self.verb)
        return next((one for one in verb.tables if one.name == table), None) if verb is not None else None

    def rows_expected(self, table: TableSchema) -> int | None:
        """See :func:`prunekit.runs.schema.table_rows.rows_expected`."""
        return rows_expected({"tables": self.rows}, table, self.folder / "metrics.jsonl")

    def table_path(self, name: str) -> Path:
        return self.folder / "tables" / f"{name}.csv"


def read_record(folder: Path) -> Record | None:
    """The record in ``folder``; None when the run did not finish.

    Raises:
        DamagedRecordError: ``result.json`` is no JSON, or not what the schema of its verb asks for.
    """
    path = folder / "result.json"
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedRecordError(f"{path}: {first_line(error)}") from None
    try:
        if result["status"] != "finished":
            return None
        if wrong := damage(result := _as_now(result)):
            raise DamagedRecordError(f"{path}: {wrong}")
        return _parse(folder, result)
    except KeyError as error:
        raise DamagedRecordError(f"{path}: no field {error}") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise DamagedRecordError(f"{path}: a field of the wrong kind ({first_line(error)})") from None


def _as_now(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record as its verb writes it now: ``time_inference`` once also timed beam search, in place of all else where
    the task is translation, and had the settings of both."""
    if result["verb"] != "time_inference":
        return result
    config = dict(result["config"])
    if not config["task"].get("translation"):
        without = {name: value for name, value in config.items() if name not in ("shares", "words")}
        return {**result, "config": without}
    config.pop("share", None)
    lengths, at_mean = config.pop("lengths", []), config.pop("mean_length", True)
    config["length"] = None if at_mean or not lengths else lengths[0]
    return {**result, "verb": "time_decoding", "config": config}


def _parse(folder: Path, result: Mapping[str, Any]) -> Record:
    model, device, teacher = result["model"], result["device"], result["teacher"] or {}
    return Record(
        folder=folder,
        verb=str(result["verb"]),
        revision=int(result["revision"]),
        run_id=str(result["run_id"]),
        replaces=result.get("replaces"),
        config=dict(result["config"]),
        metrics=dict(result["metrics"]),
        sparsity=dict(result["sparsity"]),
        model=Model(
            name=str(model["name"]),
            path=str(model["path"] or "built here"),
            weights=str(model["weights"]),
            parameters=int(model["parameters"]),
            layers=int(model["layers"]),
            heads=int(model["heads"]),
            fingerprint=str(model.get("fingerprint") or ""),
            shape_of=str(model.get("shape_of") or ""),
        ),
        task=str(result["config"]["task"]["name"]),
        translation=bool(result["config"]["task"].get("translation")),
        data=tuple(map(_data, result["data"])),
        teacher_seed=int(teacher["seed"]) if teacher.get("seed") is not None else None,
        teacher_path=teacher.get("path"),
        teacher_run=teacher.get("run_id"),
        teacher_score=float(teacher["value"]) if teacher.get("value") is not None else None,
        seed=int(result["seed"]),
        scale=result["scale"],
        input={str(name): str(content) for name, content in (result.get("input") or {}).items()},
        seconds={str(name): float(value) for name, value in result["seconds"].items()},
        peak_memory_bytes=int(result["peak_memory_bytes"]),
        device=f"{device['name']} ({device['type']}), "
        f"{device['threads']} thread{'s' * (device['threads'] != 1)}, {device['dtype']}",
        provenance=_provenance(result),
        rows=dict(result.get("tables") or {}),
        answers=dict(result.get("answers") or {}),
        quiet=dict(result.get("quiet") or {}),
    )


def _data(item: Mapping[str, Any]) -> Data:
    texts = {name: str(item[name]) for name in ("role", "name", "source", "split", "fingerprint")}
    return Data(**texts, rows=int(item["rows"]), rows_available=int(item["rows_available"]))


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _provenance(result: Mapping[str, Any]) -> Provenance:
    device, git = result["device"], result["git"]
    return Provenance(
        commit=str(git["commit"] or ""),
        dirty=bool(git["dirty"]),
        hardware=f"{device['name']} ({device['type']})",
        threads=int(device["threads"]),
        dtype=str(device["dtype"]),
        seconds=float(result["seconds"]["total"]),
        started=str(result["started"]),
        finished=str(result["finished"]),
        versions={str(name): str(version) for name, version in result["versions"].items()},
    )
