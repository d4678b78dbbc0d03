"""The claims of a paper, read from ``PAPER.yaml`` beside this file and checked.

Of a paper: ``table`` is the name of its table's files, ``title`` the words above it ({setting} stands for the model),
``caption`` those below, ``over`` what an outcome is of (teachers, tasks or models), ``source`` the paper whose
published claims are looked up, if that is not the file's own name.

Of a claim:

- ``claim``, ``where``, ``published``, ``effect``: texts, in which ``{name}`` stands for a value of ``given`` or
  ``printed``, or for ``{margin}``, formatted as Python does;
- ``effect``: what is measured, ``margin``: where it must lie, in ``unit`` (two numbers to be within), ``side``: on
  which side, above, at least, below or within. The claim holds if the whole 95 % interval of the effect lies there,
  does not hold if all of it lies beyond, and is undecided otherwise;
- ``resample``: what another repetition of the experiment would draw anew, which the interval is over: teachers, seeds
  (of training), draws (of examples that a method calibrates on, without training), sessions (of timing: a run each),
  repeats (of a timing of one model), or nothing (a count). Scores are resampled over their evaluation rows as well.
  One teacher, seed, draw or session decides nothing;
- ``printed``: published values by name: a row of ``published/PAPER_claims.csv``; ``percent_of`` such a row, a share;
  or ``computed``, a function of :mod:`analysis.claims.published`, with its arguments;
- ``evidence``: the runs, a function of :mod:`analysis.claims.evidence`; ``judge``: a function of
  :mod:`analysis.claims.criteria`; ``given``: what these two ask for, each by its name: sparsity, protocol;
- ``unit``, ``digits`` of our number; ``timed``, ``stages``, ``once`` as in :class:`~analysis.claims.claim.Claim`.
  Several tasks are judged at once, with ``once`` also the budgets among which the best is enough: intervals are then
  corrected for their number (:mod:`analysis.claims.verdicts`);
- ``command``: what makes the runs, ``VERB OVERRIDES``, without model and scale; ``{task}`` stands for the task.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from analysis.claims import criteria, evidence, published
from analysis.claims.claim import RESAMPLED, SIDES, WITHIN, Claim, Margin
from analysis.claims.registry import CRITERIA, EVIDENCE, PUBLISHED, Runs
from analysis.claims.table import claims_table
from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.data.published import claim as published_claim
from analysis.render.output import Table
from prunekit.support.errors import UserError

__all__ = ["FOLDER", "PaperClaims", "criteria", "evidence", "judged", "published", "read"]

FOLDER = Path(__file__).parent
OF_PAPER = ("table", "title", "caption", "over", "claims")
OF_CLAIM = (
    "claim", "where", "published", "evidence", "judge", "effect", "margin", "side", "resample", "unit", "digits",
    "command",
)  # fmt: skip
OPTIONAL = ("printed", "given", "timed", "stages", "scored", "once")
OVER = ("teachers", "tasks", "models")


@dataclass(frozen=True)
class PaperClaims:
    """A file of claims."""

    table: str
    title: str
    caption: str
    claims: tuple[Claim, ...]


def judged(paper: str, runs: Runs, journal: Journal, setting: str = "") -> Table:
    """The claims table of one setting.

    Arguments:
        runs: the groups of each verb; figures of all tasks have one group with the runs of all of them.
    """
    given = read(paper)
    return claims_table(given.table, given.title.format(setting=setting), given.claims, runs, journal, given.caption)


@cache
def read(paper: str) -> PaperClaims:
    """The claims of ``paper``, in the order of its file.

    Raises:
        UserError: an unknown or missing key, a function that is not there, or one that lacks an argument.
    """
    import yaml

    return parse(yaml.safe_load((FOLDER / f"{paper}.yaml").read_text(encoding="utf-8")), paper)


def parse(content: Mapping[str, Any], paper: str) -> PaperClaims:
    """See :func:`read`."""
    _check_keys(content, OF_PAPER, ("source",), f"{paper}.yaml")
    over = _one_of(content["over"], OVER, f"{paper}.yaml: over")
    claims = [
        _claim(item, over, content.get("source", paper), f"{paper}.yaml, claim {number}")
        for number, item in enumerate(content["claims"], 1)
    ]
    return PaperClaims(content["table"], content["title"], content["caption"], tuple(claims))


def _claim(item: Mapping[str, Any], over: str, source: str, place: str) -> Claim:
    _check_keys(item, OF_CLAIM, OPTIONAL, place)
    given = item.get("given", {})
    find = EVIDENCE[_one_of(item["evidence"], EVIDENCE, f"{place}: evidence")]
    judge = CRITERIA[_one_of(item["judge"], CRITERIA, f"{place}: judge")]
    own, theirs = _arguments(judge, given, place), _arguments(find, given, place)
    _check_names(given, sorted({*own, *theirs}), (), f"{place}: given")
    margin = _margin(item["margin"], item["side"], f"{place}: margin")
    values = {name: _printed(value, source, place) for name, value in item.get("printed", {}).items()} | given
    values["margin"] = margin

    def text(key: str) -> str:
        try:
            return str(item[key]).format(**values)
        except (LookupError, ValueError, AttributeError) as error:
            raise UserError(f"{place}: {key}: {item[key]!r} cannot be filled in ({error!r})") from None

    return Claim(
        text=text("claim"), where=item["where"], published=text("published"), evidence=item["evidence"],
        find=partial(_joined, find, theirs), test=partial(judge, **own), unit=item["unit"], digits=item["digits"],
        effect=text("effect"), margin=margin, side=_one_of(item["side"], SIDES, f"{place}: side"),
        resample=_one_of(item["resample"], RESAMPLED, f"{place}: resample"), command=item["command"],
        timed=item.get("timed", False), over=over,
        stages=tuple(item.get("stages", ())), scored=item.get("scored", False), once=item.get("once", False),
    )  # fmt: skip


def _margin(value: Any, side: str, place: str) -> Margin:
    """A number, two rising ones to be within."""
    pair = isinstance(value, list)
    numbers = value if pair else [value]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise UserError(f"{place}: {value!r} is no number")
    if pair != (side == WITHIN) or (pair and not (len(value) == 2 and value[0] < value[1])):
        raise UserError(f"{place}: {value!r}; it is one number, for side: {WITHIN} two that rise")
    return (float(value[0]), float(value[1])) if pair else value


def _joined(find: Callable[..., list[Group]], arguments: Mapping[str, Any], runs: Runs) -> Group | None:
    """All runs of the groups that ``find`` gives, as one; None where there are none."""
    records = [record for group in find(runs, **arguments) for record in group.records]
    return Group(records) if records else None


def _printed(value: str | Mapping[str, Any], source: str, place: str) -> Any:
    """A published value: text as printed, a share in per cent, or what a function computes."""
    if isinstance(value, str):
        return _row(source, value, place)
    if "percent_of" in value:
        _check_keys(value, ("percent_of",), (), f"{place}: printed")
        return 100 * float(_row(source, value["percent_of"], place))
    _check_keys(value, ("computed",), tuple(value), f"{place}: printed")
    function = PUBLISHED[_one_of(value["computed"], PUBLISHED, f"{place}: computed")]
    arguments = {name: argument for name, argument in value.items() if name != "computed"}
    _check_names(arguments, _arguments(function, arguments, place), (), f"{place}: printed")
    return function(**arguments)


def _row(source: str, text: str, place: str) -> str:
    try:
        return published_claim(source, text)
    except KeyError:
        raise UserError(f"{place}: printed: {source}_claims.csv has no claim {text!r}") from None


def _arguments(function: Callable[..., Any], given: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What ``function`` takes of ``given``: its keyword-only parameters, none of which may be missing."""
    wanted = [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    missing = [name for name in wanted if name not in given]
    if missing:
        raise UserError(f"{place}: {function.__name__} asks for {', '.join(missing)}, which is not given")
    return {name: given[name] for name in wanted}


def _check_keys(mapping: Mapping[str, Any], needed: tuple[str, ...], optional: tuple[str, ...], place: str) -> None:
    _check_names(mapping, needed, optional, place)
    missing = [key for key in needed if key not in mapping]
    if missing:
        raise UserError(f"{place}: {', '.join(missing)} is missing")


def _check_names(names: Iterable[str], needed: Iterable[str], optional: Iterable[str], place: str) -> None:
    known = [*needed, *optional]
    for name in names:
        if name not in known:
            raise UserError(f"{place}: unknown key {name}; there are {', '.join(known) or 'none'}")


def _one_of(name: str, known: Iterable[str], place: str) -> str:
    if name not in known:
        raise UserError(f"{place}: {name} is none of {', '.join(known)}")
    return name
