"""A run's few facts: score, baseline, what was asked for in the words of the command, what was reached."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis.data.marks.quiet import quiet_words
from experiments.cli.announce import seconds_in_words
from experiments.cli.outcome import CellOutcome, curve_points, facts, outcome
from tests.support.commands import TINY, perform

BAND = {"baseline": 0.9, "baseline_low": 0.88, "baseline_high": 0.92}


def settings(folder: Path = Path(), **own: Any) -> Any:
    return SimpleNamespace(task=SimpleNamespace(metric="accuracy"), run=SimpleNamespace(folder=str(folder)), **own)


def record(
    metrics: dict[str, Any], sparsity: dict[str, float], disturbed: bool | None = False, verb: str = "some"
) -> dict[str, Any]:
    """Of a quiet machine, where nothing else is said."""
    stages = ("latency table", "measure latency", "benchmark", "measure", "search", "tune")
    return {
        "verb": verb, "run_id": "1", "metrics": {"metric": "accuracy", **metrics}, "sparsity": sparsity,
        "quiet": {stage: {"disturbed": disturbed} for stage in stages},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "sparsity", "more", "requested", "achieved"),
    [
        ({"constraint": 0.3, "budget": "mac"}, {"requested_macs": 0.7, "achieved_macs": 0.7012}, {},
         "constraint=0.3", "MACs 0.2988 left"),
        ({"constraint": 0.5, "budget": "latency"}, {"achieved_macs": 0.4, "achieved_latency_by_table": 0.55}, {},
         "constraint=0.5", "latency 0.45 left"),
        ({"constraint": 0.5, "budget": "parameters"}, {"achieved_macs": 0.4, "achieved_parameters": 0.31}, {},
         "constraint=0.5", "parameters 0.69 left of the whole model"),  # of a record before version 7
        ({"constraint": 0.5, "budget": "parameters"}, {"achieved_parameters": 0.31,
                                                       "achieved_parameters_of_layers": 0.5012}, {},
         "constraint=0.5", "parameters of the layers 0.4988 left"),
        ({"remaining": 0.1, "source": None}, {"achieved_macs": 0.9012, "achieved_parameters": 0.5}, {},
         "remaining=0.1", "MACs 0.0988 left"),
        ({"remaining": 1.0, "source": "prune_cofi/1"}, {"achieved_macs": 0.9012}, {}, "", "MACs 0.0988 left"),
        ({"remaining": 0.5, "source": "prune_cofi/1"}, {"achieved_macs": 0.9012}, {}, "", "MACs 0.0988 left"),
        ({"remaining": 1.0, "source": None}, {"achieved_macs": 0.0}, {}, "", ""),
        ({"sparsity": 0.9}, {"requested": 0.9, "counted": 0.8999}, {"reached_target": True},
         "sparsity=0.9", "counted 0.8999"),
        ({"sparsity": 0.9}, {"requested": 0.9, "counted": 0.75}, {"reached_target": False},
         "sparsity=0.9", "counted 0.75, target missed"),
        ({"share": 0.5}, {"requested_heads": 0.5, "achieved_heads": 0.4722}, {}, "share=0.5",
         "heads 0.4722 gone"),
        ({"shares": [0.25, 0.75]}, {"achieved_heads": 0.75}, {}, "shares=[0.25,0.75]", "heads 0.75 gone"),
        ({}, {}, {}, "", ""),
    ],
)  # fmt: skip
def test_the_request_is_what_was_typed(
    own: dict[str, Any], sparsity: dict[str, float], more: dict[str, Any], requested: str, achieved: str
) -> None:
    found = outcome(record({"value": 0.8765432, **BAND, **more}, sparsity), settings(**own))
    assert found == CellOutcome("accuracy", "0.8765", "0.9", requested, achieved)


def test_a_curve_tells_of_its_last_point_within_the_band_and_not_of_its_end(tmp_path: Path) -> None:
    (tmp_path / "some" / "1" / "tables").mkdir(parents=True)
    (tmp_path / "some" / "1" / "tables" / "points.csv").write_text("share,value\n0.0,0.9\n0.25,0.885\n1.0,0.33\n")
    curve = record({"accuracy": 0.33, "share_within_baseline_band": 0.25, **BAND}, {"achieved_heads": 1.0})
    found = outcome(curve, settings(tmp_path, share=None))
    achieved = "heads 0.25 gone within the baseline's band"
    assert found == CellOutcome("accuracy", "0.885", "0.9", "every share", achieved)
    told = facts(curve, settings(tmp_path, share=None))
    assert "0.33" not in str(told)
    assert told[0] == ("accuracy", "0.885 with 0.25 of the heads gone")
    curve["metrics"]["share_within_baseline_band"] = 0.0
    assert facts(curve, settings(tmp_path, share=None))[0] == ("accuracy", "0.9 of the whole model")
    assert curve_points(curve, settings(tmp_path, share=0.25)) == []


def test_the_end_of_a_curve_names_its_points_data_and_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*TINY, "order=magnitude", "grid=0.5", "save=true", f"run.folder={tmp_path}"]
    record = perform("prune_heads", *arguments)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    runs, teacher = tmp_path / "prune_heads" / record["run_id"], tmp_path / "finetune" / record["teacher"]["run_id"]
    assert f"model: {runs}/model" in lines and f"teacher's model: {teacher}/model" in lines
    points = pd.read_csv(runs / "tables" / "points.csv")
    assert points.heads_kept.tolist() == [4, 2, 0]
    place = lines.index("heads gone heads left accuracy")
    one, two, three = points.value
    assert lines[place + 1 : place + 4] == [f"0 4 of 4 {one:.4g}", f"0.5 2 of 4 {two:.4g}", f"1 0 of 4 {three:.4g}"]
    data = next(line for line in " ".join(lines).split("data ") if line.startswith("train: demo train (192 rows)"))
    assert "evaluation: demo validation_matched (96 rows)" in data


def test_a_speedup_is_of_a_batch_and_a_length(tmp_path: Path) -> None:
    (tmp_path / "some" / "1" / "tables").mkdir(parents=True)
    (tmp_path / "some" / "1" / "tables" / "latency.csv").write_text("batch_size,length\n1,32\n128,64\n")
    own = settings(tmp_path, constraint=0.3, budget="mac")
    told = facts(record({"value": 0.5, "speedup": 1.4086, **BAND}, {"achieved_macs": 0.7}), own)
    assert ("speedup", "1.409 (batch 128, length 64)") in told
    for disturbed, words in ((True, "beside other work"), (None, "not known to be quiet")):
        marked = facts(record({"value": 0.5, "speedup": 1.4086, **BAND}, {"achieved_macs": 0.7}, disturbed), own)
        assert ("speedup", f"1.409 (batch 128, length 64; {words})") in marked


MEASURED: list[tuple[str, dict[str, float], dict[str, float], tuple[str, str]]] = [
    ("prune_fisher", {"seconds_search": 1.5, "seconds_tune": 2.0, "seconds_pruning": 3.5}, {},
     ("seconds", "search 1.5, tune 2, pruning 3.5")),
    ("time_inference", {"speedup_batch_1": 1.25, "speedup_batch_64": 1.5}, {},
     ("speedup", "batch 1 1.25, batch 64 1.5")),
    ("time_decoding", {"speedup_enc-enc_0.5": 1.25}, {}, ("speedup enc-enc 0.5", "1.25")),
    ("latency_table", {"layers_ms": 150.5}, {}, ("layers ms", "150.5")),
    ("quantize", {"speedup": 2.5, "speedup_int8_batch_1": 1.5}, {}, ("speedup", "2.5, int8 batch 1 1.5")),
    ("prune_cofi", {"speedup": 2.5}, {}, ("speedup", "2.5")),
    ("benchmark", {"seconds_plain": 3.0, "seconds_fast": 1.5}, {}, ("seconds", "plain 3, fast 1.5")),
    ("benchmark", {"ratio_plain": 2.0}, {}, ("ratio plain", "2")),
    ("compress", {}, {"achieved_latency": 0.25, "achieved_latency_by_table": 0.5},
     ("gone", "latency 0.25, latency by table 0.5")),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "metrics", "sparsity", "shown"), MEASURED)
def test_a_time_that_was_taken_beside_other_work_says_so(
    verb: str, metrics: dict[str, float], sparsity: dict[str, float], shown: tuple[str, str]
) -> None:
    """In the words of the figures; what nobody has watched must not look quiet."""
    name, text = shown
    words = {False: "", True: " (beside other work)", None: " (not known to be quiet)"}
    for disturbed, mark in words.items():
        assert (name, f"{text}{mark}") in facts(record(metrics, sparsity, disturbed, verb), settings())
    old = {key: value for key, value in record(metrics, sparsity, None, verb).items() if key != "quiet"}
    assert (name, f"{text}{words[None]}") in facts(old, settings())
    assert [quiet_words([SimpleNamespace(quiet={"measure": {"disturbed": one}}, timed_again=None)])  # type: ignore[list-item]
            for one in (True, None)] == [words[True].strip(" ()"), words[None].strip(" ()")]  # fmt: skip


def test_what_is_no_time_has_no_mark() -> None:
    told = facts(record({"value": 0.5, "layers": 6, "sublayers_tuned": 8}, {"achieved_macs": 0.5}, True), settings())
    assert ("layers", "6") in told and "other work" not in str(told)


def test_a_budget_that_was_measured_beside_other_work_says_so() -> None:
    disturbed = record({"value": 0.5}, {"achieved_latency_by_table": 0.55}, True)
    assert outcome(disturbed, settings(constraint=0.5, budget="latency")).achieved == (
        "latency 0.45 left (beside other work)"
    )


def test_the_seconds_of_what_was_made_ahead_are_told_apart() -> None:
    seconds = {"seconds": {"total": 249.25, "teacher": 243.0, "search": 1.5}}
    assert seconds_in_words(seconds) == "6.2 s, 243.0 s for the teacher"
    assert seconds_in_words({"seconds": {"total": 6.25, "search": 1.5}}) == "6.2 s"


@pytest.mark.parametrize(
    ("above", "said"), [(True, "0.6838"), (False, "0.6838 (the whole model is not significantly above it)")]
)
def test_the_trivial_answer_stands_below_the_baseline(above: bool, said: str) -> None:
    trivial = {"accuracy": 0.68382, "f1": 0.81223}
    curve = {"accuracy": 0.33, "f1": 0.1, "share_within_baseline_band": 0.25, **BAND,
             "trivial": trivial, "above_trivial": above}  # fmt: skip
    found = facts(record(curve, {"achieved_heads": 1.0}), settings(share=None))
    assert found == [
        ("baseline accuracy", "0.9 (0.88 to 0.92)"), ("trivial answer", said), ("requested", "every share"),
        ("achieved", "heads 0.25 gone within the baseline's band"),
    ]  # fmt: skip


def test_no_value_stands_twice() -> None:
    metrics = {"value": 0.8765432, "accuracy": 0.8765432, "remaining_macs": 0.3, **BAND, "f1": 0.5,
               "seconds_search": 1.5, "seconds_tune": 2.0, "speedup": 1.25,
               "bleu_signature": "nrefs:1|case:mixed"}  # fmt: skip
    assert facts(record(metrics, {"requested_macs": 0.7, "achieved_macs": 0.7, "achieved_heads": 0.5}),
                 settings(constraint=0.3, budget="mac")) == [
        ("accuracy", "0.8765"), ("baseline", "0.9 (0.88 to 0.92)"), ("requested", "constraint=0.3"),
        ("achieved", "MACs 0.3 left"), ("f1", "0.5"), ("seconds", "search 1.5, tune 2"), ("speedup", "1.25"),
        ("gone", "macs 0.7, heads 0.5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("refit", "refitted", "told"),
    [
        ("by the method", (8, 0), [("refit", "by the method"), ("sublayers", "refitted 8, not refitted 0")]),
        ("bias", (7, 1), [("refit", "bias"), ("sublayers", "refitted 7, not refitted 1")]),
        ("none", (0, 0), [("refit", "none")]),
        ("none", (8, 0), [("refit", "by the method"), ("sublayers", "refitted 8, not refitted 0")]),  # before version 6
        ("bias", (0, 0), [("refit", "bias")]),
    ],
)
def test_what_was_refitted_is_told_without_contradiction(
    refit: str, refitted: tuple[int, int], told: list[tuple[str, str]]
) -> None:
    own = {"refit": refit, "sublayers_refitted": refitted[0], "sublayers_not_refitted": refitted[1]}
    found = facts(record({"value": 0.5, **own}, {"achieved_macs": 0.5}, verb="compress"), settings())
    assert [row for row in found if row[0] in ("refit", "sublayers")] == told
