"""The two things analysis makes, figures and tables, and how they become files and terminal text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.data.file_names import one_name
from analysis.render.style import KINDS, save_figure, write_csv
from prunekit.support.markdown import cell, in_markdown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Console


@dataclass(frozen=True)
class Drawing:
    """A figure, the one frame it was drawn from, and the words that belong beside it."""

    name: str
    figure: Figure
    frame: pd.DataFrame
    beside: str = ""
    """What is not in the picture: data, models, seeds, machines, and what else is to be known."""

    def save(self, folder: Path, suffix: str = "", kinds: Sequence[str] = KINDS) -> list[Path]:
        """Write PDF, PNG, CSV and Markdown, or some of them; returns their paths."""
        name = file_name(self.name, suffix)
        paths = save_figure(self.figure, self.frame, folder / name, kinds)
        if "md" in kinds:
            paths.append(folder / f"{name}.md")
            paths[-1].write_text(f"![{name}]({name}.png)\n\n{in_markdown(self.caption)}\n", encoding="utf-8")
        return paths

    @property
    def key(self) -> str:
        """The small print of the picture, as one line: how to read it."""
        return str(self.figure.get_label())

    @property
    def caption(self) -> str:
        """The small print and the words beside it."""
        return f"{self.key} {self.beside}".strip()


@dataclass(frozen=True)
class Table:
    """A table: ``frame`` holds the numbers (CSV), ``display`` the same as text (Markdown, terminal)."""

    name: str
    title: str
    frame: pd.DataFrame
    display: pd.DataFrame
    caption: str
    narrow: tuple[str, ...] = ()
    """Columns for the terminal, where the whole table would be too wide; all of them if empty."""
    of_other_columns: tuple[str, ...] = ()
    """Parts of the caption that are about columns which ``narrow`` leaves out."""

    def save(self, folder: Path, suffix: str = "") -> list[Path]:
        """Write CSV and Markdown; returns the two paths."""
        name = file_name(self.name, suffix)
        csv, markdown = folder / f"{name}.csv", folder / f"{name}.md"
        write_csv(self.frame, csv)
        markdown.write_text(self.markdown(), encoding="utf-8")
        return [csv, markdown]

    def rows(self) -> str:
        """Heading and rows in Markdown, without title and caption."""
        lines = [list(map(str, self.display.columns)), ["---"] * self.display.shape[1]]
        lines += [list(map(str, row)) for row in self.display.itertuples(index=False)]
        escaped = [[cell(text) for text in line] for line in lines]
        return "\n".join("| " + " | ".join(line) + " |" for line in escaped)

    def markdown(self) -> str:
        return "\n".join([f"**{in_markdown(self.title)}**", "", self.rows(), "", in_markdown(self.caption), ""])

    def show(self, console: Console) -> None:
        """Print title, table and caption; Markdown's bold becomes the terminal's."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        def bold(text: object) -> Text:
            # Every second part was between two pairs of stars.
            parts = re.split(r"\*\*(.+?)\*\*", str(text))
            return Text.assemble(*((part, "bold" if place % 2 else "") for place, part in enumerate(parts)))

        shown = self.display[list(self.narrow)] if self.narrow else self.display
        gap = 0 if shown.shape[1] > 9 else 1
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
        for column in shown.columns:
            table.add_column(Text(str(column)))
        for row in shown.itertuples(index=False):
            table.add_row(*map(bold, row))
        console.print(Text(self.title, "bold"))
        console.print(table)
        console.print(Text(f"{self._caption_of(shown, in_bold=console.is_terminal)}\n", "dim"))

    def _caption_of(self, shown: pd.DataFrame, *, in_bold: bool) -> str:
        """The caption without what is about columns and bold that are not shown."""
        caption = self.caption
        for part in self.of_other_columns if self.narrow else ():
            caption = caption.replace(part, "")
        if not in_bold or not shown.map(lambda cell: "**" in str(cell)).any(axis=None):
            caption = BOLD.sub("", caption)
        return caption.strip()


LONGEST_SUFFIX = 80
BOLD = re.compile(r"Bold: [^.]*\. ")
"""The sentence of a caption that says what is bold."""
Item = Drawing | Table


def file_name(name: str, suffix: str) -> str:
    """A file name from an item's name and the condition that tells it from its siblings."""
    words = re.sub(r"[^A-Za-z0-9=.]+", "-", suffix).strip("-")
    if len(words) > LONGEST_SUFFIX:
        # Cut names could meet; the hash keeps them apart.
        words = f"{words[:LONGEST_SUFFIX]}-{hashlib.sha256(suffix.encode()).hexdigest()[:8]}"
    return one_name(f"{name}_{words}" if words else name)


def count_range(counts: pd.Series) -> str:
    """How many, as the least and the most where they differ.

    >>> import pandas as pd
    >>> count_range(pd.Series([5, 100, 40])), count_range(pd.Series([1000, 1000]))
    ('5 to 100', '1,000')
    """
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def listed(words: list[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
