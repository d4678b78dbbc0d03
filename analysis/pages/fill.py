"""Pages from their templates: ``docs/templates/README.md.jinja`` is README.md, the others are pages of docs/.

What a template can use:

- ``runs(VERB, task=..., ...)``: runs by their settings (:mod:`analysis.pages.selection`), and of these
  ``["value"].mean``, ``.only``, ``.interval`` and so on;
- filters that write numbers: ``percent``, ``points``, ``signed``, ``fixed``, ``thousands``, ``minutes``, ``hours``,
  ``gigabytes``, ``in_words``;
- the filter ``speedup``: of a row of a table of paired rounds the median with its interval;
- ``meaning``: what a verdict means;
- ``claims(PAPER)`` and ``headline([[PAPER, FIRST WORDS, REMARK], ...])``: tables of claims, remarks may be left out;
  ``tested(PAPER)``: whether a run tests one of them;
- ``table(NAME, model=..., task=...)``: a table that ``python -m analysis`` makes, its caption above it; of a part that
  makes one a task, by the name of its file (``sizes_mrpc``);
- ``pruning_stages``: those that Fisher pruning times, as the figure of seconds has them;
- ``logged(VERB, task=..., ...)``: whether there are such runs, for what a page has only then;
- ``published(PAPER, CLAIM)``: the value of a row of ``analysis/published/PAPER_claims.csv``;
- ``caption(NAME)``: how to read a picture of ``docs/`` and what it is of, to stand below it.

A template that gives nothing, as one does whose runs are not logged, is no page.

A name that is not there, a selection without a run and a number that a run lacks are errors, so that no page says
what the records do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from analysis.catalogue.all_claims import judge
from analysis.catalogue.chapters import CHAPTERS
from analysis.catalogue.pictures import PICTURES
from analysis.claims.table import MEANING
from analysis.data import published
from analysis.data.groups import Group, Setting
from analysis.data.loading import Journal
from analysis.data.records import Record
from analysis.kwon.seconds import PARTS
from analysis.pages import claims
from analysis.pages.ratios import speedup
from analysis.pages.selection import select
from analysis.pages.words import FILTERS
from analysis.render.output import Drawing, Item, Table, file_name
from prunekit.support.errors import UserError
from prunekit.support.markdown import in_markdown

ROOT = Path(__file__).parent.parent.parent
TEMPLATES = ROOT / "docs" / "templates"
SUFFIX = ".jinja"


def pages(records: Sequence[Record], templates: Path = TEMPLATES) -> dict[Path, str]:
    """Text of every page by its path in the repository, without those that would be empty.

    Raises:
        UserError: a template that cannot be filled, with its name, line and what is wrong.
    """
    environment = Environment(
        loader=FileSystemLoader(templates), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters.update(FILTERS, speedup=speedup)
    rows = claims.rows(judge(records, Journal()))
    drawn = Parts(records)
    environment.globals.update(
        runs=partial(select, records),
        logged=partial(logged, records),
        claims=partial(claims.paper_table, rows),
        tested=lambda paper: any(row.paper == paper and row.tested for row in rows),
        meaning=MEANING,
        pruning_stages=list(PARTS),
        headline=partial(claims.headline, rows),
        table=partial(table, drawn),
        caption=partial(caption, drawn),
        published=published.claim,
    )
    filled = {
        place(path.relative_to(templates)): _filled(environment, path.relative_to(templates))
        for path in sorted(templates.rglob(f"*{SUFFIX}"))
    }
    return {path: text for path, text in filled.items() if text.strip()}


def place(template: Path) -> Path:
    """Where a template's page is.

    >>> place(Path("README.md.jinja")), place(Path("results/cofi.md.jinja"))
    (PosixPath('README.md'), PosixPath('docs/results/cofi.md'))
    """
    page = template.with_suffix("")
    return page if page.name == "README.md" else Path("docs") / page


class Parts:
    """What the parts of all chapters draw of some records, each drawn once: pages ask for its tables and captions."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._settings = [
            (chapter, setting, own) for chapter in CHAPTERS for setting, own in chapter.settings(records).items()
            if setting.weights != "random"
        ]  # fmt: skip
        self._items: dict[tuple[str, Setting, str], list[tuple[str, Group, Item]]] = {}

    def items(self, of: Callable[[Setting], bool], named: Callable[[str], bool]) -> Iterator[tuple[str, Group, Item]]:
        """What parts of these names draw in these settings, each behind its part's name and the group that it is of."""
        for chapter, setting, own in self._settings:
            for part in (part for part in chapter.parts if of(setting) and named(part.name)):
                key = chapter.title, setting, part.name
                if key not in self._items:
                    groups = [Group(own)] if part.beside else chapter.groups(own)[part.verb]
                    self._items[key] = [
                        (part.name, group, item) for group in groups for item in part.draw(group, Journal())
                    ]
                yield from self._items[key]


def table(drawn: Parts, name: str, model: str, task: str = "") -> str:
    """A table of analysis for one model, and one task where its chapter does not show all of them.

    Arguments:
        name: of the part that makes it, or of the table.

    Raises:
        UserError: no part of this name makes a table of these runs, or several do.
    """
    items = drawn.items(
        lambda setting: (setting.model, setting.task) == (model, task), lambda part: f"{name}_".startswith(f"{part}_")
    )
    tables = [item for part, _, item in items if isinstance(item, Table) and name in (part, item.name)]
    if len(tables) != 1:
        raise UserError(f"table {name!r} of {model} {task}: the records give {len(tables)} of it, one is meant")
    return f"{tables[0].caption}\n\n{tables[0].rows()}"


def logged(records: Sequence[Record], verb: str, **settings: Any) -> bool:
    """Whether there are such runs."""
    try:
        return bool(select(records, verb, settings))
    except UserError:
        return False


def caption(drawn: Parts, picture: str) -> str:
    """The whole caption of a picture, by its name in ``docs/``: what is printed in it and what stands beside it.

    Raises:
        UserError: there is no such picture, or the records do not give it.
    """
    if picture not in PICTURES:
        raise UserError(f"caption {picture!r}: no such picture; there are {', '.join(PICTURES)}")
    folder, name = PICTURES[picture].split("/")
    for _, group, item in drawn.items(lambda setting: setting.folder == folder, name.startswith):
        if isinstance(item, Drawing) and file_name(item.name, group.suffix) == name:
            return in_markdown(item.caption)
    raise UserError(f"caption {picture!r}: the records do not give this picture")


def _filled(environment: Environment, template: Path) -> str:
    try:
        return environment.get_template(template.as_posix()).render()
    except (TemplateError, UserError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{TEMPLATES.name}/{template}{_line(error, template)}: {error}") from None


def _line(error: Exception, template: Path) -> str:
    """``, line N`` where the traceback passes through the template."""
    trace, line = error.__traceback__, getattr(error, "lineno", None)
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(template.as_posix()):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""
