"""Tables as the page shows them: cells with the number that they sort by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

NUMBER = re.compile(
    r"\s*([+\-\u2212]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?)(?:[x\u00d7]|(?![\w.:,\-]))"
)
"""A number that a cell starts with: ``1,234``, ``-.5``, ``1e-05``, ``2.1x``; no date, version or hash."""
MISSING = ("", "-", "\u2013", "nan", "none")
SHORT = 24
"""Characters up to which a column of numbers is set right."""


@dataclass(frozen=True)
class Cell:
    html: Markup
    value: float | None
    """What it sorts by in a column of numbers; None goes last."""


@dataclass(frozen=True)
class Column:
    name: str
    numeric: bool
    short: bool


@dataclass(frozen=True)
class Grid:
    columns: list[Column]
    rows: list[list[Cell]]


def grid(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Grid:
    """Cells as escaped text, Markdown's bold as such; a column is numeric if all its cells start with a number."""
    texts = [[str(cell) for cell in row] for row in rows]
    columns = [_column(str(name), [row[index] for row in texts]) for index, name in enumerate(names)]
    return Grid(columns, [[_cell(*pair) for pair in zip(row, columns, strict=True)] for row in texts])


def _column(name: str, texts: list[str]) -> Column:
    filled = [text for text in texts if text.strip("* ").lower() not in MISSING]
    numeric = bool(filled) and all(number(text) is not None for text in filled)
    return Column(name, numeric, short=max(map(len, filled), default=0) <= SHORT)


def _cell(text: str, column: Column) -> Cell:
    return Cell(_bold(text), number(text) if column.numeric else None)


def number(text: str) -> float | None:
    """The number that a text starts with, or None.

    >>> number("**1,234.5** ± 2"), number("\u22120.5 %"), number("+.20\u2020"), number("seed 1"), number("2026-11-22")
    (1234.5, -0.5, 0.2, None, None)
    """
    match = NUMBER.match(text.replace("**", ""))
    return float(match.group(1).replace(",", "").replace("\u2212", "-")) if match else None


def _bold(text: str) -> Markup:
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text))))
