"""Whether ``result.json`` is what the schema of its verb says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prunekit.runs.schema.fields import LARGEST, VERSION, Fields
from prunekit.runs.schema.frame import DATA, FRAME, PARTS, QUIET, SECTIONS
from prunekit.runs.schema.verbs import VERBS

UNWRITABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which no file name may have, and halves of characters, which no encoding has."""


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


def damage(record: Any) -> str | None:
    """Why ``result.json`` of a finished run cannot be used, in a line; None if it can.

    What the schema does not know may be there: other projects write records, and newer versions of this one.
    """
    if not isinstance(record, Mapping):
        return "a field of the wrong kind (no object)"
    version = version_of(record)
    known = str(record.get("verb")) in VERBS
    for place, values, fields in objects(record) if known else [("", record, FRAME)]:
        if isinstance(values, Mapping):
            for name in fields.missing(values, version):
                return f"no field '{name}'"
            for name, value in values.items():
                if (item := fields.of(name)) is not None and (wrong := item.wrong(value)):
                    return f"a field of the wrong kind ({name}: {wrong})"
        elif fields is DATA:
            return f"a field of the wrong kind ({place.rstrip('.')}: no object)"
    return _unusable(record)


def _unusable(value: Any, place: str = "") -> str | None:
    """The first text or number, however deep, that no file and no figure can hold."""
    where = place or "it"
    if isinstance(value, str) and UNWRITABLE.search(value):
        return f"a text that cannot be written ({where}: {value[:40]!a})"
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        return f"a number beyond all measure ({where})"
    if isinstance(value, Mapping):
        items: list[tuple[str, Any]] = list(value.items())
        for key in value:
            if wrong := _unusable(str(key), f"a key of {where}"):
                return wrong
    else:
        items = [(str(number), item) for number, item in enumerate(value)] if isinstance(value, list) else []
    return next((wrong for key, item in items if (wrong := _unusable(item, f"{place}.{key}".lstrip(".")))), None)


def objects(record: Mapping[str, Any]) -> Iterator[tuple[str, Any, Fields]]:
    """The record itself and the objects in it: the place in words, what stands there, and the fields that belong there.

    What is absent is None; of an unknown verb there is only what all have in common.
    """
    yield "", record, FRAME
    parts: list[tuple[str, Fields]] = list(PARTS.items())
    if (verb := VERBS.get(str(record.get("verb")))) is not None:
        parts += [("config", verb.settings), ("metrics", verb.metrics), ("sparsity", verb.sparsity)]
    for name, fields in parts:
        yield f"{name}.", record.get(name), fields
    config = record.get("config")
    for name, fields in SECTIONS.items():
        yield f"config.{name}.", config.get(name) if isinstance(config, Mapping) else None, fields
    quiet = record.get("quiet")
    for stage, mark in quiet.items() if isinstance(quiet, Mapping) else []:
        yield f"quiet.{stage}.", mark, QUIET
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
