"""Sentences from files in CoNLL's columns: a word a line with its tags, an empty line between sentences.

Columns are separated by tabs or by spaces, as the first line has them that begins with no ``#``. Lines that begin with
``-DOCSTART-`` and comments (``# ...``) are no words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from prunekit.data.table_files import Table, text_lines
from prunekit.support.errors import UserError

TOKENS, TAGS = "tokens", "tags"
"""What the first and the last column are called where a file does not name them."""
_NAMES = re.compile(r"#\s*global\.columns\s*=(.*)")  # of CoNLL-U Plus
_SPACES = re.compile(r"[ \t]+")


def read_conll(path: Path, setting: str, column: str, label: str, labels: Sequence[str]) -> Table:
    """Words and tags of every sentence, under the names ``column`` and ``label``.

    Args:
        setting: that names the file, for messages.
        column, label: ``tokens``, ``tags``, a number (from 0, or from -1 backwards) or a name that the file gives.
        labels: the tags that there are: a line like ``# O`` is a word where its tag is one of them, else a comment.

    Raises:
        UserError: the file is no UTF-8, a column is not there, or a line has another number of columns than the first
            (naming it, from 1).
    """
    lines = text_lines(path, setting)
    begin = next((place for place, line in enumerate(lines) if not _parts(line) and not line.startswith("#")), None)
    if begin is None:
        return {column: [], label: []}
    tabs = "\t" in lines[begin]
    width = len(_fields(lines[begin], tabs))
    where = f"{path}, whose line {begin + 1} has {width} columns"
    named = [match[1].split() for line in lines[:begin] if (match := _NAMES.fullmatch(line.strip()))]
    names = named[-1] if named else []
    places = (
        _place(column, TOKENS, 0, names, width, f"task.columns: {column!r}", where),
        _place(label, TAGS, width - 1, names, width, f"task.label: {label!r}", where),
    )
    if places[0] == places[1]:
        raise UserError(
            f"{setting}: {where}, words and tags would both be column {places[0]}; a line should have a word and its "
            "tag, between spaces or tabs"
        )
    words: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in enumerate(lines, 1):
        if _parts(line):
            if words[-1]:
                words.append([])
                tags.append([])
            continue
        own = _fields(line, tabs)
        if line.startswith("#") and (len(own) != width or own[places[1]] not in labels):
            continue
        if len(own) != width or not all(own[place] for place in places):
            between = "tabs" if tabs else "spaces"
            raise UserError(
                f"{setting}: {path}, line {number} has {len([field for field in own if field])} columns where the "
                f"first word has {width}, between {between}: {line.strip()!r}; each word needs its tag"
            )
        words[-1].append(own[places[0]])
        tags[-1].append(own[places[1]])
    if not words[-1]:
        words.pop()
        tags.pop()
    return {column: list(words), label: list(tags)}


def _parts(line: str) -> bool:
    """Whether a line parts sentences."""
    return not line.strip(" \t") or line.startswith("-DOCSTART-")


def _fields(line: str, tabs: bool) -> list[str]:
    return [field.strip(" ") for field in line.split("\t")] if tabs else _SPACES.split(line.strip(" \t"))


def _place(wanted: str, usual: str, place: int, names: Sequence[str], width: int, setting: str, where: str) -> int:
    """Which column is meant."""
    if wanted in names:
        found = names.index(wanted)
    elif re.fullmatch(r"-?\d{1,4}", wanted):
        found = int(wanted)
    elif wanted == usual:
        found = place
    else:
        own = f"{', '.join(names)} as the file names them, " if names else ""
        raise UserError(
            f"{setting} is no column of {where}; right would be {own}{TOKENS} for the first, {TAGS} for the last, or "
            f"a number from 0 to {width - 1}"
        )
    if not -width <= found < width:
        raise UserError(f"{setting} is no column of {where}; right would be 0 to {width - 1}, or -1 for the last")
    return found % width
