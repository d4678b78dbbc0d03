"""Claims as their files state them, for tests of the criteria."""

from __future__ import annotations

from functools import partial
from typing import Any

from analysis.claims import papers
from analysis.claims.claim import Claim, Outcome
from analysis.claims.registry import CRITERIA
from analysis.claims.verdicts import Ruling, rule
from analysis.data.groups import Group
from analysis.data.loading import Journal


def claim_of(name: str, paper: str = "", **given: Any) -> Claim:
    """The claim that a criterion (``michel.transfer``) judges.

    Arguments:
        paper: whose file; the criterion's own if empty.
        given: what tells the claim from others with the same criterion.
    """
    for claim in papers.read(paper or name.partition(".")[0]).claims:
        test = claim.test
        assert isinstance(test, partial)
        if test.func is CRITERIA[name] and test.keywords.items() >= given.items():
            return claim
    raise AssertionError(f"no claim is judged by {name} with {given}")


def outcomes(name: str, group: Group, paper: str = "", **given: Any) -> list[Outcome]:
    """What a criterion says of ``group``, with what a paper's file gives it."""
    return claim_of(name, paper, **given).test(group, Journal())


def rulings(name: str, group: Group, paper: str = "", **given: Any) -> list[Ruling]:
    """The same beside the margin of the file."""
    return rule(claim_of(name, paper, **given), outcomes(name, group, paper, **given))
