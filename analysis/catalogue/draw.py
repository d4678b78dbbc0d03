"""From records to files: every figure and table of every setting, the claims, and what is missing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.catalogue import commands
from analysis.catalogue.all_claims import for_terminal, judge, table_of_all
from analysis.catalogue.chapters import CHAPTERS, Chapter, Part
from analysis.data.columns import DamagedRecordError
from analysis.data.groups import Group, Setting, by_setting, folder_names, setting_of
from analysis.data.loading import Journal, load
from analysis.data.marks.teacher_names import with_names_of_teachers
from analysis.data.records import TIMING_VERBS, Record, read_record
from analysis.render.output import Drawing, Item, Table
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console


log = logging.getLogger(__name__)

ALL_CLAIMS = "All claims"
"""Title of the chapter that is of no one paper."""


@dataclass(frozen=True)
class Made:
    """One figure or table, and where it belongs."""

    chapter: str
    """Title."""
    setting: str
    folder: str
    """Of the setting, below the folder that everything goes to."""
    part: str
    """Its name in the chapter, ``claims`` for a claims table."""
    item: Item
    suffix: str = ""
    """What tells its files from those of the same part under another condition."""
    random_weights: bool = False
    """It is of a model that has no scores."""


@dataclass
class Drawn:
    """What was made: files by kind, the tables themselves, and what could not be made."""

    figures: list[Path] = field(default_factory=list)
    """PDF, PNG, CSV and Markdown of every figure."""
    table_files: list[Path] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """What broke, which is among the warnings as well."""


def draw_all(sources: Sequence[Path], out: Path, console: Console | None = None) -> Drawn:
    """Draw everything that the records in ``sources`` allow into ``out/MODEL_TASK/`` or ``out/MODEL/``.

    The claims of all papers and models go into ``out/claims.md``.

    Arguments:
        console: where tables, warnings and the list of files are printed; None prints nothing.

    Raises:
        UserError: a source is no folder, holds no finished run, or ``out`` cannot be written.
    """
    journal, drawn = Journal(), Drawn()
    for made in draw_each(load_some(sources, journal, console), journal):
        try:
            _keep(made, out, drawn)
        except (UserError, MemoryError):
            raise
        except Exception as error:  # one picture must not stop the others
            journal.fail(f"{made.folder}/{made.item.name}", error)
    drawn.warnings, drawn.missing, drawn.failed = journal.warnings, journal.missing, journal.failed
    if console is not None:
        report(drawn, console)
    return drawn


def load_some(sources: Sequence[Path], journal: Journal, console: Console | None = None) -> list[Record]:
    """The finished runs in ``sources``; where there are none, the warnings are printed first.

    Raises:
        UserError: a source is no folder, or none holds a finished run.
    """
    records = load(sources, journal)
    if not records:
        for line in journal.warnings:
            _warn(console, line)
        raise UserError(f"source={','.join(map(str, sources))}: no finished run record in it")
    return records


def draw_each(records: Sequence[Record], journal: Journal) -> Iterator[Made]:
    """Every figure and table of the records, one at a time, chapter by chapter and setting by setting.

    What cannot be drawn goes into ``journal``, and so does what breaks.
    """
    settings = [setting_of(record, all_tasks=all_tasks) for record in records for all_tasks in (False, True)]
    folders = folder_names(dict.fromkeys(settings))
    judged = judge(records, journal)
    for chapter in CHAPTERS:
        runs_of = chapter.settings(records)
        for setting, runs in runs_of.items():
            random = setting.weights == "random"
            for part, item, suffix in _draw_setting(chapter, setting, runs, folders[setting], journal):
                yield Made(chapter.title, str(setting), folders[setting], part, item, suffix, random)
            for one in judged:
                if one.chapter is chapter and one.setting == setting and one.tested:
                    yield Made(chapter.title, str(setting), folders[setting], "claims", one.table, "", random)
        for setting, runs in by_setting(filter(chapter.takes, records), all_tasks=True).items():
            missed = chapter.paper and any(part.of_paper for part in chapter.parts)
            if missed and setting.weights != "random" and not _holds(runs_of, setting):
                command = commands.of_chapter(chapter.command, setting, runs)
                journal.missing.append(f"{folders[setting]}: {_with_command(f'no runs of {chapter.title}', command)}")
    whole = table_of_all(judged, records, journal)
    if whole is not None:
        yield Made(ALL_CLAIMS, "all papers and models", "", "claims", whole)


def draw_run(run_dir: Path, out: Path) -> list[Path]:
    """Draw the figures of one finished run into ``out``; returns their files (PNG and CSV, no PDF).

    A run whose verb has no figure, or whose tables are damaged, gives an empty list.
    """
    try:
        record = read_record(run_dir)
    except DamagedRecordError:
        return []
    if record is None:
        return []
    [record] = with_names_of_teachers([record])
    journal, paths = Journal(), []
    for part in (part for chapter in CHAPTERS if chapter.takes(record) for part in chapter.parts):
        if part.verb == record.verb and part.one_run:
            for item in _attempt(part, Group([record]), journal, record.verb):
                if isinstance(item, Drawing):
                    try:
                        paths += item.save(out, kinds=("png", "csv"))
                    except Exception as error:  # the run itself has finished well
                        journal.fail(f"{record.verb}/{item.name}", error)
    for line in journal.failed:
        log.warning("%s", line)
    return paths


def _draw_setting(
    chapter: Chapter, setting: Setting, records: list[Record], folder: str, journal: Journal
) -> Iterator[tuple[str, Item, str]]:
    """Names of parts, their items, and the suffixes of their files."""
    groups = chapter.groups(records)
    for part in chapter.parts:
        subjects = groups[part.verb]
        if part.beside:
            subjects = [Group(members)] if (members := [r for r in records if r.verb in part.verbs]) else []
        broken = len(journal.failed)
        made = [(group, item) for group in subjects for item in _attempt(part, group, journal, folder)]
        for group, item in made:
            yield part.name, item, group.suffix
        scored = setting.weights != "random" or part.verb in TIMING_VERBS
        expected = chapter.paper and (part.of_paper or groups[part.verb])
        if not made and expected and scored and len(journal.failed) == broken:
            journal.missing.append(f"{folder}/{part.name}: {_why_not(part, setting, groups[part.verb], records)}")


def _attempt(part: Part, group: Group, journal: Journal, folder: str) -> list[Item]:
    """What a part makes of a group; if it breaks over some of the records, what it makes of the others."""
    try:
        return part.draw(group, journal)
    except Exception as error:  # whatever it is: it is told, and the other figures are drawn
        odd = [record for record in group.records if not _draws(part, record)]
        sound = [record for record in group.records if record not in odd]
        if not odd or not sound:
            journal.fail(f"{folder}/{part.name}", error)
            return []
        journal.fail(f"{folder}/{part.name} with {', '.join(str(record.folder) for record in odd)}", error)
        return _attempt(part, replace(group, records=sound), journal, folder)


def _draws(part: Part, record: Record) -> bool:
    try:
        part.draw(Group([record]), Journal())
    except Exception:
        return False
    return True


def _keep(made: Made, out: Path, drawn: Drawn) -> None:
    try:
        paths = made.item.save(out / made.folder, made.suffix)
    except OSError as error:
        raise UserError(f"out={out / made.folder}: cannot be written ({error.strerror or error})") from None
    if isinstance(made.item, Drawing):
        drawn.figures += paths
    else:
        drawn.table_files += paths
        drawn.tables.append(made.item)


def _why_not(part: Part, setting: Setting, groups: list[Group], others: Sequence[Record]) -> str:
    """Why there is nothing of a part, and what makes its runs; ``others`` are those that the setting has."""
    if groups:
        runs = sum(len(group.records) for group in groups)
        return f"{part.needs or 'nothing to draw'} in the {runs} {part.verb} run(s)"
    return _with_command(f"no {part.verb} runs", commands.of_part(part.verb, part.overrides, setting, others))


def _with_command(why: str, command: str) -> str:
    return why + (f"; run {command}" if command else "")


def _holds(settings: Iterable[Setting], model: Setting) -> bool:
    """Is any of the settings one of this model, weights and scale?"""
    return any(replace(setting, task="") == model for setting in settings)


def report(drawn: Drawn, console: Console) -> None:
    """Tables, then files, then what a reader must know."""
    untested: dict[str, None] = {}
    for table in drawn.tables:
        shown, lines = for_terminal(table)
        untested |= dict.fromkeys(lines)
        if shown is not None:
            shown.show(console)
    for line in untested:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    pictures = [str(path) for path in drawn.figures if path.suffix == ".png"]
    _list(console, "figures", " (also as .pdf and .csv; .md says what each is of)", pictures)
    _list(console, "tables", " (also as .csv)", [str(p) for p in drawn.table_files if p.suffix == ".md"])
    if drawn.missing:
        _list(console, "not drawn", "", drawn.missing)
    for line in drawn.warnings:
        _warn(console, line)


def _list(console: Console, title: str, more: str, lines: Iterable[str]) -> None:
    from rich.text import Text

    console.print(Text.assemble((title, "bold"), more))
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)


def _warn(console: Console | None, line: str) -> None:
    from rich.text import Text

    if console is not None:
        console.print(Text.assemble(("warning", "yellow"), f" {line}"), soft_wrap=True)
