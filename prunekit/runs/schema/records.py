"""Whether ``result.json`` is what the schema of its verb says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    lines = []
    if str(record.get("verb")) not in VERBS:
        lines.append(f"verb: {record.get('verb')} is unknown, right would be one of {', '.join(VERBS)}")
    for place, value, fields in objects(record):
        if isinstance(value, Mapping):
            lines += [f"{place}{line}" for line in fields.problems(value, version)]
        elif fields is DATA:
            lines.append(f"{place.rstrip('.')}: {value!r} is not an object")
    return lines


def objects(record: Mapping[str, Any]) -> Iterator[tuple[str, Any, Fields]]:
    """The record itself and the objects in it: the place in words, what stands there, and the fields that belong there.

    What is absent is None; of an unknown verb there is only what all have in common.
    """
    yield "", record, FRAME
    parts: dict[str, Fields] = dict(PARTS)
    if (verb := VERBS.get(str(record.get("verb")))) is not None:
        parts |= {"config": verb.settings, "metrics": verb.metrics, "sparsity": verb.sparsity}
    for name, fields in parts.items():
        yield f"{name}.", record.get(name), fields
    data = record.get("data")
    for number, item in enumerate(data if isinstance(data, list) else []):
        yield f"data[{number}].", item, DATA


def missing_tables(verb: str, version: int, present: Iterable[str]) -> list[str]:
    """Tables that a record of a known verb must have and has not."""
    there = set(present)
    return [
        table.name
        for table in VERBS[verb].tables
        if not table.optional and version >= table.since and table.name not in there
    ]
