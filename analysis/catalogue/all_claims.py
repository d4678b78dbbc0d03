"""The claims of all papers in one table: published, ours, the verdict, and the command that tests each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analysis.catalogue import commands
from analysis.catalogue.chapters import CHAPTERS, Chapter
from analysis.claims import papers
from analysis.claims.table import MEANING, NUMBERS, SHOWN
from analysis.claims.verdicts import ABSENT, NOT_TESTED
from analysis.data.groups import Group, Setting, by_setting, setting_of
from analysis.render.output import Table

if TYPE_CHECKING:
    from analysis.claims.claim import Claim
    from analysis.data.loading import Journal
    from analysis.data.records import Record

ALBERT = "Lan et al. 2019 (ALBERT)"
OF_COMMANDS = "Commands make the runs; `python -m analysis` then judges them."
COLUMNS = ("paper", *SHOWN, *NUMBERS, "command")


@dataclass(frozen=True)
class Judged:
    """What the runs of one setting say of the claims of one paper."""

    chapter: Chapter
    setting: Setting
    table: Table
    runs: tuple[Record, ...] = ()

    @property
    def tested(self) -> bool:
        """Is there a verdict on any claim?"""
        return set(self.table.frame["verdict"]) != {NOT_TESTED}

    def judged_by(self, run_ids: str) -> list[Record]:
        """The runs of a row, by the ids that it lists."""
        wanted = set(run_ids.split())
        return [record for record in self.runs if record.run_id in wanted]


def judge(records: Sequence[Record], journal: Journal) -> list[Judged]:
    """Every paper's claims table of every setting that has runs for it."""
    judged = []
    for chapter in CHAPTERS:
        if chapter.paper:
            for setting, runs in chapter.settings(records).items():
                table = papers.judged(chapter.paper, chapter.groups(runs), journal, str(setting))
                judged.append(Judged(chapter, setting, table, tuple(runs)))
    return judged


def table_of_all(judged: Iterable[Judged], records: Sequence[Record], journal: Journal) -> Table | None:
    """A row a claim and setting with runs of it, one row for a claim without any; None where no claim has runs."""
    import pandas as pd

    judged = list(judged)
    usual = _usual_setting(records)
    rows = []
    for chapter in CHAPTERS:
        if chapter.paper:
            own = [one for one in judged if one.chapter is chapter]
            place = chapter.usual or usual
            rows += [row for claim in chapter.list_claims() for row in _rows(chapter, claim, own, place, records)]
    rows += _albert(records, journal)
    if {row["verdict"] for row in rows} == {NOT_TESTED}:
        return None
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    shown = frame.drop(columns=list(NUMBERS)).assign(
        verdict=frame["verdict"].map("**{}**".format), command=frame["command"].map(_as_code)
    )
    return Table(
        name="claims",
        title="What the papers claim and what the runs say",
        frame=frame,
        display=shown,
        caption=f"A row a claim and model with runs that test it. Criteria are ours. {MEANING} {OF_COMMANDS}",
        narrow=("paper", "claim", "setting", "verdict"),
        of_other_columns=(OF_COMMANDS,),
    )


def for_terminal(table: Table) -> tuple[Table | None, list[str]]:
    """A table as the terminal shows it: of claims only those that runs test (None: none is), and a line a paper on
    the others, which are in its files."""
    if not {"verdict", "claim"} <= set(table.frame.columns):
        return table, []
    tested = table.frame["verdict"] != NOT_TESTED
    lines = []
    if "paper" in table.frame.columns:
        for paper, number in table.frame.loc[~tested, "paper"].value_counts(sort=False).items():
            claims, them = ("claim", "it") if number == 1 else ("claims", "them")
            verb = "is" if number == 1 else "are"
            lines.append(
                f"{number} {claims} of {paper} {verb} not tested by these runs; "
                f"claims.md lists {them} with {'its command' if number == 1 else 'commands'}"
            )
    if not tested.any():
        return None, lines
    return replace(table, frame=table.frame[tested], display=table.display[tested]), lines


def _as_code(command: str) -> str:
    return f"`{command}`" if command else ""


def _rows(
    chapter: Chapter, claim: Claim, judged: Sequence[Judged], usual: Setting | None, records: Sequence[Record]
) -> list[dict[str, str]]:
    rows = []
    for one in judged:
        row = _row_of(one.table, claim)
        if row["verdict"] != NOT_TESTED:
            command = commands.of_claim(claim, one.setting, runs=one.runs, judged=one.judged_by(row["runs"]))
            rows.append({"paper": chapter.title, **row, "command": command})
    if rows:
        return rows
    scored = [one.setting for one in judged if one.setting.weights != "random"]
    made = [_command(claim, setting, records) for setting in (*scored, usual)]
    return [{"paper": chapter.title, **_known(claim), "command": next(filter(None, made), "")}]


def _command(claim: Claim, setting: Setting | None, records: Sequence[Record]) -> str:
    """What would make the runs of a claim in a setting that may have others."""
    every = setting is not None and not setting.task
    return commands.of_claim(
        claim, setting, runs=[record for record in records if setting_of(record, all_tasks=every) == setting]
    )


def _albert(records: Sequence[Record], journal: Journal) -> list[dict[str, str]]:
    """ALBERT's claims, which no setting can test alone: two models stand beside one another."""
    timings = [record for record in records if record.verb == "time_inference" and not record.model.shape_of]
    table = papers.judged("albert", {"time_inference": [Group(timings)]}, journal)
    return [
        {"paper": ALBERT, **_row_of(table, claim), "command": commands.of_claim(claim, None)}
        for claim in papers.read("albert").claims
    ]


def _row_of(table: Table, claim: Claim) -> dict[str, str]:
    """What a claims table says of a claim."""
    row = table.frame[table.frame["claim"] == claim.text].iloc[0]
    return {name: str(row[name]) for name in (*SHOWN, *NUMBERS)}


def _known(claim: Claim) -> dict[str, str]:
    """What is known of a claim without runs."""
    known = {"claim": claim.text, "where": claim.where, "published": claim.published, "verdict": NOT_TESTED,
             "criterion": claim.criterion, "setting": ABSENT, "unit": claim.unit}  # fmt: skip
    return dict.fromkeys((*SHOWN, *NUMBERS), "") | known


def _usual_setting(records: Sequence[Record]) -> Setting | None:
    """Where a claim without runs would be tested: the encoder with the most runs that have scores."""
    encoders = [record for record in records if not record.translation]
    runs_of = {s: len(runs) for s, runs in by_setting(encoders, all_tasks=True).items() if s.weights != "random"}
    return max(runs_of, key=lambda setting: runs_of[setting], default=None)
