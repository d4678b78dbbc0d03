"""``answers.npz``: what the models of a run answer to each row, packed, whole or not there, and never unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prunekit.config.kind_answers import GOLD, AnswerArray
from prunekit.runs.schema.answer_arrays import ARRAYS, COMMON, KINDS_OF_NUMBERS
from prunekit.runs.schema.records import version_of
from prunekit.runs.schema.verbs import VERBS
from prunekit.support.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from prunekit.evaluation.row_answers import AnswerSheet

FILE = "answers.npz"


def write_answers(path: Path, sheets: Mapping[str, AnswerSheet]) -> None:
    """Write the answers by role of their rows; the same answers are the same bytes (the archive has no times)."""
    import numpy as np

    from prunekit.evaluation.row_answers import spelled

    arrays: dict[str, np.ndarray] = {}
    for role, sheet in sheets.items():
        own = sheet.answers
        arrays |= {f"{role}/kind": np.asarray(own.kind), f"{role}/rows": np.asarray(own.rows)}
        arrays[f"{role}/models"] = np.asarray([spelled(model) for model in sheet.models])
        if own.gold is not None:
            arrays[f"{role}/{GOLD}"] = own.gold
        arrays |= {f"{role}/{name}": np.ascontiguousarray(values) for name, values in own.given.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_answers(path: Path) -> dict[str, AnswerSheet]:
    """What was written, by role.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no such file, cut off, or an array is not as :data:`ARRAYS` says; the message is one line.
    """
    import zipfile
    import zlib

    import numpy as np

    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, LookupError, AttributeError, TypeError, EOFError, NotImplementedError, RuntimeError,
            SyntaxError, MemoryError, zipfile.BadZipFile, zlib.error) as error:  # fmt: skip
        raise ValueError(f"no archive of arrays, or cut off ({' '.join(str(error).split())[:80]})") from None
    by_role: dict[str, dict[str, np.ndarray]] = {}
    for name, values in arrays.items():
        role, _, own = name.partition("/")
        by_role.setdefault(role, {})[own] = values
    return {role: _sheet(role, own) for role, own in by_role.items()}


def answer_problems(record: Mapping[str, Any], sheets: Mapping[str, AnswerSheet]) -> Iterator[str]:
    """Where answers and their record say different things, a line each: roles, rows, models."""
    verb = VERBS[str(record["verb"])]
    for one in verb.answers:
        if one.role not in sheets and not one.optional and version_of(record) >= one.since:
            yield f"{one.role}: missing"
    named = {item["role"]: item for item in record["data"]}
    counted = record.get("answers") or {}
    for role, sheet in sheets.items():
        known = verb.answers_to(role)
        if known is None:
            yield f"{role}: unknown, right would be {', '.join(one.role for one in verb.answers) or 'nothing'}"
            continue
        if role not in named:
            yield f"{role}: answers to rows that the record does not name"
        elif sheet.answers.rows != named[role]["fingerprint"] or len(sheet.answers) != named[role]["rows"]:
            yield (
                f"{role}: {len(sheet.answers)} answers to rows {sheet.answers.rows}, the record has "
                f"{named[role]['rows']} rows {named[role]['fingerprint']}"
            )
        if counted.get(role) != len(sheet.models):
            yield f"{role}: answers of {len(sheet.models)} models, the record says {counted.get(role, 'none')}"
        strange = {word for model in sheet.models for word in model} - set(known.keys)
        if strange:
            yield f"{role}: a model is named by {min(strange)}, right would be {', '.join(known.keys)}"
    for role in counted:
        if role not in sheets:
            yield f"{role}: missing, the record says {counted[role]} models"


def _sheet(role: str, arrays: Mapping[str, np.ndarray]) -> AnswerSheet:
    from prunekit.evaluation.row_answers import AnswerSheet, RowAnswers

    for name in COMMON:
        if name not in arrays or arrays[name].dtype.kind != "U" or arrays[name].ndim != (name == "models"):
            raise ValueError(f"{role}/{name}: missing or no text")
    kind, rows = str(arrays["kind"]), str(arrays["rows"])
    if kind not in ARRAYS:
        raise ValueError(f"{role}/kind: {kind} is unknown, right would be {', '.join(ARRAYS)}")
    known = {array.name: array for array in ARRAYS[kind]}
    for name, array in known.items():
        if name not in arrays and not array.optional:
            raise ValueError(f"{role}/{name}: missing")
    own = {name: values for name, values in arrays.items() if name not in COMMON}
    models = [json.loads(text) for text in arrays["models"].tolist()]
    for name, values in own.items():
        if name not in known:
            raise ValueError(f"{role}/{name}: unknown, right would be {', '.join(known)}")
        _check(f"{role}/{name}", known[name], values, len(models))
    if len({len(values) for values in own.values()}) != 1:
        raise ValueError(f"{role}: arrays of different numbers of rows")
    if not all(isinstance(model, dict) for model in models):
        raise ValueError(f"{role}/models: a model is no object")
    gold = own.pop(GOLD, None)
    if not own:
        raise ValueError(f"{role}: no answers")
    return AnswerSheet(tuple(models), RowAnswers(kind, rows, gold, own))


def _check(where: str, array: AnswerArray, values: np.ndarray, models: int) -> None:
    import numpy as np

    if values.dtype.kind not in array.numbers:
        raise ValueError(f"{where}: {values.dtype}, right would be {KINDS_OF_NUMBERS[array.numbers]}: {array.meaning}")
    shape = [len(values) if values.ndim else 0]
    if array.name != GOLD:
        shape += [*([array.between] if array.between is not None else []), models]
    if list(values.shape) != shape or not len(values):
        raise ValueError(f"{where}: shape {values.shape}, right would be {tuple(shape)}: {array.meaning}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{where}: a value that is not finite")
