"""Claims are judged by the stated criteria, from records alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis.claims import papers
from analysis.claims.claim import value_text, verdict
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from tests.support.claims import outcomes
from tests.support.records import michel
from tests.support.records.frame import DEMO, MINILM


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def curve(**values: float) -> dict[float, float]:
    """``curve(s40=0.69)`` is the metric 0.69 at a share of 0.40."""
    return {int(name[1:]) / 100: value for name, value in values.items()}


@pytest.mark.parametrize(
    ("values", "reached", "holds"),
    [
        (curve(s0=0.70, s20=0.70, s40=0.69, s60=0.50), 40, True),
        (curve(s0=0.70, s20=0.70, s40=0.67, s60=0.70), 20, False),  # back in the band does not count
        (curve(s0=0.70, s20=0.67, s40=0.70), 0, False),
        (curve(s0=0.70, s20=0.70, s80=0.70), 80, True),
    ],
)
def test_prunable_share_stays_in_the_sampling_band(
    tmp_path: Path, values: dict[float, float], reached: float, holds: bool
) -> None:
    michel.pruning(tmp_path, DEMO, "importance", values=values)
    [outcome] = outcomes("michel.prunable", group(tmp_path))
    assert (outcome.number, outcome.holds) == (pytest.approx(reached), holds)


@pytest.mark.parametrize("last", [20, 100])
def test_no_verdict_before_40_percent_nor_without_any_need_of_heads(tmp_path: Path, last: int) -> None:
    michel.pruning(tmp_path, DEMO, "importance", values={0.0: 0.70, last / 100: 0.70})
    assert outcomes("michel.prunable", group(tmp_path)) == []


def test_importance_against_oracle_beyond_40_percent(tmp_path: Path) -> None:
    better = curve(s0=0.7, s40=0.1, s50=0.6, s70=0.5, s100=0.9)
    oracle = curve(s0=0.7, s40=0.7, s50=0.5, s70=0.52, s100=0.3)
    michel.pruning(tmp_path, DEMO, "importance", values=better)
    michel.pruning(tmp_path, DEMO, "oracle", values=oracle)
    [outcome] = outcomes("michel.importance_beats_oracle", group(tmp_path))
    assert outcome.number == pytest.approx((10 - 2) / 2)
    assert outcome.holds and outcome.note == "better at 1 of 2 shares"


def test_the_setting_names_only_teachers_that_were_judged(tmp_path: Path) -> None:
    """The oracle order of teacher 1 is not there, so nothing is compared for it."""
    for order, teacher in (("importance", 0), ("oracle", 0), ("importance", 1)):
        michel.pruning(tmp_path, DEMO, order, teacher)
    frame = papers.judged("michel", {"prune_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    prunable, better = frame.loc[frame["where"] == "Sec. 4.2, Fig. 3b", "setting"]
    assert prunable.endswith("teachers: seed 0, seed 1")
    assert better.endswith("teachers: seed 0")


def heads(root: Path, significant: int, teacher: int) -> None:
    folder = michel.ablation(root, DEMO, teacher)
    path = folder / "tables" / "heads.csv"
    table = pd.read_csv(path)
    one_off = table["ablation"] == "one_off"
    table["significant"] = table["significant_bh"] = False
    table.loc[table.index[one_off][:significant], "significant"] = True
    table.to_csv(path, index=False)


def test_single_heads_and_a_claim_that_holds_for_some_teachers(tmp_path: Path) -> None:
    heads(tmp_path, 4, teacher=0)
    heads(tmp_path, 8, teacher=1)
    claim = papers.read("michel").claims[0]
    found = outcomes("michel.single_heads", group(tmp_path))
    assert [(o.number, o.holds) for o in found] == [(75.0, True), (50.0, False)]
    assert verdict(claim, found) == "does not hold (holds for 1 of 2 teachers)"
    text = value_text(claim, found)
    assert text.startswith("62 ± 18 % of heads, 2 teachers (12 of 16 heads, 16 after Benjamini-Hochberg")


def test_a_significant_gain_of_a_layer_is_no_loss(tmp_path: Path) -> None:
    """The factory's four layers: two not significant, one loses significantly, one gains significantly."""
    michel.ablation(tmp_path, DEMO)
    for protocol in ("dev", "train"):
        [outcome] = outcomes("michel.one_head_layers", group(tmp_path), protocol=protocol)
        assert (outcome.number, outcome.holds, outcome.note) == (75.0, True, "3 of 4 layers")


@pytest.mark.parametrize(("sign", "holds"), [(1, True), (-1, False)])
def test_transfer_needs_a_positive_significant_correlation(tmp_path: Path, sign: int, holds: bool) -> None:
    folder = michel.transfer(tmp_path, MINILM)
    path = folder / "tables" / "effects.csv"
    table = pd.read_csv(path)
    table["second_delta"] = sign * 2 * table["first_delta"]
    table.to_csv(path, index=False)
    [outcome] = outcomes("michel.transfer", group(tmp_path))
    assert (outcome.number, outcome.holds) == (pytest.approx(sign), holds)


def test_speed_claims(tmp_path: Path) -> None:
    """The factory's gain at length 128: 3 % + 18 % * min(1, batch * 128 / 2000)."""
    michel.timing(tmp_path, MINILM)
    [large] = outcomes("michel.large_batch_gain", group(tmp_path))
    assert large.number == pytest.approx(21.0) and large.holds and "length 128" in large.note
    [one] = outcomes("michel.batch_one_gain", group(tmp_path))
    assert one.number == pytest.approx(4.152) and one.holds
    [share] = outcomes("michel.attention_share", group(tmp_path))
    assert share.number == pytest.approx(15.7) and not share.holds


def test_the_table_says_what_was_not_tested(tmp_path: Path) -> None:
    michel.timing(tmp_path, MINILM)
    table = papers.judged("michel", {"time_inference": [group(tmp_path)]}, Journal(), "a setting")
    verdicts = dict(zip(table.frame["where"], table.frame["verdict"], strict=True))
    assert verdicts["Sec. 3.4, Fig. 2b"] == "not tested"
    assert verdicts["Sec. 4.3"] == "does not hold"
    assert len(table.frame) == 9
    setting = "minilm-l6; mnli validation_matched, 2,000 rows; teachers: seed 0"
    machine = "AMD EPYC 7B13 (cpu), 2 threads, float32; not known to be quiet"
    # the last one is of a size, which no machine changes
    assert table.frame["setting"].iloc[-3:].tolist() == [*[f"{setting}; {machine}"] * 2, setting]
