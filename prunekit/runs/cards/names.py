"""Names in a card: of what is on the Hub by its id, of folders and files of the machine that made the model by the last
part of their path, which says nothing elsewhere, and of runs as VERB/RUN_ID."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from prunekit.runs.schema.records import version_of
from prunekit.support.hub_names import fits_the_hub

SINCE = 2
"""Version of the schema from which on a record has hashes of all local input (``input``)."""
RUN = "source"
"""A setting that names a run: as VERB/RUN_ID where it is among the others, else by its folder."""


def on_hub(record: Mapping[str, Any], name: str) -> bool:
    """Whether a name that a run was given is an id on the Hub: it could be one, and was no folder or file when the run
    was made, of whose content its record has a hash then. Records from before that have none: for them, is none now."""
    read_here = record.get("input") or {}
    local = {value for setting, value in _names(record["config"]) if setting in read_here}
    hashed = version_of(record) >= SINCE
    return fits_the_hub(name) and name not in local and (hashed or not Path(name).exists())


def shown(record: Mapping[str, Any], name: str) -> str:
    """A name as others may read it."""
    return name if on_hub(record, name) else Path(name).name or name


def for_others(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record whose settings name no folder of this machine: for the command that makes its run again."""
    config = deepcopy(dict(record["config"]))
    config["run"] = {}
    for setting, value in _names(config):
        *sections, last = setting.split(".", 2)
        place = config
        for section in sections:
            place = place[section]
        place[last] = _as_run(record, value) if setting == RUN else shown(record, value)
    return {**record, "config": config}


def _as_run(record: Mapping[str, Any], source: str) -> str:
    """A run as VERB/RUN_ID, by which whoever made it, too, finds it among the others."""
    if pruned := record["model"].get("pruned_run"):
        return str(pruned)
    folder = Path(source)
    return "/".join((folder.parent if folder.name == "model" else folder).parts[-2:]) or source


def _names(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings that may be paths, as :mod:`prunekit.runs.local_input` names them, and their values."""
    task, model = config.get("task") or {}, config.get("model") or {}
    named = {"teacher": config.get("teacher"), RUN: config.get(RUN), "model.path": model.get("path"),
             "task.source": task.get("source"),
             **{f"task.files.{split}": path for split, path in (task.get("files") or {}).items()}}  # fmt: skip
    yield from ((setting, str(value)) for setting, value in named.items() if value is not None)
