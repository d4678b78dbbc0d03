"""The schema as a JSON Schema (draft 2020-12) of ``result.json``, with rows of tables and lines of logs beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prunekit.config.kind_answers import GOLD
from prunekit.runs.schema.answer_arrays import ARRAYS, KINDS_OF_NUMBERS
from prunekit.runs.schema.fields import VERSION, AnswerSchema, Field, Fields
from prunekit.runs.schema.frame import DATA, FRAME, PARTS, QUIET
from prunekit.runs.schema.verbs import VERBS

PATH = Path(__file__).with_name("record.schema.json")
TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "list": "array", "dict": "object"}


def document() -> dict[str, Any]:
    """``$defs`` holds ``VERB.tables.TABLE``, a row, ``VERB.log``, a line of ``metrics.jsonl``, and of ``answers.npz``
    ``VERB.answers.ROLE``, the words that tell a model, and ``answers.KIND``, the arrays for a kind of task."""
    frame = object_of(FRAME)
    frame["properties"] |= {
        name: {**object_of(fields), "type": frame["properties"][name]["type"]} for name, fields in PARTS.items()
    }
    frame["properties"]["data"] |= {"items": object_of(DATA)}
    frame["properties"]["quiet"]["additionalProperties"] = object_of(QUIET)
    frame["properties"]["status"] = {"const": "finished"}
    frame["properties"]["verb"] = {"enum": list(VERBS)}
    rows: dict[str, Any] = {}
    for verb in VERBS.values():
        for table in verb.tables:
            rows[f"{verb.name}.tables.{table.name}"] = {"description": table.meaning, **object_of(table.columns)}
        for answers in verb.answers:
            rows[f"{verb.name}.answers.{answers.role}"] = _words_of(answers)
        if verb.log is not None:
            step = Field("step", "int", "rises from line to line")
            rows[f"{verb.name}.log"] = object_of(Fields((step, *verb.log.fields)))
    rows |= {f"answers.{kind}": _arrays_of(kind) for kind in ARRAYS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "result.json of a run record",
        "description": f"Version {VERSION}. `since` names the version that brought a field; older records may lack it.",
        **frame,
        "allOf": [
            {
                "if": {"properties": {"verb": {"const": verb.name}}},
                "then": {"properties": {
                    "config": object_of(verb.settings), "metrics": object_of(verb.metrics),
                    "sparsity": object_of(verb.sparsity),
                }},
            }
            for verb in VERBS.values()
        ],
        "$defs": rows,
    }  # fmt: skip


def object_of(fields: Fields) -> dict[str, Any]:
    """A JSON Schema of an object with these fields; what came after version 0 is not required."""
    named = {field.name: _type(field) for field in fields if not field.several}
    several = {field.pattern: _type(field) for field in fields if field.several}
    return {
        "type": "object", "properties": named, **({"patternProperties": several} if several else {}),
        "required": [field.name for field in fields if field.needed(0)], "additionalProperties": fields.open,
    }  # fmt: skip


def _words_of(answers: AnswerSchema) -> dict[str, Any]:
    return {
        "description": answers.meaning, "type": "object", "properties": {word: {} for word in answers.keys},
        "additionalProperties": False, "since": answers.since,
    }  # fmt: skip


def _arrays_of(kind: str) -> dict[str, Any]:
    """Names, meanings, kinds of numbers and axes; these are arrays of NumPy and not of JSON."""
    named = {}
    for array in ARRAYS[kind]:
        axes = ["row"] if array.name == GOLD else ["row", *([array.between] if array.between else []), "model"]
        named[array.name] = {"description": f"{array.meaning}: {KINDS_OF_NUMBERS[array.numbers]}", "axes": axes}
    required = [array.name for array in ARRAYS[kind] if not array.optional]
    return {"type": "object", "properties": named, "required": required, "additionalProperties": False}


def text() -> str:
    return json.dumps(document(), indent=1) + "\n"


def _type(field: Field) -> dict[str, Any]:
    kind = TYPES[field.kind]
    said: dict[str, Any] = {"type": [kind, "null"] if field.nullable else kind, "description": field.meaning}
    if field.least is not None:
        said["minimum"] = field.least
    return said | ({"since": field.since} if field.since else {})
