"""One progress bar a stage, with rate and time left; silent without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def plain_console(width: int | None = None) -> Console:
    """A terminal in which text is printed as it is: ``[self]`` in a name is no markup, ``:bug:`` no emoji.

    What is bold or coloured is a :class:`rich.text.Text`.

    Args:
        width: in characters; None for that of the terminal.
    """
    return Console(width=width, highlight=False, markup=False, emoji=False)


console = plain_console()

Advance = Callable[[int], None]
"""Called with how many more of a stage's items are done."""


@contextmanager
def bar(label: str, total: int, *, shown: bool = True) -> Iterator[Advance]:
    """A bar of ``total`` items; yields the function that advances it."""
    columns = (
        TextColumn("{task.description:<34}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.advance(task, done)
