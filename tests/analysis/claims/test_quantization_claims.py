"""Do gains multiply and losses add? Judged from records alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.claims import papers
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from prunekit.evaluation.row_answers import of_labels
from tests.support.claims import outcomes
from tests.support.records import quantization
from tests.support.records.frame import MINILM, add_answers

CLAIMS = ("smaller", "aware", "better", "dynamic", "speed", "dynamic adds", "aware adds")


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def judged(root: Path) -> Any:
    frame = papers.judged("quantization", {"quantize": [group(root)]}, Journal(), "a setting").frame
    return frame.assign(claim=list(CLAIMS)).set_index("claim")


def test_published_numbers_are_those_of_their_source() -> None:
    published = [claim.published for claim in papers.read("quantization").claims]
    assert published[:2] == ["4 x", "F1 90 to 89.56 on MRPC, accuracy 92.36 to 92.24 on SST-2 (BERT-base)"]
    assert not any(published[2:])


def test_gains_that_multiply(tmp_path: Path) -> None:
    quantization.everything(tmp_path, MINILM, of_product=0.93)
    table = judged(tmp_path)
    assert table.loc["speed", "verdict"] == "holds"
    assert table.loc["smaller", "verdict"] == "holds"
    [outcome] = outcomes("quantization.gains_multiply", group(tmp_path))
    assert outcome.effect.value == pytest.approx(7)
    assert outcome.note == "93 % at batch 1 and 10 % of the MACs; mean 93 %"
    assert outcome.cells == 4  # 2 shares of MACs, 2 batch sizes
    assert outcome.effect.main.runs == 9  # 3 teachers, 3 ways to 8 bits: a session each
    assert outcome.effect.main.rows_error == 0  # what rounds vary by, sessions do already
    assert outcome.effect.main.rows == 50


@pytest.mark.parametrize(
    ("of_product", "verdict"), [(0.8, "does not hold"), (1.2, "does not hold"), (1.08, "holds"), (0.92, "holds")]
)
def test_gains_are_judged_by_a_tenth(tmp_path: Path, of_product: float, verdict: str) -> None:
    for teacher in range(3):
        quantization.run(tmp_path, MINILM, remaining=0.5, of_product=of_product, teacher=teacher)
    assert judged(tmp_path).loc["speed", "verdict"] == verdict


@pytest.mark.parametrize(("at_32", "verdict"), [(1.22, "does not hold"), (1.0, "does not hold")])
def test_no_batch_size_makes_up_for_another(tmp_path: Path, at_32: float, verdict: str) -> None:
    """80 % and 122 % are 99 % on average."""
    for teacher in range(3):
        folder = quantization.run(tmp_path, MINILM, remaining=0.5, teacher=teacher, of_product=0.8)
        table = pd.read_csv(folder / "tables" / "gains.csv")
        table.loc[table["batch_size"] == 32, ["of_product", "low", "high"]] = [at_32, at_32 - 0.02, at_32 + 0.02]
        table.to_csv(folder / "tables" / "gains.csv", index=False)
    assert judged(tmp_path).loc["speed", "verdict"] == verdict
    [outcome] = outcomes("quantization.gains_multiply", group(tmp_path))
    assert outcome.effect.value == pytest.approx(22 if at_32 > 1.2 else 20)
    assert f"mean {99 if at_32 > 1.2 else 89} %" in outcome.note


def test_sessions_are_what_varies(tmp_path: Path) -> None:
    """One says nothing of others, however many rounds it has; of three that differ the spread counts."""
    quantization.run(tmp_path, MINILM, remaining=0.5)
    assert judged(tmp_path).loc["speed", "verdict"] == "undecided: only 1 session"
    [alone] = outcomes("quantization.gains_multiply", group(tmp_path))
    # the median of 50 rounds whose quartiles are 4 % apart
    assert alone.effect.main.rows_error == pytest.approx(1.2533 * 0.04 / 1.349 / 50**0.5)
    for teacher, of_product in ((1, 0.9), (2, 1.1)):
        quantization.run(tmp_path, MINILM, remaining=0.5, teacher=teacher, of_product=of_product)
    [outcome] = outcomes("quantization.gains_multiply", group(tmp_path))
    ratios = np.array([1.0, 0.9, 1.1])
    assert outcome.effect.main.spread == pytest.approx(np.log(ratios).std(ddof=1))
    assert outcome.effect.value == pytest.approx(100 * (1 - ratios.prod() ** (1 / 3)))
    assert judged(tmp_path).loc["speed", "verdict"].startswith("undecided: needs")


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.5, "not tested"), (None, "undecided: machine not known to be quiet")]
)
def test_times_beside_other_work_decide_nothing(tmp_path: Path, share: float | None, verdict: str) -> None:
    quantization.run(tmp_path, MINILM, remaining=0.5, share=share)
    assert judged(tmp_path).loc["speed", "verdict"] == verdict


def test_losses_beyond_those_of_the_whole_model(tmp_path: Path) -> None:
    quantization.everything(tmp_path, MINILM, beyond=-0.005)
    for method in ("dynamic", "aware"):
        [outcome] = outcomes("quantization.losses_add", group(tmp_path), method=method)
        # 8 bits cost `aware` less than its control, by as much for every model
        assert outcome.effect.value == pytest.approx(0.5)
        assert outcome.note == "-0.5 at 10 % of the MACs; mean -0.5 at 10, 50 %"
        assert len(outcome.members) == 3 and outcome.cells == 2
    [outcome] = outcomes("quantization.cost_of_8_bits", group(tmp_path), method="aware")
    assert outcome.effect.value == pytest.approx(-0.4)
    [outcome] = outcomes("quantization.worth_training_for", group(tmp_path))
    assert outcome.effect.value == pytest.approx(0.4) and outcome.note == "at 10, 50, 100 % of the MACs"


def test_a_model_at_chance_loses_nothing_and_shows_nothing(tmp_path: Path) -> None:
    """One answer to all rows has 0.86: the band at a tenth begins at 0.85, after more training at 0.865."""
    quantization.everything(tmp_path, MINILM, beyond=-0.005)
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        record["metrics"] |= {"trivial": {"f1": 0.86}, "above_trivial": True}
        path.write_text(json.dumps(record))
    [outcome] = outcomes("quantization.losses_add", group(tmp_path), method="dynamic")
    note = "-0.5 at 50 % of the MACs; mean -0.5 at 50 %; left out, no better than one answer to all: 10 %"
    assert (outcome.note, outcome.cells) == (note, 1)
    [outcome] = outcomes("quantization.losses_add", group(tmp_path), method="aware")
    assert outcome.cells == 2 and "left out" not in outcome.note
    # a share at which one teacher's model is at chance counts for none: else teachers have other shares
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        record["metrics"] |= {"trivial": {"f1": 0.86 if record["config"]["train"]["seed"] == 1 else 0.5}}
        path.write_text(json.dumps(record))
    [outcome] = outcomes("quantization.losses_add", group(tmp_path), method="dynamic")
    assert outcome.cells == 1 and len(outcome.members) == 3 and "left out" in outcome.note
    [outcome] = outcomes("quantization.worth_training_for", group(tmp_path))
    assert outcome.note == "at 10, 50, 100 % of the MACs"


def test_no_share_makes_up_for_another(tmp_path: Path) -> None:
    """2 points more at a tenth and 2 points fewer at a half are none on average."""
    for teacher in range(3):
        for remaining, beyond in ((1.0, 0.0), (0.5, -0.02), (0.1, 0.02)):
            quantization.run(tmp_path, MINILM, remaining=remaining, beyond=beyond, teacher=teacher)
    [outcome] = outcomes("quantization.losses_add", group(tmp_path), method="dynamic")
    assert outcome.effect.value == pytest.approx(2) and "mean +0.0" in outcome.note


def test_the_farthest_share_is_named_whichever_way_it_is_far(tmp_path: Path) -> None:
    for teacher in range(2):
        for remaining, beyond in ((1.0, 0.0), (0.5, -0.03), (0.1, 0.01)):
            quantization.run(tmp_path, MINILM, remaining=remaining, beyond=beyond, teacher=teacher)
    [outcome] = outcomes("quantization.losses_add", group(tmp_path), method="dynamic")
    assert outcome.effect.value == pytest.approx(3)
    assert outcome.note == "-3.0 at 50 % of the MACs; mean -1.0 at 10, 50 %"


def test_what_was_trained_for_8_bits_needs_its_control(tmp_path: Path) -> None:
    for remaining in (1.0, 0.5):
        quantization.run(tmp_path, MINILM, remaining=remaining, quantization="aware")
    assert outcomes("quantization.losses_add", group(tmp_path), method="aware") == []
    assert outcomes("quantization.losses_add", group(tmp_path), method="dynamic") == []


def test_rows_are_paired(tmp_path: Path) -> None:
    """Models that answer the same rows wrong leave no error over rows; without answers there are bands."""
    gold = np.arange(40) % 2
    for teacher in range(3):
        for remaining in (1.0, 0.5):
            folder = quantization.run(tmp_path, MINILM, remaining=remaining, teacher=teacher)
            answers = of_labels("classification", "rows", gold, np.where(np.arange(40) < 4, 1 - gold, gold))
            stages = ["dense", *(["pruned"] if remaining < 1 else []), "quantized"]
            add_answers(folder, *(({"stage": stage}, answers) for stage in stages))
            result = json.loads((folder / "result.json").read_text())
            result["config"]["task"]["metrics"] = ["f1"]
            (folder / "result.json").write_text(json.dumps(result))
    [outcome] = outcomes("quantization.losses_add", group(tmp_path), method="dynamic")
    assert outcome.effect.main.by == "answers" and outcome.effect.main.rows_error == 0
