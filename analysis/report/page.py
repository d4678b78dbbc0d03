"""The page: entries by paper and setting, what could not be drawn, and the runs, put into the template."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import jinja2
from markupsafe import Markup

from analysis.catalogue.draw import ALL_CLAIMS, Made, draw_each
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.render.output import Drawing, Table, file_name
from analysis.render.style import csv_text, svg_without_caption
from analysis.report.grid import Grid, grid
from analysis.report.provenance import provenance
from analysis.report.titles import TITLES

PARTS = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """A figure or a table."""

    id: str
    title: str
    file: str
    """Its name below the folder that ``python -m analysis`` writes, without ending."""
    caption: str
    csv: str
    """Its numbers, as a data URI."""
    image: str = ""
    """A figure's SVG, as a data URI."""
    grid: Grid | None = None


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    entries: list[Entry]


@dataclass(frozen=True)
class PaperSection:
    id: str
    title: str
    sections: list[Section]

    @property
    def entries(self) -> list[Entry]:
        return [entry for section in self.sections for entry in section.entries]


@dataclass
class Names:
    """Identifiers for links, each given once."""

    given: set[str] = field(default_factory=set)

    def new(self, text: str) -> str:
        plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"
        name, number = plain, 1
        while name in self.given:
            number += 1
            name = f"{plain}-{number}"
        self.given.add(name)
        return name


def page(records: Sequence[Record], journal: Journal) -> str:
    """The whole page as text; equal records give equal text."""
    names = Names({"contents", "not-drawn", "warnings", "runs", "runs-filter", "runs-shown", "main"})
    papers = list(_papers(ordered(draw_each(records, journal)), names, journal))
    entries = [entry for paper in papers for entry in paper.entries]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PARTS), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template("page.html.jinja").render(
        papers=papers,
        style=Markup((PARTS / "page.css").read_text(encoding="utf-8")),
        script=Markup((PARTS / "page.js").read_text(encoding="utf-8")),
        runs=provenance(records, journal),
        figures=sum(bool(entry.image) for entry in entries),
        tables=sum(entry.grid is not None for entry in entries),
        journal=journal,
    )


def ordered(made: Iterable[Made]) -> list[Made]:
    """The claims of all papers first, then the papers, in each of them models of random weights after all others."""
    all_made = list(made)
    chapters = list(dict.fromkeys(one.chapter for one in all_made))
    chapters.sort(key=lambda chapter: chapter != ALL_CLAIMS)  # stable, as the sort below
    return sorted(all_made, key=lambda one: (chapters.index(one.chapter), one.random_weights))


def _papers(made: Iterable[Made], names: Names, journal: Journal) -> Iterator[PaperSection]:
    for title, chapter in groupby(made, key=lambda one: one.chapter):
        paper = names.new(title)
        sections = [
            Section(names.new(f"{title} {setting}"), setting, list(_entries(items, names, journal)))
            for setting, items in groupby(chapter, key=lambda one: one.setting)
        ]
        yield PaperSection(paper, title, sections)


def _entries(made: Iterable[Made], names: Names, journal: Journal) -> Iterator[Entry]:
    for one in made:
        try:
            yield _entry(one, names)
        except Exception as error:  # one picture must not stop the others
            journal.fail(f"{one.folder}/{one.item.name}", error)


def _entry(made: Made, names: Names) -> Entry:
    item = made.item
    file = "/".join(part for part in (made.folder, file_name(item.name, made.suffix)) if part)
    csv, caption = _data_uri("text/csv", csv_text(item.frame).encode()), item.caption
    if isinstance(item, Table):
        shown = grid(list(item.display.columns), item.display.itertuples(index=False))
        return Entry(names.new(file), item.title, file, caption, csv, grid=shown)
    image = _data_uri("image/svg+xml", svg_without_caption(item.figure))
    return Entry(names.new(file), _figure_title(item, made), file, caption, csv, image)


def _figure_title(item: Drawing, made: Made) -> str:
    """The title of its part, and what tells the figure from others of the part."""
    which = item.name.removeprefix(made.part).strip("_") if item.name.startswith(made.part) else ""
    words = ", ".join(word for word in (which.replace("_", " "), made.suffix) if word)
    return TITLES.get(made.part, item.name) + (f" ({words})" if words else "")


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
