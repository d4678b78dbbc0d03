"""Claims are judged by what their files state, from records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.claims import papers
from analysis.claims.criteria.head_changes import single_head_changes
from analysis.claims.table import OURS, ours
from analysis.claims.verdicts import verdict
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from prunekit.evaluation.row_answers import RowAnswers, of_labels
from prunekit.runs.schema.shared import ABLATED
from tests.support.claims import claim_of, outcomes, rulings
from tests.support.records import michel
from tests.support.records.frame import DEMO, MINILM, add_answers, mark_quiet

BAND = 0.02 / stats.norm.isf(0.025)
"""Standard error of a score of the factory, whose band is 0.02 to either side."""


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def curve(**values: float) -> dict[float, float]:
    """``curve(s40=0.69)`` is the metric 0.69 at a share of 0.40."""
    return {int(name[1:]) / 100: value for name, value in values.items()}


def losses(root: Path, *points: float) -> None:
    """A curve a teacher, which loses so many points with 40 per cent of its heads gone."""
    for teacher, lost in enumerate(points):
        values = curve(s0=0.70, s40=0.70 - lost / 100, s100=0.33)
        michel.pruning(root, DEMO, "importance", teacher, values=values)


def test_prunable_is_the_loss_at_the_share_over_teachers_and_rows(tmp_path: Path) -> None:
    losses(tmp_path, 2.0, 3.0, 7.0)
    [ruling] = rulings("michel.prunable", group(tmp_path))
    main = ruling.outcome.effect.main
    assert (main.value, main.runs, main.rows, main.by) == (pytest.approx(-4), 3, 2000, "bands")
    assert main.spread == pytest.approx(np.std([2, 3, 7], ddof=1))
    assert main.rows_error == pytest.approx(100 * 2**0.5 * BAND, rel=1e-6)
    assert ruling.state == "undecided" and ruling.outcome.note == "each -2.0, -3.0, -7.0"


@pytest.mark.parametrize(
    ("points", "state"),
    [((19.0, 20.0, 20.5), "does not hold"), ((-19.0, -20.0, -20.5), "holds"), ((5.0, 20.0, 20.5), "undecided")],
)
def test_prunable_needs_teachers_that_agree(tmp_path: Path, points: tuple[float, ...], state: str) -> None:
    losses(tmp_path, *points)
    assert rulings("michel.prunable", group(tmp_path))[0].state == state


def test_one_teacher_decides_nothing_whatever_it_loses(tmp_path: Path) -> None:
    losses(tmp_path, 30.0)
    [ruling] = rulings("michel.prunable", group(tmp_path))
    assert ruling.state == "undecided"
    frame = papers.judged("michel", {"prune_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    row = frame[frame["where"] == "Sec. 4.2, Fig. 3b"].iloc[0]
    assert (row["verdict"], row["n"]) == ("undecided: only 1 teacher", "1 teacher, 2,000 rows")
    assert row[OURS] == "-30.0 (rows alone -32.8 to -27.2) points"
    assert row["setting"].endswith("; rows not paired, no answers recorded")


ROWS = 300
GOLD = np.random.default_rng(0).integers(0, 3, ROWS)


def answers(wrong: np.ndarray) -> RowAnswers:
    return of_labels("classification", "f", GOLD, np.where(wrong, (GOLD + 1) % 3, GOLD))


def test_with_answers_rows_are_paired(tmp_path: Path) -> None:
    """Ten rows more are wrong of 300: by the bands nothing is known of a loss of 3 points, by the answers much."""
    wrong = np.arange(ROWS) < 90
    more = wrong | (np.arange(ROWS) >= ROWS - 10)
    for teacher in range(3):
        values = curve(s0=0.7, s40=0.7 - 1 / 30, s100=0.33)
        folder = michel.pruning(tmp_path, MINILM, "importance", teacher, values=values)
        add_answers(folder, ({"share": 0.0}, answers(wrong)), ({"share": 0.4}, answers(more)))
    [ruling] = rulings("michel.prunable", group(tmp_path))
    main = ruling.outcome.effect.main
    assert main.by == "answers" and main.rows == ROWS
    assert main.rows_error == pytest.approx(100 * (1 / 30 * 29 / 30 / ROWS) ** 0.5, rel=0.06)
    assert ruling.state == "does not hold"


@pytest.mark.parametrize("last", [20, 100])
def test_no_verdict_before_40_percent_nor_without_any_need_of_heads(tmp_path: Path, last: int) -> None:
    michel.pruning(tmp_path, DEMO, "importance", values={0.0: 0.70, 0.4: 0.7, 1.0: 0.7} if last == 100 else
                   {0.0: 0.70, 0.2: 0.70})  # fmt: skip
    assert outcomes("michel.prunable", group(tmp_path)) == []


def test_importance_against_oracle_beyond_40_percent(tmp_path: Path) -> None:
    better = curve(s0=0.7, s40=0.1, s50=0.6, s70=0.5, s100=0.9)
    oracle = curve(s0=0.7, s40=0.7, s50=0.5, s70=0.52, s100=0.3)
    michel.pruning(tmp_path, DEMO, "importance", values=better)
    michel.pruning(tmp_path, DEMO, "oracle", values=oracle)
    [ruling] = rulings("michel.importance_beats_oracle", group(tmp_path))
    main = ruling.outcome.effect.main
    assert main.value == pytest.approx((10 - 2) / 2)
    assert main.rows_error == pytest.approx(100 * 2**0.5 * BAND, rel=1e-6), "points of one curve share their rows"
    assert ruling.state == "undecided"
    for teacher in (1, 2):
        michel.pruning(tmp_path, DEMO, "importance", teacher, values=curve(s0=0.7, s40=0.1, s50=0.9, s70=0.9))
        michel.pruning(tmp_path, DEMO, "oracle", teacher, values=curve(s0=0.7, s40=0.7, s50=0.34, s70=0.34))
    [ruling] = rulings("michel.importance_beats_oracle", group(tmp_path))
    assert ruling.outcome.effect.value == pytest.approx((4 + 56 + 56) / 3)
    assert ruling.state == "undecided", "one of three teachers hardly differs"


def test_the_setting_names_only_teachers_that_were_judged(tmp_path: Path) -> None:
    """The oracle order of teacher 1 is not there, so nothing is compared for it."""
    for order, teacher in (("importance", 0), ("oracle", 0), ("importance", 1)):
        michel.pruning(tmp_path, DEMO, order, teacher)
    frame = papers.judged("michel", {"prune_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    prunable, better = frame.loc[frame["where"] == "Sec. 4.2, Fig. 3b", "setting"]
    assert "; teachers: seed 0, seed 1; " in prunable
    assert "; teachers: seed 0; " in better


def heads(root: Path, deltas: list[float], teacher: int, p_value: float = 0.05) -> Path:
    """An ablation of the demo's 16 heads whose changes in points are given, all with one p-value."""
    folder = michel.ablation(root, DEMO, teacher)
    path = folder / "tables" / "heads.csv"
    table = pd.read_csv(path)
    one_off = table["ablation"] == "one_off"
    table["significant"] = table["significant_bh"] = False
    table.loc[one_off, "delta"] = np.array(deltas) / 100
    table.loc[one_off, "p_value"] = p_value
    table.to_csv(path, index=False)
    return folder


def test_heads_are_counted_when_their_own_interval_decides(tmp_path: Path) -> None:
    """With p = 0.05 an interval ends at no change: -0.9 reaches from -1.8 to 0, and 0.5 from 0 to 1."""
    heads(tmp_path, [0.5] * 10 + [-0.9] * 4 + [-3.0] * 2, teacher=0)
    [outcome] = outcomes("michel.single_heads", group(tmp_path))
    assert outcome.effect.value == pytest.approx(100 * 14 / 16)
    assert outcome.effect.alone(0.95) == pytest.approx((100 * 10 / 16, 100))
    assert outcome.note == "10 of 16 surely, 0 surely not; 0 of 16 changes with p < 0.01"
    assert rulings("michel.single_heads", group(tmp_path))[0].state == "undecided", "one teacher"
    heads(tmp_path, [0.5] * 10 + [-0.9] * 4 + [-3.0] * 2, teacher=1)
    heads(tmp_path, [0.5] * 9 + [-0.9] * 5 + [-3.0] * 2, teacher=2)
    [ruling] = rulings("michel.single_heads", group(tmp_path))
    low = np.array([10, 10, 9]) * 100 / 16
    assert ruling.interval.low == pytest.approx(stats.t.interval(0.95, 2, low.mean(), stats.sem(low))[0])
    assert ruling.state == "holds"


def test_heads_that_surely_cost_a_point_speak_against_it(tmp_path: Path) -> None:
    for teacher in range(3):
        heads(tmp_path, [0.0] * 3 + [-3.0] * 13, teacher, p_value=0.001)
    [ruling] = rulings("michel.single_heads", group(tmp_path))
    assert ruling.state == "does not hold"
    text = ours(claim_of("michel.single_heads"), [ruling])
    # a head without any change is taken to be as uncertain as the others
    assert text == "19 (0 to 19) % of heads (0 of 16 surely, 13 surely not; 0 of 48 changes with p < 0.01)"


def test_errors_of_heads_come_from_answers_where_there_are_some(tmp_path: Path) -> None:
    """Every head gains one answer of 300: surely no loss of a point, of which p-values of 0.9 would say nothing."""
    folder = heads(tmp_path, [100 / ROWS] * 16, teacher=0, p_value=0.9)
    [outcome] = outcomes("michel.single_heads", group(tmp_path))
    assert outcome.note.startswith("0 of 16 surely")
    wrong = np.arange(ROWS) < 90
    models: list[tuple[dict[str, Any], RowAnswers]] = [({"ablation": "none"}, answers(wrong))]
    for layer in range(4):
        for head in range(4):
            words = dict(zip(ABLATED, ("one_off", "self", layer, head), strict=True))
            models.append((words, answers(wrong & (np.arange(ROWS) != 4 * layer + head))))
    add_answers(folder, *models)
    [outcome] = outcomes("michel.single_heads", group(tmp_path))
    assert outcome.note.startswith("16 of 16 surely")
    changes = single_head_changes(group(tmp_path), Journal())
    assert changes is not None and set(changes["by"]) == {"answers"}
    assert changes["error"].to_numpy() == pytest.approx(100 * (1 / ROWS * (1 - 1 / ROWS) / ROWS) ** 0.5, rel=0.1)


def test_a_gain_of_a_layer_is_no_loss_and_its_own_choice_is_corrected_for(tmp_path: Path) -> None:
    """The factory's four layers: changes of -0.03, -0.6, -3 and 2 points with p of 0.9, 0.2, 0.0001 and 0.002."""
    michel.ablation(tmp_path, DEMO)
    errors = [3.0 / stats.norm.isf(0.00005), 0.6 / stats.norm.isf(0.1), 2 / stats.norm.isf(0.001)]
    for protocol, level in (("dev", 0.05 / 4), ("train", 0.05)):
        [outcome] = outcomes("michel.one_head_layers", group(tmp_path), protocol=protocol)
        width = stats.norm.isf(level / 2)
        surely = [-0.03 - width * max(errors) > -1, -0.6 - width * errors[1] > -1, False, True]
        assert outcome.effect.value == 75 and outcome.note.startswith(f"{sum(surely)} of 4 surely, ")
        assert outcome.note.endswith(f"{int(-3 + width * errors[0] <= -1)} surely not")


@pytest.mark.parametrize(("sign", "state"), [(1, "holds"), (-1, "does not hold")])
def test_transfer_is_a_rank_correlation_over_teachers(tmp_path: Path, sign: int, state: str) -> None:
    for teacher in range(3):
        folder = michel.transfer(tmp_path, MINILM, teacher)
        path = folder / "tables" / "effects.csv"
        table = pd.read_csv(path)
        noise = np.random.default_rng(teacher).normal(0, 0.002, len(table))
        table["second_delta"] = sign * 2 * table["first_delta"] + noise
        table.to_csv(path, index=False)
        if not teacher:
            [alone] = rulings("michel.transfer", group(tmp_path))
            rank = stats.spearmanr(table["first_delta"], table["second_delta"]).statistic
            assert alone.outcome.effect.value == pytest.approx(rank) and alone.state == "undecided"
            assert alone.outcome.effect.main.rows_of == "heads"
    [ruling] = rulings("michel.transfer", group(tmp_path))
    assert ruling.state == state


def test_three_heads_of_many_carry_no_rank_correlation(tmp_path: Path) -> None:
    folder = michel.transfer(tmp_path, MINILM)
    path = folder / "tables" / "effects.csv"
    table = pd.read_csv(path)
    random = np.random.default_rng(1)
    table["first_delta"], table["second_delta"] = random.normal(0, 0.001, (2, len(table)))
    table.loc[:2, ["first_delta", "second_delta"]] = -0.1
    table.to_csv(path, index=False)
    [outcome] = outcomes("michel.transfer", group(tmp_path))
    assert outcome.note.endswith("Pearson 1.00") and outcome.effect.value < 0.35


def test_speed_claims_rest_on_the_repeats_of_a_quiet_machine(tmp_path: Path) -> None:
    """The factory's gain at length 128: 3 % + 18 % * min(1, batch * 128 / 2000)."""
    folder = michel.timing(tmp_path, MINILM)
    [large] = rulings("timings.large_batch_gain", group(tmp_path), "michel")
    assert large.outcome.effect.value == pytest.approx(21.0) and "length 128" in large.outcome.note
    assert large.outcome.cells == 2
    [one] = rulings("timings.batch_one_gain", group(tmp_path), "michel")
    assert one.outcome.effect.value == pytest.approx(4.152)
    table = pd.read_csv(folder / "tables" / "timings.csv")
    cell = table[(table["length"] == 128) & (table["batch_size"] == 1)].set_index("variant")
    relative = 1.2533 * (cell["high_ms"] - cell["low_ms"]) / 1.349 / cell["repeats"] ** 0.5 / cell["median_ms"]
    error = float(np.hypot(relative["original"], relative["pruned"]))
    assert one.outcome.effect.main.rows_error == pytest.approx(error, rel=1e-9)
    ends = np.exp(stats.t.interval(0.95, int(cell["repeats"].iloc[0]) - 1, loc=np.log(1.04152), scale=error))
    assert one.interval == pytest.approx(100 * (ends - 1), rel=1e-6)
    [share] = rulings("timings.attention_share", group(tmp_path), "michel")
    assert share.outcome.effect.value == pytest.approx(15.7) and share.state == "does not hold"
    runs = {"time_inference": [group(tmp_path)]}
    frame = papers.judged("michel", runs, Journal(), "a setting").frame.set_index("claim")
    speed = frame[frame.index.str.contains("speeds inference up")]["verdict"]
    assert list(speed) == ["undecided: machine not known to be quiet"] * 2
    mark_quiet(folder, {"time inference": 0.0})
    frame = papers.judged("michel", {"time_inference": [group(tmp_path)]}, Journal(), "a setting").frame
    at_one = frame[frame["claim"].str.contains("at batch 1")].iloc[0]
    assert at_one["verdict"] == ("holds" if one.interval.high < 10 else "undecided")


def test_the_table_says_what_was_not_tested(tmp_path: Path) -> None:
    michel.timing(tmp_path, MINILM)
    table = papers.judged("michel", {"time_inference": [group(tmp_path)]}, Journal(), "a setting")
    verdicts = dict(zip(table.frame["where"], table.frame["verdict"], strict=True))
    assert verdicts["Sec. 3.4, Fig. 2b"] == "not tested"
    assert verdicts["Sec. 4.3"] == "does not hold"
    assert len(table.frame) == 9
    row = table.frame.iloc[-1]
    assert (row["estimate"], row["low"], row["high"], row["margin"], row["n"]) == (
        "15.7", "15.7", "15.7", "within 28.3 to 38.3", "counted",
    )  # fmt: skip
    setting = "minilm-l6; mnli validation_matched, 2,000 rows; teachers: seed 0"
    machine = "AMD EPYC 7B13 (cpu), 2 threads, float32"
    # the last one is of a size, which no machine changes
    assert table.frame["setting"].iloc[-3:].tolist() == [
        f"{setting}; {machine}; Bonferroni over 2, 97.50 % each; not known to be quiet",
        f"{setting}; {machine}; not known to be quiet", setting,
    ]  # fmt: skip


def test_teachers_at_chance_are_named_and_in_no_number(tmp_path: Path) -> None:
    losses(tmp_path, 1.0, 2.0)
    record = group(tmp_path).records[0]
    path = record.folder / "result.json"
    path.write_text(path.read_text().replace('"above_trivial": true', '"above_trivial": false'))
    frame = papers.judged("michel", {"prune_heads": [group(tmp_path)]}, Journal(), "a setting").frame
    row = frame[frame["where"] == "Sec. 4.2, Fig. 3b"].iloc[0]
    assert row[OURS].endswith("; seed 0: not judged (teacher at chance)") or row[OURS].endswith(
        "; seed 1: not judged (teacher at chance)"
    )
    assert row["verdict"] == "undecided: only 1 teacher"
    assert verdict(claim_of("michel.prunable"), [], ["seed 0"]) == "not judged: teacher at chance"
