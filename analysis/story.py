"""From records to files: every figure and table of every setting, the claims, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from analysis import (
    benchmark,
    claims,
    fig1b,
    fig2b,
    fig3b,
    kept_heads,
    order_agreement,
    speed,
    table1,
    table3,
)
from analysis.groups import Group, Setting, by_condition, by_setting, folder_names
from analysis.loading import RANDOM_WEIGHTS_VERBS, Journal, load
from analysis.output import Drawing, Item, Table
from analysis.records import DamagedRecordError, Record, read_record
from prunekit.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Part:
    """One figure or table of the paper and the verb whose records it needs."""

    name: str
    verb: str
    draw: Callable[[Group, Journal], list[Item]]
    of_the_paper: bool = True
    """Its absence is worth a note."""
    one_table: bool = False
    """Runs of all conditions belong in one table, which names what tells them apart."""


PARTS = (
    Part("fig1b", "ablate_heads", fig1b.draw),
    Part("table1", "ablate_heads", table1.draw),
    Part("table3", "ablate_heads", table3.draw),
    Part("fig2b", "transfer", fig2b.draw),
    Part("fig3b", "prune_heads", fig3b.draw),
    Part("kept_heads", "prune_heads", kept_heads.draw),
    Part("order_agreement", "prune_heads", order_agreement.draw),
    Part("table4", "time_inference", speed.draw),
    Part("benchmark", "benchmark", benchmark.draw, of_the_paper=False, one_table=True),
)


@dataclass
class Drawn:
    """What was made: files by kind, the tables themselves, and what could not be made."""

    figures: list[Path] = field(default_factory=list)
    """PDF, PNG and CSV of every figure."""
    table_files: list[Path] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def draw_all(sources: Sequence[Path], out: Path, console: Console | None = None) -> Drawn:
    """Draw everything that the records in ``sources`` allow into ``out/MODEL_TASK/``.

    Arguments:
        console: where tables, warnings and the list of files are printed; None prints nothing.

    Raises:
        UserError: a source is no folder, holds no finished run, or ``out`` cannot be written.
    """
    journal, drawn = Journal(), Drawn()
    records = load(sources, journal)
    if not records:
        for line in journal.warnings:
            _say(console, f"[yellow]warning[/yellow] {_plain(line)}")
        raise UserError(f"source={','.join(map(str, sources))}: no finished run record in it")
    settings = by_setting(records)
    folders = folder_names(settings)
    for setting, members in settings.items():
        _draw_setting(setting, members, out / folders[setting], journal, drawn)
    drawn.warnings, drawn.missing = journal.warnings, journal.missing
    if console is not None:
        report(drawn, console)
    return drawn


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
    journal, paths = Journal(), []
    for part in PARTS:
        if part.verb == record.verb:
            for item in part.draw(Group([record]), journal):
                if isinstance(item, Drawing):
                    paths += item.save(out, kinds=("png", "csv"))
    return paths


def _draw_setting(setting: Setting, records: list[Record], folder: Path, journal: Journal, drawn: Drawn) -> None:
    groups: dict[str, list[Group]] = {}
    for part in PARTS:
        members = [record for record in records if record.verb == part.verb]
        conditions = [Group(members)] if part.one_table and members else by_condition(members)
        groups[part.verb] = conditions
        made = [(group, item) for group in conditions for item in part.draw(group, journal)]
        for group, item in made:
            paths = _save(item, folder, group.suffix)
            if isinstance(item, Drawing):
                drawn.figures += paths
            else:
                drawn.table_files += paths
                drawn.tables.append(item)
        scored = setting.weights != "random" or part.verb in RANDOM_WEIGHTS_VERBS
        if not made and part.of_the_paper and scored:
            journal.missing.append(f"{folder.name}/{part.name}: {_why_not(part, setting, members)}")
    first = {verb: found[0] for verb, found in groups.items() if found}
    table = claims.draw(first, journal, str(setting))
    drawn.table_files += _save(table, folder)
    drawn.tables.append(table)


def _why_not(part: Part, setting: Setting, members: list[Record]) -> str:
    if members:
        return f"nothing to draw in the {len(members)} {part.verb} run(s)"
    command = f"python -m experiments.{part.verb} model={setting.model} task={setting.task}"
    return f"no {part.verb} runs; run {command}" + (f" scale={setting.scale}" if setting.scale else "")


def _save(item: Item, folder: Path, suffix: str = "") -> list[Path]:
    try:
        return item.save(folder, suffix)
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written ({error.strerror or error})") from None


def report(drawn: Drawn, console: Console) -> None:
    """Tables, then files, then what a reader must know."""
    for table in drawn.tables:
        table.show(console)
    console.print("[bold]figures[/bold] (also as .pdf and .csv)")
    for path in drawn.figures:
        if path.suffix == ".png":
            console.print(f"  {_plain(str(path))}", soft_wrap=True)
    console.print("[bold]tables[/bold] (also as .csv)")
    for path in drawn.table_files:
        if path.suffix == ".md":
            console.print(f"  {_plain(str(path))}", soft_wrap=True)
    if drawn.missing:
        console.print("[bold]not drawn[/bold]")
        for line in drawn.missing:
            console.print(f"  {_plain(line)}", soft_wrap=True)
    for line in drawn.warnings:
        console.print(f"[yellow]warning[/yellow] {_plain(line)}", soft_wrap=True)


def _say(console: Console | None, line: str) -> None:
    if console is not None:
        console.print(line, soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
