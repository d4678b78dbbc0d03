"""What a paper claims, with what it is judged by, and what the records say of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.data.groups import Group
from analysis.data.loading import Journal
from analysis.intervals.estimates import TEACHERS

if TYPE_CHECKING:
    from analysis.intervals.estimates import Effect

ABOVE, AT_LEAST, BELOW, WITHIN = "above", "at least", "below", "within"
SIDES = (ABOVE, AT_LEAST, BELOW, WITHIN)
SEEDS, DRAWS, SESSIONS, REPEATS, NOTHING = "seeds", "draws", "sessions", "repeats", "nothing"
RESAMPLED = (TEACHERS, SEEDS, DRAWS, SESSIONS, REPEATS, NOTHING)
Margin = float | tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """The effect in the unit that the table prints, of all teachers, of one task, or of two models."""

    effect: Effect
    note: str = ""
    subject: str = ""
    """The task, where there may be several."""
    members: tuple[str, ...] = ()
    """The teachers that it is of."""
    margin: float | None = None
    """Where it is not the claim's."""
    cells: int = 1
    """How many it was chosen from: budgets of a task, if the best is enough."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The least and the most that the effect can be: a score cannot rise beyond the end of its metric."""


def task_of(subject: str) -> str:
    """The task of an outcome, without the condition that tells two of it apart.

    >>> task_of("sst2 (scale small)"), task_of("sst2")
    ('sst2', 'sst2')
    """
    return subject.partition(" (")[0]


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper that can be checked."""

    text: str
    where: str
    published: str
    evidence: str
    """The name of the runs it is judged by."""
    find: Callable[[Mapping[str, list[Group]]], Group | None]
    """Those of a setting's runs by verb, if there are any."""
    test: Callable[[Group, Journal], list[Outcome]]
    """One outcome, or one a task; an empty list when the records cannot tell."""
    effect: str
    """What is measured, in words."""
    margin: Margin
    """In ``unit``; two numbers to be within."""
    side: str
    """Of :data:`SIDES`: where the whole interval must lie for the claim to hold."""
    resample: str
    """Of :data:`RESAMPLED`: what another repetition of the experiment would draw anew, beside the evaluation rows."""
    unit: str
    digits: int
    command: str
    """What makes the runs, ``VERB OVERRIDES``, without model and scale."""
    timed: bool = False
    """The number depends on hardware, which the setting then names, and on a quiet machine: disturbed runs are left
    out, and runs that do not say are shown but decide nothing."""
    stages: tuple[str, ...] = ()
    """Of a timed one: the stages whose seconds it is about; latencies if there are none."""
    scored: bool = False
    """Of a timed one: its number is a score, at a speed that is measured. Of what was timed all runs are scored."""
    over: str = "teachers"
    """What an outcome is of: all ``teachers``, one of several ``tasks``, or ``models``, two beside one another."""
    once: bool = False
    """One outcome that holds is enough (a claim of the form "up to"); else all of them must."""

    @property
    def criterion(self) -> str:
        """When it holds, in words."""
        margin = " to ".join(f"{end:g}" for end in (self.margin if isinstance(self.margin, tuple) else [self.margin]))
        tasks = {True: ", for one task or more", False: ", for every task"}[self.once] if self.over == "tasks" else ""
        return f"{self.effect}: {self.side} {margin}{tasks}"
