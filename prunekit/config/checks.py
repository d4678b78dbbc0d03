"""Checks of single settings. Each yields the problem it finds, named and with what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator


def near(word: str, options: Iterable[str]) -> str:
    """A hint with the closest of the options, or all of them: ``did you mean 'mnli'?``"""
    options = [str(option) for option in options]
    close = difflib.get_close_matches(str(word), options, n=2, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(option) for option in close) + "?"
    return "choose from " + ", ".join(sorted(options))


class UnknownChoice(str):
    """The problem of a setting that is not one of its choices, which come with it: ``--help`` lists them."""

    name: str
    options: tuple[str, ...]


def one_of(name: str, value: str, options: Iterable[str]) -> Iterator[str]:
    options = tuple(map(str, options))
    if value not in options:
        problem = UnknownChoice(f"{name}: {value!r} is unknown, {near(value, options)}")
        problem.name, problem.options = name, options
        yield problem


def between(name: str, value: float, low: float, high: float) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{name}: {value} is outside [{low}, {high}]"


def at_least(name: str, value: int, low: int) -> Iterator[str]:
    if value < low:
        yield f"{name}: {value} must be at least {low}"
