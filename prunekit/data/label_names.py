"""Which of a task's labels a row has, by name or by number."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from prunekit.config.task import TaskConfig, is_whole, label_key
from prunekit.support.errors import RowError

UNLABELLED = -1
MEANING = {"true": "yes", "false": "no"}
"""A label's name that a truth value stands for as well as for its own."""


def label_numbers(task: TaskConfig, where: str, column: Sequence[Any], source_names: Sequence[str] = ()) -> list[int]:
    """Number of each row's label, see :func:`label_reader`."""
    number_of = label_reader(task, where, source_names)
    return [number_of(row, label) for row, label in enumerate(column)]


def label_reader(task: TaskConfig, where: str, source_names: Sequence[str] = ()) -> Callable[[int, Any], int]:
    """From a row (for messages) and a label the label's number, in the order of ``task.labels``; -1 for no label.

    A value is the name of a label first, be it text or a number. Where no name is a number, a number is the label's
    place in ``task.labels``, from 0; of a source whose names of its numbers share any with the task, the name decides.
    -1 that is no name marks a row without a label.

    Args:
        where: task and split, for messages.
        source_names: names of the numbers in the source, where it has any.

    Raises:
        UserError: (what is returned) a value is neither, naming the row.
    """
    named = {label_key(name): number for number, name in enumerate(task.labels)}
    by_number = not any(is_whole(name) for name in task.labels)
    spelling = spelled if len({spelled(name) for name in task.labels}) == len(task.labels) else str
    places = {spelling(name): number for number, name in enumerate(task.labels)}
    own = [spelling(name) for name in source_names]
    shared = set(own) & set(places)  # one name is enough to say that the source's numbers are its own
    reordered = {str(number): places.get(name) for number, name in enumerate(own)} if shared else {}
    known: dict[tuple[type, Any], int] = {}

    def number_of(row: int, label: Any) -> int:
        key = label_key(label)
        if key not in named and key.lower() in MEANING:  # tables write yes and no like that, in either case
            same = (name for name in named if name.lower() in (key.lower(), MEANING[key.lower()]))
            key = next(same, str(int(key.lower() == "true")))
        if isinstance(label, int) and key in reordered:
            if (place := reordered[key]) is not None:
                return place
            raise RowError(
                where,
                row,
                f"label {key} is {source_names[label]!r} there, right would be "
                f"{', '.join(task.labels)}; task.labels=[...] names the labels of the data",
            )
        if key in named:
            return named[key]
        if key == str(UNLABELLED):
            return UNLABELLED
        if by_number and is_whole(key) and 0 <= int(key) < len(task.labels):
            return int(key)
        if label is None or not key:
            raise RowError(
                where, row, f"there is no label in {task.label!r}; leave the row out, or give it the label {UNLABELLED}"
            )
        right = ", ".join(f"{i}={name}" for i, name in enumerate(task.labels)) if by_number else ", ".join(task.labels)
        shown = key if is_whole(key) else repr(label)
        raise RowError(
            where,
            row,
            f"label {shown} is out of range, right would be {right}; "
            "task.labels=[...] names the labels of the data, task.label= its column",
        )

    def known_number_of(row: int, label: Any) -> int:
        place = (type(label), str(label))
        if place not in known:
            known[place] = number_of(row, label)
        return known[place]

    return known_number_of


def is_label(task: TaskConfig, label: Any) -> bool:
    """Whether a row has a label, be it right or wrong: not nothing, nor the -1 that is no name."""
    key = "" if label is None else label_key(label)
    return key not in ("", str(UNLABELLED)) or key in map(label_key, task.labels)


def spelled(name: str) -> str:
    """A label's name without case, spaces, hyphens and underscores: ``not_entailment`` is ``NOT ENTAILMENT``."""
    return re.sub(r"[\s_-]+", "", name).casefold()
