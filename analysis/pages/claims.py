"""Claims tables as the pages have them: what all rows share stands above, criteria stand below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.catalogue.all_claims import NOT_TESTED, Judged
from prunekit.support.errors import UserError

COLUMNS = ("claim", "where", "published", "ours", "verdict")
_SINGLE = re.compile(r"\b1 (run|pair)\b")


@dataclass(frozen=True)
class TestedClaim:
    """A claim that runs of one setting test."""

    paper: str
    """As in commands: ``michel``."""
    title: str
    """``Michel et al. 2019``."""
    cells: dict[str, str]
    criterion: str
    setting: tuple[str, ...]
    """Model, data, teachers, machine."""


def rows(judged: Sequence[Judged]) -> list[TestedClaim]:
    """Every claim of every paper on every model with weights that have a score, untested ones left out."""
    tested = []
    for one in judged:
        if not one.tested or one.setting.weights == "random":
            continue
        criterion = next(column for column in map(str, one.table.frame.columns) if column.startswith("criterion"))
        for _, row in one.table.frame.iterrows():
            if row["verdict"] != NOT_TESTED:
                cells = {name: str(row[name]) for name in COLUMNS}
                words = tuple(str(row["setting"]).split("; "))
                tested.append(TestedClaim(one.chapter.paper, one.chapter.title, cells, str(row[criterion]), words))
    return tested


def paper_table(rows: Sequence[TestedClaim], paper: str) -> str:
    """The claims of a paper.

    Raises:
        UserError: no claim of this paper is tested.
    """
    own = [row for row in rows if row.paper == paper]
    if not own:
        raise UserError(f"claims({paper!r}): no run tests a claim of it; papers with runs are {_papers(rows)}")
    shared = _shared(own)
    lines = [f"Setting: {'; '.join(shared)}.", ""] if shared else []
    lines += _heading(COLUMNS)
    for number, row in enumerate(own, 1):
        verdict = f"**{row.cells['verdict']}** <sup>{number}</sup>"
        lines.append(_line([*(row.cells[name] for name in COLUMNS[:-1]), verdict]))
    lines += ["", "Criteria, and what the setting above does not say:", ""]
    for number, row in enumerate(own, 1):
        rest = [word for word in row.setting if word not in shared]
        lines.append(f"{number}. {row.criterion}" + (f" ({'; '.join(rest)})" if rest else ""))
    return "\n".join(lines)


def headline(rows: Sequence[TestedClaim], chosen: Sequence[Sequence[str]]) -> str:
    """A few claims of all papers.

    Arguments:
        chosen: paper, the first words of the claim, and what the verdict does not say, if anything.

    Raises:
        UserError: words that begin no tested claim of the paper, or several.
    """
    lines = _heading(("claim", "paper", "published", "ours", "verdict"))
    for paper, words, *remark in chosen:
        matches = [row for row in rows if row.paper == paper and row.cells["claim"].startswith(words)]
        if len(matches) != 1:
            raise UserError(f"headline: {len(matches)} tested claims of {paper} begin with {words!r}, one should")
        cells = matches[0].cells
        verdict = f"**{cells['verdict']}**"
        if cells["verdict"] == "holds" and _SINGLE.search(cells["ours"]):
            verdict = "met once"  # a single training decides nothing
        verdict += f" ({remark[0]})" if remark else ""
        lines.append(_line([cells["claim"], matches[0].title, cells["published"], cells["ours"], verdict]))
    return "\n".join(lines)


def _shared(rows: Sequence[TestedClaim]) -> list[str]:
    """What all rows say of their setting. Data only where they are all that most claims are judged on: of claims on
    several tasks, the one that they have in common would mislead."""
    shared = [word for word in rows[0].setting if all(word in row.setting for row in rows)]
    data = [word for word in shared if word.endswith(" rows")]
    most = sum(set(data) == {word for word in row.setting if word.endswith(" rows")} for row in rows)
    return shared if 2 * most >= len(rows) else [word for word in shared if word not in data]


def _papers(rows: Sequence[TestedClaim]) -> str:
    return ", ".join(dict.fromkeys(row.paper for row in rows)) or "none"


def _heading(columns: Sequence[str]) -> list[str]:
    return [_line(columns), _line(["---"] * len(columns))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
