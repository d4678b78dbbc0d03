"""The claims of Kwon et al. 2022 are judged by the stated criteria, from records alone."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.claims import papers
from analysis.data import published
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from tests.support.records import kwon
from tests.support.records.frame import MINILM, mark_quiet, timed_again

CLAIMS = ("macs", "latency", "seconds", "labels")


def judged(root: Path) -> pd.DataFrame:
    """The claims table of the records below ``root``, by the evidence it was judged by."""
    pruned = [record for record in load([root], Journal()) if record.verb == "prune_fisher"]
    runs = {"prune_fisher": [Group(pruned)]}
    frame = papers.judged("kwon", runs, Journal(), "a setting").frame
    return frame.assign(claim=list(CLAIMS)).set_index("claim")


def test_one_task_is_enough_for_up_to(tmp_path: Path) -> None:
    for task, loss in (("sst2", 0.009), ("rte", 0.02)):
        kwon.pruning(tmp_path, MINILM, task, constraint=0.5, loss=loss, remaining=0.5003, speedup=1.7)
        kwon.pruning(tmp_path, MINILM, task, constraint=0.8, loss=0.001, remaining=0.8, speedup=1.2)
    table = judged(tmp_path)
    assert table.loc["macs", "ours"] == "sst2: 2.0 x (-0.9 points); rte: 1.2 x (-0.1 points)"
    assert table.loc["macs", "verdict"] == "holds (for 1 of 2 tasks)"
    assert table.loc["latency", "ours"] == "sst2: 1.70 x (-0.9 points); rte: 1.20 x (-0.1 points)"
    assert table.loc["latency", "verdict"] == "holds (for 1 of 2 tasks)"
    assert table.loc["macs", "setting"] == (
        "minilm-l6; rte validation, 277 rows; sst2 validation, 872 rows; teachers: seed 0; run seeds: 0"
    )
    assert str(table.loc["latency", "setting"]).endswith(
        "run seeds: 0; AMD EPYC 7B13 (cpu), 2 threads, float32; not known to be quiet"
    )


def test_a_teacher_at_chance_judges_no_claim(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, "rte", constraint=0.5, loss=0.009, remaining=0.4, speedup=1.7)
    [path] = tmp_path.glob("*/*/result.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"metrics": record["metrics"] | {"above_trivial": False}}))
    table = judged(tmp_path)
    assert set(table.loc[["macs", "latency"], "verdict"]) == {"not judged: teacher at chance"}
    assert table.loc["seconds", "verdict"] == "holds", "seconds are the same whatever the teacher knows"
    assert table.loc["labels", "verdict"] == "not tested"
    assert (table.loc["macs", "ours"], table.loc["labels", "ours"]) == ("", "")
    assert table.loc["macs", "setting"] == "minilm-l6; rte validation, 277 rows; teachers: seed 0; run seeds: 0"
    kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.8, loss=0.001, remaining=0.8, speedup=1.2)
    table = judged(tmp_path)
    assert table.loc["macs", "ours"] == "sst2: 1.2 x (-0.1 points); rte: not judged (teacher at chance)"
    assert table.loc["macs", "verdict"] == "does not hold"
    assert table.loc["macs", "setting"] == "minilm-l6; sst2 validation, 872 rows; teachers: seed 0; run seeds: 0"


def test_nothing_within_a_point_does_not_hold(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, constraint=0.9, loss=0.03, remaining=0.9, speedup=1.1)
    table = judged(tmp_path)
    assert table.loc["macs", "ours"] == "mnli: none (-3.0 points at 1.1 x)"
    assert table.loc["latency", "ours"] == "mnli: none (-3.0 points at 1.10 x)"
    assert set(table.loc[["macs", "latency"], "verdict"]) == {"does not hold"}


def test_latency_counts_whatever_the_budget(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, loss=0.001, speedup=1.3)
    kwon.pruning(tmp_path, MINILM, loss=0.002, speedup=1.6, budget="latency")
    table = judged(tmp_path)
    assert table.loc["latency", "ours"] == "mnli: 1.60 x (-0.2 points)"
    assert table.loc["latency", "verdict"] == "holds"


def test_pruning_time_must_hold_for_every_task(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, "sst2")
    slow = kwon.pruning(tmp_path, MINILM, "mnli") / "result.json"
    slow.write_text(slow.read_text().replace('"seconds_tune": 21.0', '"seconds_tune": 190.0'))
    table = judged(tmp_path)
    assert table.loc["seconds", "ours"] == "sst2: 40 s; mnli: 209 s"
    assert table.loc["seconds", "verdict"] == "does not hold (holds for 1 of 2 tasks)"


def test_predicted_labels_are_paired_with_gold_ones(tmp_path: Path) -> None:
    for constraint, gold, predicted in ((0.3, 0.10, 0.12), (0.5, 0.02, 0.01), (0.7, 0.0, None)):
        kwon.pruning(tmp_path, MINILM, constraint=constraint, loss=gold)
        if predicted is not None:
            kwon.pruning(tmp_path, MINILM, constraint=constraint, loss=predicted, labels="predicted")
    kwon.pruning(tmp_path, MINILM, constraint=0.3, seed=1, loss=0.5)  # has no partner
    table = judged(tmp_path)
    assert str(table.loc["labels", "setting"]).endswith("teachers: seed 0; run seeds: 0")
    assert table.loc["labels", "ours"] == "mnli: -0.5 points (2 pairs, -2.0 to +1.0)"
    assert table.loc["labels", "verdict"] == "holds"
    assert table.loc["labels", "published"] == ""


def test_what_the_records_cannot_tell_is_not_tested(tmp_path: Path) -> None:
    (kwon.pruning(tmp_path, MINILM) / "tables" / "latency.csv").unlink()
    table = judged(tmp_path)
    assert table["verdict"].to_dict()["latency"] == table["verdict"].to_dict()["labels"] == "not tested"
    assert table.loc["labels", "setting"] == "not in the records"
    assert table["published"].tolist()[:3] == [
        "up to 2.0 x", "up to 1.56 x", "< 3 minutes on one GPU",
    ]  # fmt: skip


def test_published_headlines() -> None:
    assert published.claim("kwon", "FLOPs reduction with less than 1 % accuracy lost") == "2.0"
    with pytest.raises(KeyError):
        published.claim("kwon", "no such claim")


def test_a_verdict_on_speed_uses_quiet_runs_alone(tmp_path: Path) -> None:
    unmarked = kwon.pruning(tmp_path, MINILM, constraint=0.5, loss=0.001, speedup=1.9)
    for constraint, speedup, share in ((0.6, 1.6, 0.01), (0.7, 3.0, 0.06)):
        folder = kwon.pruning(tmp_path, MINILM, constraint=constraint, loss=0.001, speedup=speedup)
        mark_quiet(folder, {"measure latency": share, "gradients": 0.9})
    table = judged(tmp_path)
    assert table.loc["latency", "ours"] == "mnli: 1.60 x (-0.1 points)"
    assert str(table.loc["latency", "setting"]).endswith("float32; 1 run beside other work left out")
    assert str(table.loc["seconds", "setting"]).endswith("not known to be quiet; 2 runs beside other work left out")
    assert "work" not in str(table.loc["macs", "setting"])  # which no clock measures
    mark_quiet(unmarked, {"measure latency": 0.0})
    assert judged(tmp_path).loc["latency", "ours"] == "mnli: 1.90 x (-0.1 points)"


def test_disturbed_runs_alone_give_no_verdict_on_speed(tmp_path: Path) -> None:
    mark_quiet(kwon.pruning(tmp_path, MINILM, constraint=0.5, loss=0.001), {"measure latency": 0.5})
    table = judged(tmp_path)
    assert tuple(table.loc["latency", ["verdict", "setting"]]) == ("not tested", "1 run beside other work left out")
    assert table.loc["macs", "verdict"] == "holds"


def test_a_shape_that_was_timed_again_counts_as_it_was_then(tmp_path: Path) -> None:
    first = kwon.pruning(tmp_path, MINILM, constraint=0.5, loss=0.001, speedup=1.2)
    kwon.pruning(tmp_path, MINILM, constraint=0.7, loss=0.001, speedup=1.8)
    mark_quiet(first, {"measure latency": 0.5})
    timed_again(tmp_path, first, {1: 1.3, 8: 1.7})
    table = judged(tmp_path)
    assert table.loc["latency", "ours"] == "mnli: 1.70 x (-0.1 points)"
    assert str(table.loc["latency", "setting"]).endswith("threads, float32")
