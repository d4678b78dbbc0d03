"""Functions that the files of claims name: criteria, the runs a claim is judged by, and published numbers.

A criterion is named with its module (``michel.transfer``), the others by their name alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from analysis.claims.claim import Outcome
from analysis.data.groups import Group

Criterion = TypeVar("Criterion", bound=Callable[..., list[Outcome]])
Evidence = TypeVar("Evidence", bound=Callable[..., list[Group]])
Published = TypeVar("Published", bound=Callable[..., Any])

CRITERIA: dict[str, Callable[..., list[Outcome]]] = {}
EVIDENCE: dict[str, Callable[..., list[Group]]] = {}
PUBLISHED: dict[str, Callable[..., Any]] = {}
Runs = Mapping[str, list[Group]]
"""The runs of one setting by verb."""


def criterion(function: Criterion) -> Criterion:
    """``(group, journal, *, ...)`` to one outcome, or one a task; none where the records cannot tell."""
    CRITERIA[f"{function.__module__.rpartition('.')[2]}.{function.__name__}"] = function
    return function


def evidence(function: Evidence) -> Evidence:
    """``(runs, *, ...)``, where ``runs`` are :data:`Runs`, to the groups that a claim is judged by."""
    EVIDENCE[function.__name__] = function
    return function


def published(function: Published) -> Published:
    """A number, or an object with several, that is computed from what a paper prints."""
    PUBLISHED[function.__name__] = function
    return function
