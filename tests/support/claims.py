"""Claims as their files state them, for tests of the criteria."""

from __future__ import annotations

from functools import partial
from typing import Any

from analysis.claims import papers
from analysis.claims.claim import Outcome
from analysis.claims.registry import CRITERIA
from analysis.data.groups import Group
from analysis.data.loading import Journal


def outcomes(name: str, group: Group, paper: str = "", **given: Any) -> list[Outcome]:
    """What the criterion ``name`` (``michel.transfer``) says of ``group``, with the margins of a paper's file.

    Arguments:
        paper: whose file; the criterion's own if empty.
        given: what tells the claim from others with the same criterion.
    """
    for claim in papers.read(paper or name.partition(".")[0]).claims:
        test = claim.test
        assert isinstance(test, partial)
        if test.func is CRITERIA[name] and test.keywords.items() >= given.items():
            return claim.test(group, Journal())
    raise AssertionError(f"no claim is judged by {name} with {given}")
