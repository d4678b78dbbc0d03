"""Whether ``result.json`` is what the schema of its verb says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prunekit.runs.schema.fields import VERSION, Fields
from prunekit.runs.schema.frame import DATA, FRAME, PARTS
from prunekit.runs.schema.verbs import VERBS


def version_of(record: Mapping[str, Any]) -> int:
    """Version of the schema that a record was written with; 0 where it does not say."""
    version = record.get("schema", 0)
    return version if isinstance(version, int) else 0


def record_problems(record: Mapping[str, Any]) -> list[str]:
    """What is wrong in ``result.json``, a line each: the key, and what would be right."""
    version = version_of(record)
    if version > VERSION:
        return [f"schema: {version} is newer than this code, which knows {VERSION}"]
    lines = FRAME.problems(record, version)
    parts: dict[str, Fields] = dict(PARTS)
    if (verb := VERBS.get(str(record.get("verb")))) is None:
        lines.append(f"verb: {record.get('verb')} is unknown, right would be one of {', '.join(VERBS)}")
    else:
        parts |= {"config": verb.settings, "metrics": verb.metrics, "sparsity": verb.sparsity}
    for name, fields in parts.items():
        if isinstance(value := record.get(name), Mapping):
            lines += [f"{name}.{line}" for line in fields.problems(value, version)]
    data = record.get("data")
    for number, item in enumerate(data if isinstance(data, list) else []):
        if isinstance(item, Mapping):
            lines += [f"data[{number}].{line}" for line in DATA.problems(item, version)]
        else:
            lines.append(f"data[{number}]: {item!r} is not an object")
    return lines


def missing_tables(verb: str, version: int, present: Iterable[str]) -> list[str]:
    """Tables that a record of a known verb must have and has not."""
    there = set(present)
    return [
        table.name
        for table in VERBS[verb].tables
        if not table.optional and version >= table.since and table.name not in there
    ]
