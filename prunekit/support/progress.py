"""One progress bar a stage, with rate and time left; without a terminal a line a minute."""

from __future__ import annotations

import time
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

LINE_SECONDS = 60.0
"""Between two lines about a stage where no bar can be drawn."""

Advance = Callable[[int], None]
"""Called with how many more of a stage's items are done."""


@contextmanager
def bar(label: str, total: int, *, shown: bool = True) -> Iterator[Advance]:
    """A bar of ``total`` items; yields the function that advances it."""
    if not console.is_terminal:
        yield _lines(label, total) if shown else lambda done: None
        return
    columns = (
        TextColumn("{task.description:<34}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not shown) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.advance(task, done)


def _lines(label: str, total: int) -> Advance:
    """Counts, and says how far a stage has come where the last line about it is a minute old."""
    start = last = time.monotonic()
    ended = 0

    def advance(done: int) -> None:
        nonlocal last, ended
        ended += done
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            console.print(f"{label}: {ended:,} of {total:,} after {(now - start) / 60:.0f} min", soft_wrap=True)

    return advance
