"""Claims tables as the pages have them: what all rows share stands above, criteria stand below."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.catalogue import commands
from analysis.catalogue.all_claims import Judged
from analysis.claims.claim import ABOVE, AT_LEAST, WITHIN
from analysis.claims.table import OURS, fixed
from analysis.claims.verdicts import ABSENT, FAILS, NOT_TESTED
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from analysis.claims.claim import Claim

MANY = 3
"""Tasks that fit into a row."""
COLUMNS = ("claim", "where", "published", OURS, "n", "verdict")


@dataclass(frozen=True)
class ClaimRow:
    """A claim, and what the runs of one setting say of it."""

    paper: str
    """As in commands: ``michel``."""
    title: str
    """``Michel et al. 2019``."""
    model: str
    cells: dict[str, str]
    brief: dict[str, str]
    """The same for who is in a hurry."""
    criterion: str
    setting: tuple[str, ...]
    """Model, data, teachers, machine."""
    command: str
    """What makes its runs."""

    @property
    def tested(self) -> bool:
        return self.cells["verdict"] != NOT_TESTED


def rows(judged: Sequence[Judged]) -> list[ClaimRow]:
    """Every claim of every paper on every model with weights that runs have; the largest model first."""
    found = []
    for one in sorted(judged, key=lambda one: -max((record.model.parameters for record in one.runs), default=0)):
        if one.setting.weights == "random":
            continue
        for claim, (_, row) in zip(one.chapter.list_claims(), one.table.frame.iterrows(), strict=True):
            cells = {name: str(row[name]) for name in COLUMNS}
            words = tuple(str(row["setting"]).split("; "))
            command = commands.of_claim(claim, one.setting, runs=one.runs, judged=one.judged_by(str(row["runs"])))
            brief = in_brief(cells, row.to_dict(), claim)
            own = (cells, brief, str(row["criterion"]), words, command)
            found.append(ClaimRow(one.chapter.paper, one.chapter.title, one.setting.model, *own))
    return found


def in_brief(cells: Mapping[str, str], row: Mapping[Any, Any], claim: Claim) -> dict[str, str]:
    """The same cells; of many tasks only that which decides: the best where one is enough, else the worst; and what
    they have in common. All of them where each has a margin of its own.

    Arguments:
        row: of the CSV.
    """
    estimates, lows, highs = (_by_subject(str(row[name])) for name in ("estimate", "low", "high"))
    margins = {part.rpartition(": ")[2] for part in str(row.get("margin", "")).split("; ")}
    unbounded = any(map(math.isinf, (*lows.values(), *highs.values())))
    if len(estimates) <= MANY or claim.side == WITHIN or len(margins) > 1 or unbounded:
        return dict(cells)
    runs = {part.rpartition(": ")[2].partition(", ")[0] for part in cells["n"].split("; ")}
    upwards = claim.side in (ABOVE, AT_LEAST)
    fails = cells["verdict"].startswith(FAILS)
    decides = lows if upwards != fails else highs  # the end of the interval that a verdict goes by
    chosen = (max if upwards == claim.once else min)(estimates, key=lambda subject: decides[subject])
    value, low, high = (fixed(ends[chosen], claim.digits) for ends in (estimates, lows, highs))
    which = f"{'best' if claim.once else 'worst'} of {len(estimates)} {claim.over}"
    own = f"{chosen}: {value} ({low} to {high}) {claim.unit} ({which})"
    return {**cells, OURS: own, "n": f"{runs.pop()} a task" if len(runs) == 1 else f"{len(estimates)} {claim.over}"}


def _by_subject(text: str) -> dict[str, float]:
    """
    >>> _by_subject("a: 1.5; b: inf"), _by_subject("2")
    ({'a': 1.5, 'b': inf}, {'': 2.0})
    """
    parts = [part.rpartition(": ") for part in text.split("; ") if part]
    return {subject: float(number) for subject, _, number in parts}


def paper_table(rows: Sequence[ClaimRow], paper: str) -> str:
    """The claims of a paper, a table a model, and which of them no run tests.

    Raises:
        UserError: no claim of this paper is tested.
    """
    own = [row for row in rows if row.paper == paper and row.tested]
    if not own:
        raise UserError(f"claims({paper!r}): no run tests a claim of it; papers with runs are {_papers(rows)}")
    models = dict.fromkeys(row.model for row in own)
    tables = {model: _model_table([row for row in own if row.model == model]) for model in models}
    parts = [f"**On {model}**\n\n{text}" if len(tables) > 1 else text for model, text in tables.items()]
    return "\n\n".join([*parts, *_not_tested([row for row in rows if row.paper == paper])])


def _not_tested(own: Sequence[ClaimRow]) -> list[str]:
    """A paragraph on the claims that are tested on no model, and why."""
    tested = {row.cells["claim"] for row in own if row.tested}
    reasons: dict[str, str] = {}
    for row in own:
        claim, reason = row.cells["claim"], "; ".join(row.setting)
        if claim not in tested and reasons.get(claim, ABSENT) == ABSENT:
            reasons[claim] = reason
    words = [f"*{claim}* ({reason})" for claim, reason in reasons.items()]
    return [f"Not tested: {'; '.join(words)}."] if words else []


def _model_table(own: Sequence[ClaimRow]) -> str:
    shared = _shared(own)
    lines = [f"Setting: {'; '.join(shared)}.", ""] if shared else []
    lines += _heading(COLUMNS)
    for number, row in enumerate(own, 1):
        verdict = f"{_bold(row.cells['verdict'])} <sup>{number}</sup>"
        lines.append(_line([*(row.cells[name] for name in COLUMNS[:-1]), verdict]))
    lines += ["", "Criteria, what the setting above does not say, and the command that makes the runs:", ""]
    for number, row in enumerate(own, 1):
        rest = [word for word in row.setting if word not in shared]
        rest += [f"`{row.command}`"] if row.command else []
        lines.append(f"{number}. {row.criterion}" + (f" ({'; '.join(rest)})" if rest else ""))
    return "\n".join(lines)


def headline(rows: Sequence[ClaimRow], chosen: Sequence[Sequence[str]]) -> str:
    """A few claims of all papers, each on the largest model that it is tested on, named where there are others.

    Arguments:
        chosen: paper, the first words of the claim, and what the verdict does not say, if anything.

    Raises:
        UserError: words that begin no tested claim of the paper, or several.
    """
    lines = _heading(("claim", "published", OURS, "n", "verdict"))
    for paper, words, *remark in chosen:
        own = [row for row in rows if row.paper == paper and row.tested]
        matches = [row for row in own if row.cells["claim"].startswith(words)]
        if len({row.cells["claim"] for row in matches}) != 1:
            raise UserError(f"headline: {len(matches)} tested claims of {paper} begin with {words!r}, one should")
        cells = matches[0].brief
        verdict = _bold(cells["verdict"]) + (f" ({remark[0]})" if remark else "")
        title = matches[0].title.replace(" et al.", "").replace(" (", ", ").removesuffix(")")
        claim = f"{cells['claim']} ({title}{f'; {matches[0].model}' if len(matches) > 1 else ''})"
        lines.append(_line([claim, cells["published"], cells[OURS], cells["n"], verdict]))
    return "\n".join(lines)


def _bold(verdict: str) -> str:
    """The verdict stands out from its reason.

    >>> _bold("undecided: only 1 seed"), _bold("holds (one teacher)")
    ('**undecided**: only 1 seed', '**holds** (one teacher)')
    """
    return re.sub(r"^[^:(]*[^:( ]", r"**\g<0>**", verdict)


def _shared(rows: Sequence[ClaimRow]) -> list[str]:
    """What all rows say of their setting. Data only where they are all that most claims are judged on: of claims on
    several tasks, the one that they have in common would mislead."""
    shared = [word for word in rows[0].setting if all(word in row.setting for row in rows)]
    data = [word for word in shared if word.endswith(" rows")]
    most = sum(set(data) == {word for word in row.setting if word.endswith(" rows")} for row in rows)
    return shared if 2 * most >= len(rows) else [word for word in shared if word not in data]


def _papers(rows: Sequence[ClaimRow]) -> str:
    return ", ".join(dict.fromkeys(row.paper for row in rows if row.tested)) or "none"


def _heading(columns: Sequence[str]) -> list[str]:
    return [_line(columns), _line(["---"] * len(columns))]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
