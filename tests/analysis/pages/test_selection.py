"""Runs and numbers as templates ask for them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.data.loading import Journal, load
from analysis.pages.selection import Numbers, Runs, select
from prunekit.support.errors import UserError
from tests.support.records import cofi, michel
from tests.support.records.frame import MINILM, mark_quiet, timed_again, write_run


@pytest.fixture
def curves(tmp_path: Path) -> Runs:
    """Three teachers, two orders; importance is ahead by 1, 2 and 6 points at every share."""
    for teacher, ahead in enumerate((0.01, 0.02, 0.06)):
        for order, more in (("importance", ahead), ("oracle", 0.0)):
            values = {0.0: 0.7, 0.4: 0.6 + more, 0.5: 0.5 + more, 0.6: 0.3 + more}
            michel.pruning(tmp_path, MINILM, order, teacher, values=values)
    return select(load([tmp_path], Journal()), "prune_heads")


def test_rounds_have_quartiles_where_there_are_three_and_the_machine_a_name(tmp_path: Path) -> None:
    rounds = [("plain", number, float(ratio)) for number, ratio in enumerate((2, 4, 5, 9, 10))]
    rounds += [("other", 0, 3.0), ("other", 1, 4.0)]
    repeats = [{"comparison": name, "repeat": number, "plain_seconds": ratio, "fast_seconds": 1.0, "ratio": ratio}
               for name, number, ratio in rounds]  # fmt: skip
    write_run(tmp_path, "benchmark", tables={"repeats": pd.DataFrame(repeats)}, metrics={"ratio_plain": 5.0},
              config={"benchmark": "importance"})  # fmt: skip
    own = select(load([tmp_path], Journal()), "benchmark")
    assert own.rounds("plain").quartiles("ratio", 1) == " (4.0 to 9.0)"
    assert own.rounds("other").quartiles("ratio") == "" and len(own.rounds("other")) == 2
    assert own.machine() == "two threads of an AMD EPYC 7B13"
    assert own.range("peak_memory") == (1e9, 1e9) and own.fingerprint("train") == "sha256:ab"


def test_differences_are_taken_run_by_run(curves: Runs) -> None:
    ours, theirs = (curves.where(order=order) for order in ("importance", "oracle"))
    lead = ours.averages("points", "value", share=[0.5, 0.6]) - theirs.averages("points", "value", share=[0.5, 0.6])
    assert lead.each == pytest.approx([0.01, 0.02, 0.06])
    assert (lead.mean, lead.lowest, lead.highest, lead.count) == pytest.approx((0.03, 0.01, 0.06, 3))
    assert lead.interval == pytest.approx((0.03 - 0.065724, 0.03 + 0.065724), abs=1e-5)  # t 4.3027, s 0.026458
    assert (-lead).lowest == pytest.approx(-0.06)
    assert ours.where({"train.seed": 1}).averages("points", "value", share=[0.4, 0.6]).only == pytest.approx(0.47)


def test_numbers_that_have_no_run_in_common_are_not_combined(curves: Runs) -> None:
    first, second = (curves.where({"train.seed": seed}, order="oracle")["baseline"] for seed in (0, 1))
    with pytest.raises(UserError, match="no two runs have task, teacher and seed in common"):
        first - second


def test_runs_that_cannot_be_told_apart_are_refused(curves: Runs) -> None:
    with pytest.raises(UserError, match="differ in a setting that is not named"):
        curves["baseline"]
    assert len(curves) == 6
    assert curves.total("baseline") == pytest.approx(4.2)
    assert curves.range("baseline") == pytest.approx((0.7, 0.7))


def test_seconds_of_a_run_s_own_are_without_its_teacher_s(tmp_path: Path) -> None:
    for teacher, ahead in enumerate((0.0, 30.0)):
        folder = michel.pruning(tmp_path, MINILM, "importance", teacher)
        result = json.loads((folder / "result.json").read_text())
        result["seconds"] = {"total": 40.0 + ahead, "importance": 25.0} | ({"teacher": ahead} if ahead else {})
        (folder / "result.json").write_text(json.dumps(result))
    runs = select(load([tmp_path], Journal()), "prune_heads")
    assert runs["seconds.own"].each == [40.0, 40.0] and runs["seconds.total"].each == [40.0, 70.0]


def test_runs_are_picked_by_one_of_several_values_and_put_together(curves: Runs) -> None:
    assert len(curves.where({"train.seed": [0, 2]})) == 4
    assert curves.values("order") == ["importance", "oracle"]
    ours = curves.where(order="importance")
    assert len(ours + ours.where({"train.seed": 1})) == 3
    assert len(ours + curves.where(order="oracle")) == 6
    assert ours.setting("order") == "importance"
    assert curves.most("order").setting("order") == "importance", "the first of equals"
    more = curves.where(order="oracle") + ours.where({"train.seed": 1})
    assert more.most("order").setting("order") == "oracle" and len(more.most("order")) == 3
    with pytest.raises(UserError, match="order differs"):
        curves.setting("order")


def test_what_is_known_of_how_quiet_it_was_is_counted_by_stage(tmp_path: Path) -> None:
    for teacher, shares in enumerate(({"measure latency": 0.5}, {"search": 0.5, "measure latency": 0.0}, {})):
        mark_quiet(michel.pruning(tmp_path, MINILM, "importance", teacher), shares)
    runs = select(load([tmp_path], Journal()), "prune_heads")
    assert runs.quiet_words() == "1 of 3 beside other work, 1 of 3 not known to be quiet"
    assert runs.quiet_words("search", "tune") == "1 of 3 beside other work, 2 of 3 not known to be quiet"
    assert runs.where({"train.seed": 0}).quiet_words() == "beside other work"
    assert runs.where({"train.seed": 1}).quiet_words() == ""


def test_the_speed_of_a_shape_that_was_timed_again_is_that_of_then(tmp_path: Path) -> None:
    """Of which the words on quiet speak; beside it those of no other run count, which have another length and batch."""
    first, second = (cofi.run(tmp_path, MINILM, sparsity=sparsity, speedup=9) for sparsity in (0.6, 0.9))
    mark_quiet(first, {"measure latency": 0.5})
    mark_quiet(second, {"measure latency": 0.5})
    timed_again(tmp_path, first, {1: 1.5, 8: 2.5}, share=0.0)
    runs = select(load([tmp_path], Journal()), "prune_cofi")
    assert runs.range("speedup") == (2.5, 2.5) and runs.total("speedup") == runs["speedup"].only == 2.5
    assert runs.where(sparsity=0.9)["speedup"].only == 9
    assert [runs.where(sparsity=sparsity).quiet_words() for sparsity in (0.6, 0.9)] == ["", "beside other work"]


def test_too_few_runs_have_no_interval() -> None:
    with pytest.raises(UserError, match="an interval needs three runs, there are 2"):
        Numbers({(0,): 1.0, (1,): 2.0}, "two").interval  # noqa: B018
    with pytest.raises(UserError, match="do not agree"):
        Numbers({(0,): 1.0, (1,): 2.0}, "two").same  # noqa: B018


def test_correlation_without_the_largest_effects(tmp_path: Path) -> None:
    michel.transfer(tmp_path, MINILM)
    table = select(load([tmp_path], Journal()), "transfer").table("effects")
    frame = table.frame
    assert table.correlation("first_delta", "second_delta") == pytest.approx(frame.first_delta.corr(frame.second_delta))
    rest = frame[frame.first_delta.abs() < frame.first_delta.abs().nlargest(3).min()]
    assert len(rest) == len(frame) - 3
    expected = rest.first_delta.corr(rest.second_delta)
    assert table.correlation("first_delta", "second_delta", without=3) == pytest.approx(expected)
