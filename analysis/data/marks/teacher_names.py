"""Names of fine-tuned models that were made here: a run on ``teacher=runs/finetune/RUN_ID/model`` names its model by
that id, figures name it by the model and the task of the run that made it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from analysis.data.columns import DamagedRecordError
from analysis.data.records import Record, read_record

MAKERS = {
    "finetune": "", **dict.fromkeys(("prune_heads", "prune_fisher", "compress", "prune_cofi"), "-pruned"),
    "quantize": "-for-8-bits",
}  # fmt: skip
"""Verbs that save a model, and what its name ends in."""


def with_names_of_teachers(records: Sequence[Record]) -> list[Record]:
    """The records, with names in place of ids; ids stay where the run is not known, and tell names apart that meet."""
    made = {record.run_id: record for record in records if record.verb in MAKERS}
    named = {}
    for record in records:
        if (path := _made_here(record)) is not None and record.model.name not in named:
            named[record.model.name] = _name(record.model.name, path, made)
    taken = [record.model.name for record in records if record.model.name not in named]
    unique = {own: name if _is_alone(name, own, named, taken) else f"{name}-{own}" for own, name in named.items()}
    return [
        record if _made_here(record) is None
        else replace(record, model=replace(record.model, name=unique[record.model.name]))
        for record in records
    ]  # fmt: skip


def _made_here(record: Record) -> Path | None:
    """Folder of the run whose model a record is of, if it is named by that run's id."""
    path = Path(record.config.get("teacher") or "")
    return path.parent if path.name == "model" and path.parent.name == record.model.name else None


def _name(run_id: str, folder: Path, made: dict[str, Record], depth: int = 0) -> str:
    origin = made.get(run_id) or _beside(folder)
    if origin is None or origin.verb not in MAKERS or origin.run_id != run_id:
        return run_id
    before = _made_here(origin)
    model = origin.model.name if before is None or depth > 9 else _name(origin.model.name, before, made, depth + 1)
    return f"{model}-{origin.task}{MAKERS[origin.verb]}"


def _beside(folder: Path) -> Record | None:
    try:
        return read_record(folder)
    except (DamagedRecordError, OSError):
        return None


def _is_alone(name: str, own: str, named: dict[str, str], taken: Iterable[str]) -> bool:
    return name == own or (name not in taken and list(named.values()).count(name) == 1)
