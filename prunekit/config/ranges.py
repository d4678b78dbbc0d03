"""What a setting may be, declared with its field: ``epochs: int = within(3, 1, EPOCHS)``.

:func:`prunekit.config.sections.check` asks every field of every section. The upper ends are far above whatever makes
sense: they stop what would end in a full memory, a loop without an end, or a fault of a library that takes 32 bits.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import numbers as numbers_abc
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunekit.config.checks import one_of
from prunekit.support.errors import UserError

SEEDS = 2**32 - 1
EXAMPLES = 10**9
EPOCHS = 10**6
STEPS = 10**9
BATCH = 10**6
LENGTH = 10**6
"""Tokens."""
ROUNDS = 10**6
"""Of timing."""
FINEST_GRID = 1e-4
"""Of curves: ten thousand points."""
UNITS_OF_A_LAYER = 10**7
RATE = 1e12
"""Learning rates: tests of trainings that end in NaN have large ones."""
ROOM_FOR_RECORDS = 200
"""Characters that the names of a run's files take below its folder."""
NOT_FILES = ("/proc", "/sys")
"""Where paths lead to the system, not to data."""


@dataclass(frozen=True)
class NumberRule:
    """The numbers that a setting, or every entry of a list or mapping, may be."""

    low: float
    high: float
    above: bool = False
    """``low`` itself is too low."""
    below: bool = False
    """``high`` itself is too high."""
    infinite: bool = False
    """Infinity has a meaning, which the docstring of the field says."""
    fewest: int = 0
    """Entries that a list has at least."""

    def problems(self, name: str, value: Any) -> Iterator[str]:
        if isinstance(value, list | tuple) and len(value) < self.fewest:
            yield f"{name}: it is empty, give at least {'one' if self.fewest == 1 else self.fewest}"
        for number in numbers(value):
            if finite(number):
                yield from self._problems_of_number(name, number)
            elif not (self.infinite and number > 0):
                yield f"{name}: {number} is no finite number"

    def _problems_of_number(self, name: str, value: float) -> Iterator[str]:
        too_low = value <= self.low if self.above else value < self.low
        too_high = value >= self.high if self.below else value > self.high
        if not too_low and not too_high:
            return
        if self.high <= 1 or (self.above and self.below):
            left, right = "(" if self.above else "[", ")" if self.below else "]"
            yield f"{name}: {short(value)} is outside {left}{self.low}, {self.high}{right}"
        elif too_high:
            yield f"{name}: {short(value)} is too large, the most is {self.high:,}"
        elif self.above:
            yield f"{name}: {short(value)} must be above {self.low}"
        elif self.low == 0 and isinstance(value, float):
            yield f"{name}: {value} must not be negative"
        else:
            yield f"{name}: {short(value)} must be at least {self.low}"


@dataclass(frozen=True)
class PathRule:
    """A path that can be one; whether something lies there is seen where it is read."""

    written: bool = False
    """Files are made there, else it is read (it may then also be an id on the Hub)."""

    def problems(self, name: str, value: Any) -> Iterator[str]:
        for text in value.values() if isinstance(value, Mapping) else [value]:
            if isinstance(text, str):
                yield from self._problems_of_path(name, text)

    def _problems_of_path(self, name: str, text: str) -> Iterator[str]:
        shown = repr(text if len(text) <= 60 else f"{text[:40]}...{text[-15:]}")
        if self.written and not text.strip():
            yield f"{name}: it is empty, name a folder"
            return
        try:
            place = os.path.realpath(text) if self.written else os.path.normpath(Path.cwd() / text)
            Path(text).stat()
            if self.written and len(os.fsencode(place)) + ROOM_FOR_RECORDS > os.pathconf("/", "PC_PATH_MAX"):
                raise OSError(errno.ENAMETOOLONG, "")
        except ValueError:  # a NUL, or what no file system can encode
            yield f"{name}: {shown} has a character that no path can have"
            return
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                yield f"{name}: {shown} is too long for a path ({len(text)} characters)"
                return
            if error.errno == errno.ELOOP:
                yield f"{name}: {shown} is a link that leads back to itself"
                return
        if any(Path(place).is_relative_to(root) for root in NOT_FILES):
            yield f"{name}: {shown} lies in {Path(place).parts[1]} of the system, where there are no files of data"


@dataclass(frozen=True)
class ChoiceRule:
    """The texts that a setting may be."""

    options: tuple[str, ...]

    def problems(self, name: str, value: Any) -> Iterator[str]:
        yield from one_of(name, value, self.options)


def chosen_from(default: str, options: tuple[str, ...]) -> Any:
    """A field that is one of some texts."""
    return _field(default, ChoiceRule(options))


def within(
    default: Any, low: float, high: float, *,
    above: bool = False, below: bool = False, infinite: bool = False, fewest: int = 0,
) -> Any:  # fmt: skip
    """A field with a default and a range; of a list with the range of its entries.

    Args:
        above: ``low`` itself is too low.
        below: ``high`` itself is too high.
        infinite: infinity is taken as well.
        fewest: entries of a list.
    """
    return _field(default, NumberRule(low, high, above, below, infinite, fewest))


def path_setting(default: Any = None, *, written: bool = False) -> Any:
    """A field that is a path, or a mapping of paths."""
    return _field(default, PathRule(written))


def field_problems(item: dataclasses.Field[Any], value: Any) -> Iterator[str]:
    """Of one field of a section: its own rule, and what holds for all."""
    rule = item.metadata.get("rule")
    if rule is not None:
        yield from rule.problems(item.name, value)
    if not isinstance(rule, NumberRule):
        for number in numbers(value):
            if not finite(number):
                yield f"{item.name}: {number} is no finite number"
    if not isinstance(rule, PathRule):
        for text in _texts(value):
            try:
                text.encode()
            except UnicodeEncodeError:
                yield f"{item.name}: {text!r} is no text (its bytes are not UTF-8)"


def argument(item: dataclasses.Field[Any], value: Any, section: str = "") -> Any:
    """A value that Python code gives for a field: of the type of the field's default, and within its range.

    Whole numbers are taken for others, and NumPy's for Python's.

    Args:
        section: what stands before the name of the field in a message, with its dot.

    Raises:
        UserError: it is not.
    """
    kinds = {bool: bool, int: numbers_abc.Integral, float: numbers_abc.Real, str: str}
    kind = next(kind for kind in kinds if isinstance(item.default, kind))
    if not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind is not bool):
        raise UserError(f"{section}{item.name}: {value!r} is no {kind.__name__}, as its default {item.default!r} is")
    own = kind(value)
    for problem in field_problems(item, own):
        raise UserError(f"{section}{problem}")
    return own


def numbers(value: Any) -> Iterator[float]:
    """All numbers in a value, its lists and its mappings; truth values are none."""
    for entry in _entries(value):
        if isinstance(entry, int | float) and not isinstance(entry, bool):
            yield entry


def finite(value: float) -> bool:
    """Integers are, however large: the library would first make a float of them."""
    return isinstance(value, int) or math.isfinite(value)


def short(value: float) -> str:
    """A number in a message, unless it is longer than the message."""
    return str(value) if abs(value) < 10**30 else "it"


def _field(default: Any, rule: NumberRule | PathRule | ChoiceRule) -> Any:
    metadata = {"rule": rule}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _texts(value: Any) -> Iterator[str]:
    return (entry for entry in _entries(value) if isinstance(entry, str))


def _entries(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from (*_entries(key), *_entries(entry))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _entries(entry)
    else:
        yield value
