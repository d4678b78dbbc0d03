"""Files of claims: what they say is checked when they are read, and every criterion has a claim."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from analysis.claims import papers
from analysis.claims.claim import Outcome
from analysis.claims.registry import CRITERIA, EVIDENCE, PUBLISHED
from analysis.claims.table import claims_table
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.intervals.estimates import fixed
from prunekit.support.errors import UserError
from tests.support.records import michel
from tests.support.records.frame import DEMO

FILES = sorted(path.stem for path in papers.FOLDER.glob("*.yaml"))


def content(paper: str = "michel") -> dict[str, Any]:
    read = yaml.safe_load((papers.FOLDER / f"{paper}.yaml").read_text(encoding="utf-8"))
    assert isinstance(read, dict)
    return read


def test_every_function_is_named_by_a_claim() -> None:
    claims = [claim for name in FILES for claim in content(name)["claims"]]
    assert (len(FILES), len(claims)) == (8, 64)
    assert {claim["judge"] for claim in claims} == set(CRITERIA)
    assert {claim["evidence"] for claim in claims} == set(EVIDENCE)
    printed = [value for claim in claims for value in claim.get("printed", {}).values() if isinstance(value, dict)]
    assert {value["computed"] for value in printed if "computed" in value} == set(PUBLISHED)


def test_a_claim_is_filled_in_and_its_margins_reach_the_criterion() -> None:
    claim = papers.read("translation").claims[7]
    assert claim.text.startswith("Heads of translation can be pruned by importance up to a share of 20 % without")
    assert (claim.published, claim.over, claim.timed, claim.once) == ("20 % of heads", "teachers", False, False)
    assert isinstance(claim.test, partial) and claim.test.keywords == {"percent": 20}
    first, second = Group([], "first"), Group([], "second")
    assert claim.find({"prune_heads": [first, second]}) is None, "no runs, no verdict"


def test_margins_in_words_are_those_that_judge() -> None:
    changed = content("kwon")
    changed["claims"][2] |= {"margin": 60}
    claim = papers.parse(changed, "kwon").claims[2]
    assert (claim.margin, claim.side, claim.resample) == (60, "below", "draws")
    assert claim.criterion.endswith("geometric mean over draws: below 60, for every task")
    assert papers.read("kwon").claims[0].criterion.endswith("whichever it is: above -1, for one task or more")
    claim = papers.read("michel").claims[-1]
    assert claim.margin == (28.3, 38.3) and claim.criterion.endswith(": within 28.3 to 38.3")
    assert papers.read("cofi").claims[0].text == "At 95 % sparsity the model is more than 10 x faster"


def test_no_claim_on_training_is_over_anything_but_trainings() -> None:
    """What is resampled: teachers, where each is another training; seeds, where each student is; draws never train."""
    resampled = {name: [claim["resample"] for claim in content(name)["claims"]] for name in FILES}
    assert set(resampled["cofi"]) == {"seeds"} and set(resampled["kwon"]) == {"draws"}
    assert set(resampled["translation"]) == {"teachers"}
    assert resampled["michel"] == ["teachers"] * 6 + ["repeats"] * 2 + ["nothing"]
    assert set(resampled["speed"]) == {"sessions"}
    assert resampled["albert"] == ["nothing", "nothing", "repeats"]


def test_claims_on_latency_say_in_which_runtime() -> None:
    """Those on the seconds of pruning are of no runtime."""
    timed = [claim for name in FILES for claim in papers.read(name).claims if claim.timed and not claim.stages]
    assert len(timed) == 10
    unsaid = [claim.text for claim in timed if not re.search("PyTorch|ONNX Runtime", f"{claim.text} {claim.effect}")]
    assert unsaid == []


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["claims"][0].update(digit=1), r"michel.yaml, claim 1: unknown key digit; there are claim, where"),
        (lambda c: c["claims"][1].pop("unit"), r"michel.yaml, claim 2: unit is missing"),
        (lambda c: c.update(titel="x"), r"michel.yaml: unknown key titel"),
        (lambda c: c.update(over="runs"), r"michel.yaml: over: runs is none of teachers, tasks, models"),
        (lambda c: c["claims"][0].update(judge="michel.none"), r"claim 1: judge: michel.none is none of "),
        (lambda c: c["claims"][0].update(evidence="all"), r"claim 1: evidence: all is none of "),
        (lambda c: c["claims"][0].update(given={}), r"claim 1: single_heads asks for loss, kind, which is not given"),
        (lambda c: c["claims"][0]["given"].update(below=3), r"claim 1: given: unknown key below; there are kind, loss"),
        (lambda c: c["claims"][0].update(margin="half"), r"claim 1: margin: 'half' is no number"),
        (lambda c: c["claims"][0].update(margin=[1, 2]), r"claim 1: margin: \[1, 2\]; it is one number, for "),
        (lambda c: c["claims"][8].update(margin=[3, 2]), r"claim 9: margin: \[3, 2\]; .* two that rise"),
        (lambda c: c["claims"][0].update(side="over"), r"claim 1: side: over is none of above, at least, "),
        (lambda c: c["claims"][0].update(resample="tasks"), r"claim 1: resample: tasks is none of teachers, seeds, "),
        (lambda c: c["claims"][3].update(published="r = {s}"), r"claim 4: published: 'r = {s}' cannot be filled in"),
        (lambda c: c["claims"][3].update(printed={"r": "no such"}), r"michel_claims.csv has no claim 'no such'"),
        (lambda c: c["claims"][5]["printed"].update(rerun={"computed": "x"}), r"claim 6: computed: x is none of "),
        (lambda c: c["claims"][7]["printed"]["gain"].update(length=1), r"claim 8: printed: unknown key length"),
    ],
)
def test_mistakes_in_a_file_are_named(change: Change, message: str) -> None:
    changed = content()
    change(changed)
    with pytest.raises(UserError, match=message):
        papers.parse(changed, "michel")


def test_one_claim_that_breaks_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    michel.pruning(tmp_path, DEMO, "importance")
    group, journal = Group(load([tmp_path], Journal())), Journal()
    first, second = papers.read("michel").claims[:2]

    def breaks(group: Group, journal: Journal) -> list[Outcome]:
        raise ZeroDivisionError("division by zero")

    broken = replace(first, find=lambda runs: group, test=breaks)
    sound = replace(second, find=lambda runs: group, test=lambda *_: [Outcome(fixed(60.0))])
    table = claims_table("claims", "Claims", [broken, sound], {}, journal, "")
    assert list(table.frame["verdict"]) == ["not tested", "holds"]
    assert journal.failed == [f"could not be drawn: Claims: {first.text}: ZeroDivisionError: division by zero"]
