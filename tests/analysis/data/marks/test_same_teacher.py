"""Which runs are of one fine-tuned model, whether records say its weights or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.compare.runs import comparisons
from analysis.data.loading import Journal, load
from analysis.data.marks.same_teacher import known_teacher, started_from
from analysis.data.records import Record, read_record
from tests.support.records import kwon, michel
from tests.support.records.frame import DEMO


def record(root: Path, name: str, weights: str = "", **known: Any) -> Record:
    """A run of 2,000 evaluation rows. ``known``: ``run``, ``path``, ``score``, ``baseline``, ``rows``."""
    folder = michel.pruning(root / name, DEMO, "random")
    path = folder / "result.json"
    result = json.loads(path.read_text()) | {"run_id": name}
    result["teacher"] = {"run_id": known.get("run", "t0"), "value": known.get("score", 0.7), "seed": 0}
    result["teacher"] |= {"run_id": None, "path": known["path"]} if "path" in known else {}
    result["model"]["fingerprint"] = weights
    result["metrics"]["baseline"] = known.get("baseline", 0.7)
    for item in result["data"]:
        item["fingerprint"] = known.get("rows", "ab")
    path.write_text(json.dumps(result))
    read = read_record(folder)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"weights": "a"}, {"weights": "a", "run": "t1", "score": 0.1, "baseline": 0.1}, True),
        ({"weights": "a"}, {"weights": "b"}, False),
        ({"weights": "a"}, {}, True),
        ({"weights": "a"}, {"run": "t1"}, False),
        ({"weights": "a"}, {"score": 0.7001}, False),
        ({"weights": "a"}, {"baseline": 0.701}, True),  # two rows, answered differently elsewhere
        ({"weights": "a"}, {"baseline": 0.7015}, False),
        ({"weights": "a"}, {"baseline": 0.9, "rows": "cd"}, True),  # of other rows nothing follows
        ({}, {}, True),
        ({}, {"run": "t1"}, False),
        ({}, {"score": 0.7001}, False),
        ({}, {"baseline": 0.7015}, False),
        ({"path": "mine"}, {"path": "mine", "score": 0.1}, False),
        ({"path": "mine"}, {"path": "mine", "baseline": 0.7015}, False),
        ({"path": "mine"}, {"path": "mine", "baseline": 0.701}, True),
        ({"path": "mine", "weights": "a"}, {"path": "mine"}, True),
    ],
)
def test_two_runs_are_of_one_model_if_nothing_that_is_known_of_both_differs(
    one: dict[str, Any], other: dict[str, Any], same: bool, tmp_path: Path
) -> None:
    both = [record(tmp_path, "one", **one), record(tmp_path, "other", **other)]
    first, second = map(known_teacher, both)
    assert first.agrees(second) == second.agrees(first) == same
    models = started_from(both)
    assert (models["one"] == models["other"]) == same


def test_of_several_weights_none_is_meant(tmp_path: Path) -> None:
    """By whoever does not say; those that do not say are of one model then."""
    runs = [record(tmp_path, "a", weights="a"), record(tmp_path, "b", weights="b")]
    unsaid = [record(tmp_path, "one"), record(tmp_path, "same"), record(tmp_path, "other", baseline=0.8)]
    models = started_from([*unsaid, *runs])
    assert models["one"] == models["same"] and len(set(models.values())) == 4
    assert started_from([*unsaid, runs[0]])["one"] == models["a"]
    assert started_from([record(tmp_path, "none", run=None)]) == {}


def test_the_same_notion_leaves_out_and_compares(tmp_path: Path) -> None:
    """Of runs that name one teacher and its score without weights, and measured it differently."""
    def measured(folder: Path, value: float, day: int, data: Any = None) -> Any:
        result = json.loads((folder / "result.json").read_text())
        result["metrics"]["baseline"] = value
        result |= {"finished": f"2026-03-0{day}"} | ({"data": data} if data else {})
        (folder / "result.json").write_text(json.dumps(result))
        return result["data"]

    for name, value in (("same", 0.7), ("other", 0.6)):
        data = measured(michel.pruning(tmp_path / name, DEMO, "importance"), 0.7, 1)
        measured(michel.pruning(tmp_path / name, DEMO, "importance", seed=1), value, 2)
        measured(kwon.pruning(tmp_path / name, DEMO, "mnli"), value, 3, data)
    journal = Journal()
    kept = {name: load([tmp_path / name], journal) for name in ("same", "other")}
    assert [len(kept[name]) for name in ("same", "other")] == [3, 2]
    assert "whose teacher had another content than in newer runs" in journal.warnings[-1]
    [runs] = comparisons(kept["same"])
    assert len(runs.records) == 3
    assert comparisons(load([tmp_path / "other" / "prune_fisher"], journal) + kept["same"][:1]) == []
