"""The words of a schema: a field, a table, a verb."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

VERSION = 9
"""Of the schema, written into every record as ``schema``. Raised when a field or a table is added; what is added says
``since``, and is asked only of records that are as new. Records without the key are of version 0."""
LARGEST = 1e100
"""Numbers beyond it are damage: their squares are no numbers any more."""
MEASURED = 1e-9
"""The least that times and speeds can be."""
KINDS = ("int", "float", "bool", "str", "list", "dict")


@dataclass(frozen=True)
class Field:
    """A column of a table or a key of an object."""

    name: str
    """May stand for several: alternatives behind ``|``, ``*`` for anything."""
    kind: str
    """``int``, ``float`` (whole numbers as well), ``bool``, ``str``, ``list`` or ``dict``."""
    meaning: str
    """In a line, with the unit."""
    nullable: bool = False
    """May be empty: null in JSON, nothing in CSV. NaN and infinity count as empty."""
    optional: bool = False
    """May be absent; what stands for several names always may."""
    since: int = 0
    """Version of the schema that brought it; older records need not have it."""
    least: float | None = None
    """The lowest number that makes sense."""

    @property
    def several(self) -> bool:
        return "*" in self.name or "|" in self.name

    @property
    def pattern(self) -> str:
        """Regular expression of the names, from their start to their end."""
        names = [re.escape(name).replace(r"\*", ".+") for name in self.name.split("|")]
        return f"^({'|'.join(names)})$"

    def needed(self, version: int) -> bool:
        return not (self.optional or self.several) and version >= self.since

    def wrong(self, value: Any) -> str | None:
        """What is wrong with a value, for example ``'x' is not a number``; None if nothing is."""
        if hasattr(value, "item") and not isinstance(value, str | bytes):
            value = value.item()
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return None if self.nullable else f"{value} is not allowed"
        fits = {
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "bool": isinstance(value, bool), "str": isinstance(value, str),
            "list": isinstance(value, list | tuple), "dict": isinstance(value, Mapping),
        }[self.kind]  # fmt: skip
        if not fits:
            return f"{value!r} is not {SPOKEN[self.kind]}"
        if self.kind in ("int", "float"):
            if abs(value) > LARGEST:
                return f"{str(value)[:12]}... is too large for any measurement"
            if self.least is not None and value < self.least:
                return f"{value} is below {self.least:g}"
        return None


SPOKEN = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "list": "a list",
    "dict": "an object",
}  # fmt: skip


@dataclass(frozen=True)
class Fields:
    """The fields of a row or an object, in the order of their columns."""

    fields: tuple[Field, ...]
    open: bool = False
    """Other names are allowed as well."""

    def __iter__(self) -> Any:
        return iter(self.fields)

    def of(self, name: str) -> Field | None:
        """The field that a name belongs to; one that stands for itself goes before one that stands for several."""
        return _by_name(self.fields).get(name) or next(
            (item for item in self.fields if item.several and re.fullmatch(item.pattern, name)), None
        )

    def missing(self, names: Iterable[str], version: int = VERSION) -> list[str]:
        given = set(names)
        return [item.name for item in self.fields if item.needed(version) and item.name not in given]

    def unknown(self, names: Iterable[str]) -> list[str]:
        return [] if self.open else [name for name in names if self.of(name) is None]

    def problems(self, values: Mapping[str, Any], version: int = VERSION) -> list[str]:
        """What is wrong with an object: absent, unknown and wrong fields, a line each."""
        lines = [f"{name} is missing" for name in self.missing(values, version)]
        lines += [f"{name} is unknown, right would be {self.names()}" for name in self.unknown(values)]
        for name, value in values.items():
            if (item := self.of(name)) is not None and (wrong := item.wrong(value)):
                lines.append(f"{name}: {wrong}, right would be {item.meaning} ({said(item)})")
        return lines

    def names(self) -> str:
        return ", ".join(item.name for item in self.fields) or "nothing"


@cache
def _by_name(fields: tuple[Field, ...]) -> dict[str, Field]:
    return {item.name: item for item in fields if not item.several}


def said(item: Field) -> str:
    """The kind of a field in words."""
    return SPOKEN[item.kind] + (" or empty" if item.nullable else "")


@dataclass(frozen=True)
class TableSchema:
    """``tables/NAME.csv``."""

    name: str
    meaning: str
    columns: Fields
    optional: bool = False
    since: int = 0
    keys: tuple[str, ...] = ()
    """Columns that tell each row from all others, as far as a record has them."""
    even: str = ""
    """Of them, the one each of whose values has equally many rows."""
    logged: bool = False
    """Every row is also a line of ``metrics.jsonl``."""

    def kinds(self, *names: str) -> dict[str, str]:
        """Columns and their kinds, as readers ask for them; all that every record has, where none is named.

        Raises:
            KeyError: the table has no such column.
        """
        wanted = names or tuple(item.name for item in self.columns if item.needed(0) and not item.nullable)
        kinds = {}
        for name in wanted:
            if (item := self.columns.of(name)) is None:
                raise KeyError(f"table {self.name} has no column {name}")
            kinds[name] = item.kind
        return kinds


@dataclass(frozen=True)
class AnswerSchema:
    """The answers to one set of rows, in ``answers.npz``."""

    role: str
    """Of the rows, as ``data`` has it."""
    meaning: str
    """Whose answers they are."""
    keys: tuple[str, ...]
    """What tells the models from one another; each has some of these words."""
    optional: bool = False
    since: int = 3


@dataclass(frozen=True)
class VerbSchema:
    """What the records of a verb hold beside the frame that all have in common."""

    name: str
    tables: tuple[TableSchema, ...] = ()
    answers: tuple[AnswerSchema, ...] = ()
    settings: Fields = field(default_factory=lambda: Fields((), open=True))
    """Of its configuration, those that figures rely on; there are others."""
    metrics: Fields = field(default_factory=lambda: Fields(()))
    sparsity: Fields = field(default_factory=lambda: Fields(()))
    log: Fields | None = None
    """Lines of ``metrics.jsonl`` beside their ``step``; None where there is no such file."""

    def table(self, name: str) -> TableSchema:
        """
        Raises:
            KeyError: the verb has no such table.
        """
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(f"{self.name} has no table {name}, right would be {self.table_names()}")

    def answers_to(self, role: str) -> AnswerSchema | None:
        """What is known of the answers to the rows of a role; None if nothing is."""
        return next((one for one in self.answers if one.role == role), None)

    def table_names(self) -> str:
        return ", ".join(table.name for table in self.tables) or "none"


def fields(*items: Field) -> Fields:
    return Fields(items)
