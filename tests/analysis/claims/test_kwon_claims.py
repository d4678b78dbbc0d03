"""The claims of Kwon et al. 2022 are judged by what their file states, from records alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.claims import papers
from analysis.claims.table import OURS
from analysis.data import published
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from prunekit.evaluation.row_answers import RowAnswers, of_labels
from tests.support.claims import rulings
from tests.support.records import kwon
from tests.support.records.frame import MINILM, add_answers, mark_quiet, timed_again

CLAIMS = ("macs", "latency", "seconds", "labels")
BAND = 100 * 0.02 / stats.norm.isf(0.025)
"""Standard error of a score of the factory in points."""
ROWS = 400
GOLD = np.random.default_rng(0).integers(0, 2, ROWS)


def answers(wrong: int) -> RowAnswers:
    return of_labels("classification", "f", GOLD, np.where(np.arange(ROWS) < wrong, 1 - GOLD, GOLD))


def answered(root: Path, task: str, constraint: float, lost: int, seeds: int = 3) -> None:
    """Runs that lose so many answers of 400."""
    for seed in range(seeds):
        folder = kwon.pruning(root, MINILM, task, constraint=constraint, seed=seed, loss=lost / ROWS)
        add_answers(folder, ({"stage": "dense"}, answers(40)), ({"stage": "tune"}, answers(40 + lost)))


def group(root: Path) -> Group:
    return Group([record for record in load([root], Journal()) if record.verb == "prune_fisher"])


def judged(root: Path) -> pd.DataFrame:
    """The claims table of the records below ``root``, by short names."""
    frame = papers.judged("kwon", {"prune_fisher": [group(root)]}, Journal(), "a setting").frame
    return frame.assign(claim=list(CLAIMS)).set_index("claim")


def test_the_best_of_many_budgets_is_corrected_for_all_of_them(tmp_path: Path) -> None:
    """Three draws with the same loss, so that rows alone vary; an 80 % budget is looked at, but saves too little."""
    for task, loss in (("sst2", 0.02), ("rte", 0.03)):
        for seed in range(3):
            for constraint, lost in ((0.4, 0.2), (0.5, loss), (0.8, 0.001)):
                kwon.pruning(tmp_path, MINILM, task, constraint=constraint, seed=seed, loss=lost)
    first, second = rulings("kwon.fewer_macs", group(tmp_path))
    by_task = {ruling.outcome.subject: ruling for ruling in (first, second)}
    outcome = by_task["sst2"].outcome
    assert (outcome.effect.value, outcome.note, outcome.cells) == (pytest.approx(-2.0), "at 2.0 x", 3)
    assert outcome.effect.main.rows_error == pytest.approx(2**0.5 * BAND, rel=1e-6)
    expected = stats.t.interval(1 - 0.05 / 6, 871, loc=-2.0, scale=2**0.5 * BAND)
    assert by_task["sst2"].interval == pytest.approx(expected, rel=1e-5)
    table = judged(tmp_path)
    assert table.loc["macs", "correction"] == "Bonferroni over 6, 99.17 % each"
    assert str(table.loc["macs", "verdict"]).startswith("undecided: sst2: needs "), "neither seems to hold"
    assert "rte: needs " in str(table.loc["macs", "decides_at"])
    assert table.loc["macs", "n"] == "rte: 3 draws, 277 rows; sst2: 3 draws, 872 rows"


def test_one_task_is_enough_for_up_to(tmp_path: Path) -> None:
    """No answer lost in one, a fifth in the other."""
    answered(tmp_path, "sst2", 0.5, 0)
    answered(tmp_path, "rte", 0.5, 80)
    table = judged(tmp_path)
    assert table.loc["macs", "verdict"] == "holds (for 1 of 2 tasks; one teacher a task)"
    assert str(table.loc["macs", OURS]).startswith("sst2: 0.0 (0.0 to 0.0) points (at 2.0 x); rte: -20.0 (-")
    assert "rows paired by answers" in str(table.loc["macs", "setting"])


def test_all_budgets_have_to_lose_for_up_to_not_to_hold(tmp_path: Path) -> None:
    answered(tmp_path, "sst2", 0.5, 80)
    assert judged(tmp_path).loc["macs", "verdict"] == "does not hold (one teacher)"
    answered(tmp_path, "sst2", 0.4, 4)
    assert str(judged(tmp_path).loc["macs", "verdict"]).startswith("undecided")


def test_one_draw_decides_nothing(tmp_path: Path) -> None:
    answered(tmp_path, "sst2", 0.5, 0, seeds=1)
    assert judged(tmp_path).loc["macs", "verdict"] == "undecided: only 1 draw"


def test_no_budget_that_saves_enough_tests_nothing(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, constraint=0.9, loss=0.03, remaining=0.9, speedup=1.1)
    assert set(judged(tmp_path).loc[["macs", "latency"], "verdict"]) == {"not tested"}


def test_a_teacher_at_chance_judges_no_claim(tmp_path: Path) -> None:
    kwon.pruning(tmp_path, MINILM, "rte", constraint=0.5, loss=0.009, remaining=0.4, speedup=1.7)
    [path] = tmp_path.glob("*/*/result.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"metrics": record["metrics"] | {"above_trivial": False}}))
    table = judged(tmp_path)
    assert table.loc["macs", "verdict"] == "not judged: teacher at chance"
    assert table.loc["seconds", "estimate"] == "40.12", "seconds are the same whatever the teacher knows"
    assert table.loc["labels", "verdict"] == "not tested"
    assert (table.loc["macs", OURS], table.loc["labels", OURS]) == ("", "")
    assert table.loc["macs", "setting"] == "minilm-l6; rte validation, 277 rows; teachers: seed 0; run seeds: 0"
    kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5, loss=0.001)
    table = judged(tmp_path)
    assert str(table.loc["macs", OURS]).endswith("at 2.0 x); rte: not judged (teacher at chance)")
    assert table.loc["macs", "verdict"] == "undecided: only 1 draw"
    assert str(table.loc["macs", "setting"]).startswith(
        "minilm-l6; sst2 validation, 872 rows; teachers: seed 0; run seeds: 0; rows not paired"
    )


def test_latency_counts_whatever_the_budget(tmp_path: Path) -> None:
    for seed in range(3):
        kwon.pruning(tmp_path, MINILM, loss=0.001, speedup=1.3, seed=seed)
        kwon.pruning(tmp_path, MINILM, loss=0.002, speedup=1.6, budget="latency", seed=seed)
    [ruling] = rulings("kwon.faster", group(tmp_path))
    assert (ruling.outcome.effect.value, ruling.outcome.note) == (pytest.approx(-0.2), "at 1.60 x (1.60 to 1.60)")
    assert ruling.outcome.cells == 4, "two changes and two measured factors"
    assert judged(tmp_path).loc["latency", "verdict"] == "undecided: machine not known to be quiet"


def measured(root: Path, constraint: float, lost: int, *speedups: float) -> None:
    """Draws that lose so many answers of 400, each with its speed-up."""
    for seed, speedup in enumerate(speedups):
        folder = kwon.pruning(root, MINILM, constraint=constraint, seed=seed, loss=lost / ROWS, speedup=speedup)
        add_answers(folder, ({"stage": "dense"}, answers(40)), ({"stage": "tune"}, answers(40 + lost)))


@pytest.mark.parametrize(
    ("speedups", "note", "state"),
    [
        ((1.70, 1.71, 1.72), "at 1.71 x (1.69 to 1.74)", "holds"),
        ((1.50, 1.58, 1.66), "at 1.58 x (1.39 to 1.79)", "undecided"),  # seems to be fast enough
        ((1.50, 1.53, 1.56), "at 1.53 x (1.46 to 1.61)", "undecided"),  # may be
    ],
)
def test_a_budget_is_as_fast_as_its_measurements_are_sure(
    tmp_path: Path, speedups: tuple[float, ...], note: str, state: str
) -> None:
    """No answer is lost at it: only the speed-up may leave the claim open."""
    measured(tmp_path, 0.6, 0, *speedups)
    [ruling] = rulings("kwon.faster", group(tmp_path))
    assert (ruling.outcome.effect.value, ruling.outcome.note, ruling.state) == (0, note, state)
    logs, high = np.log(speedups), float(note.rpartition(" ")[2].strip(")"))
    expected = np.exp(stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs)))
    assert high == pytest.approx(expected[1], abs=0.005)


def test_a_slower_budget_that_may_be_fast_enough_keeps_a_claim_open(tmp_path: Path) -> None:
    """The sure one loses a fifth."""
    measured(tmp_path, 0.4, 80, 2.2, 2.21, 2.22)
    assert rulings("kwon.faster", group(tmp_path))[0].state == "does not hold"
    measured(tmp_path, 0.6, 0, 1.48, 1.50, 1.60)
    [ruling] = rulings("kwon.faster", group(tmp_path))
    assert (ruling.state, ruling.outcome.note) == ("undecided", "at 2.21 x (2.19 to 2.23)")
    assert ruling.interval.low < -10 and ruling.interval.high == 0
    measured(tmp_path, 0.8, 0, 1.10, 1.11, 1.12)
    assert rulings("kwon.faster", group(tmp_path))[0].interval.high == 0


def test_a_budget_that_is_too_slow_for_sure_is_none(tmp_path: Path) -> None:
    measured(tmp_path, 0.8, 0, 1.10, 1.11, 1.12)
    assert rulings("kwon.faster", group(tmp_path)) == []
    measured(tmp_path, 0.4, 80, 2.2, 2.21, 2.22)
    assert rulings("kwon.faster", group(tmp_path))[0].state == "does not hold", "the slow one loses nothing"


def timed(root: Path, task: str, *totals: float) -> None:
    """Runs of a quiet machine that take so many seconds, a draw each."""
    for seed, total in enumerate(totals):
        folder = kwon.pruning(root, MINILM, task, seed=seed)
        path = folder / "result.json"
        path.write_text(path.read_text().replace('"seconds_tune": 21.0', f'"seconds_tune": {total - 19.12}'))
        mark_quiet(folder, {"gradients": 0.0})


def test_no_interval_of_seconds_goes_below_none(tmp_path: Path) -> None:
    """Of three draws that are far apart; 180 s would be cleared by one that is linear and wide."""
    timed(tmp_path, "rte", 60.0, 150.0, 250.0)
    [ruling] = rulings("kwon.seconds", group(tmp_path))
    logs = np.log([60.0, 150.0, 250.0])
    assert ruling.outcome.effect.value == pytest.approx(np.exp(logs.mean()), rel=1e-9)
    assert ruling.interval == pytest.approx(np.exp(stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs))))
    assert 0 < ruling.interval.low < 25 and ruling.state == "undecided"
    assert judged(tmp_path).loc["seconds", OURS] == "rte: 131 (22 to 790) s"


@pytest.mark.parametrize(
    ("slow", "verdict"),
    [
        ((120.0, 122.0, 118.0), "holds (one teacher a task)"),
        ((220.0, 222.0, 218.0), "does not hold (holds for 1 of 2 tasks; one teacher a task)"),
        ((100.0, 180.0, 240.0), "undecided"),
    ],
)
def test_pruning_time_must_hold_for_every_task(tmp_path: Path, slow: tuple[float, ...], verdict: str) -> None:
    timed(tmp_path, "sst2", 40.0, 41.0, 42.0)
    timed(tmp_path, "mnli", *slow)
    row = judged(tmp_path).loc["seconds"]
    assert str(row["verdict"]).startswith(verdict)
    logs = np.log([40.0, 41.0, 42.0])
    low, high = np.exp(stats.t.interval(0.975, 2, loc=logs.mean(), scale=stats.sem(logs)))
    assert f"sst2: 41 ({low:.0f} to {high:.0f}) s" in str(row[OURS])


def test_a_task_that_was_never_quiet_keeps_all_of_them_from_holding(tmp_path: Path) -> None:
    timed(tmp_path, "sst2", 40.0, 41.0, 42.0)
    timed(tmp_path, "mnli", 120.0, 122.0, 118.0)
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        if record["config"]["task"]["name"] == "mnli":
            record["quiet"] = {stage: {**mark, "disturbed": True} for stage, mark in record["quiet"].items()}
            path.write_text(json.dumps(record))
    row = judged(tmp_path).loc["seconds"]
    assert row["verdict"] == "undecided: mnli without a quiet timing"
    assert str(row[OURS]).endswith(" s; mnli: without a quiet timing")


def test_one_task_may_be_enough_as_long_as_one_was_never_quiet(tmp_path: Path) -> None:
    """Every timed one fails, but the other might hold."""
    for task in ("sst2", "mnli"):
        for seed in range(3):
            folder = kwon.pruning(tmp_path, MINILM, task, constraint=0.5, seed=seed, loss=0.3, speedup=2.0)
            mark_quiet(folder, {"measure latency": 0.0 if task == "sst2" else 0.5})
    assert judged(tmp_path).loc["latency", "verdict"] == "undecided: mnli without a quiet timing"


def test_of_what_was_timed_again_all_draws_are_scored(tmp_path: Path) -> None:
    """Of three draws one was timed, fast enough; of another budget none."""
    for constraint in (0.5, 0.7):
        for seed, loss in enumerate((0.0, 0.03, 0.06)):
            folder = kwon.pruning(tmp_path, MINILM, "sst2", constraint=constraint, seed=seed, loss=loss, speedup=9.0)
            if (constraint, seed) == (0.5, 0):
                timed_again(tmp_path, folder, {1: 1.1, 8: 1.8})
    row = judged(tmp_path).loc["latency"]
    assert row["n"] == "3 draws, 872 rows"
    assert float(str(row["estimate"])) == pytest.approx(-3.0)
    assert "at 1.80 x (1.78 to 1.82)" in str(row[OURS])
    assert "times of 1 of 3 runs" in str(row["setting"]) and "run seeds: 0, 1, 2" in str(row["setting"])


def test_of_draws_of_one_budget_the_quiet_ones_time_it_and_all_are_scored(tmp_path: Path) -> None:
    """And another budget, of which none was quiet, is no candidate."""
    for constraint in (0.5, 0.7):
        for seed, (loss, speedup, share) in enumerate(((0.0, 1.6, 0.0), (0.03, 3.0, 0.5), (0.06, 3.0, 0.5))):
            folder = kwon.pruning(
                tmp_path, MINILM, "sst2", constraint=constraint, seed=seed, loss=loss, speedup=speedup
            )
            mark_quiet(folder, {"measure latency": share if constraint == 0.5 else 0.5})
    row = judged(tmp_path).loc["latency"]
    assert (row["n"], float(str(row["estimate"]))) == ("3 draws, 872 rows", pytest.approx(-3.0))
    assert "at 1.60 x (1.59 to 1.61)" in str(row[OURS]) and row["correction"] == "Bonferroni over 2, 97.50 % each"


def test_where_the_factor_alone_is_open_repeats_would_decide_it(tmp_path: Path) -> None:
    """Scores are sure, but 1.565 times is not yet 1.56: no number of draws helps. Times beside other work do not count.
    """
    for seed in range(3):
        folder = kwon.pruning(tmp_path, MINILM, "sst2", constraint=0.5, seed=seed, loss=-0.01, speedup=3.0)
        mark_quiet(folder, {"measure latency": 0.5})
        add_answers(folder, ({"stage": "dense"}, answers(40)), ({"stage": "tune"}, answers(36)))
        if seed == 0:
            timed_again(tmp_path, folder, {8: 1.565})
    row = judged(tmp_path).loc["latency"]
    assert str(row["verdict"]).startswith("undecided: needs ") and str(row["verdict"]).endswith(" repeats")
    assert "at 1.56 x (1.55 to 1.58)" in str(row[OURS]) or "at 1.57 x (1.55 to 1.58)" in str(row[OURS])


def test_a_teacher_at_chance_is_no_task_that_was_never_quiet(tmp_path: Path) -> None:
    for task, share in (("sst2", 0.0), ("rte", 0.5)):
        for seed in range(3):
            folder = kwon.pruning(tmp_path, MINILM, task, constraint=0.5, seed=seed, loss=0.3, speedup=2.0)
            mark_quiet(folder, {"measure latency": share})
            if task == "rte":
                path = folder / "result.json"
                path.write_text(path.read_text().replace('"above_trivial": true', '"above_trivial": false'))
    row = judged(tmp_path).loc["latency"]
    assert "does not hold" in str(row["verdict"]) and "rte" not in str(row[OURS])


def test_one_teacher_is_said_of_the_tasks_that_decide(tmp_path: Path) -> None:
    for seed in range(3):
        for task, teachers in (("sst2", 2), ("mrpc", 1)):
            for teacher in range(teachers):
                kwon.pruning(tmp_path, MINILM, task, constraint=0.5, seed=seed, teacher=teacher, loss=0.2)
    assert judged(tmp_path).loc["macs", "verdict"] == "does not hold (one teacher of mrpc)"


def test_no_interval_ends_beyond_the_metric(tmp_path: Path) -> None:
    """A score of 80 cannot rise by more than 20 points, whatever three draws that lie far apart would allow for."""
    for seed, loss in enumerate((0.0, 0.6, 0.05)):
        kwon.pruning(tmp_path, MINILM, constraint=0.5, seed=seed, loss=loss)
    [ruling] = rulings("kwon.fewer_macs", group(tmp_path))
    whole = 100 * load([tmp_path], Journal())[0].metrics["baseline"]
    assert ruling.outcome.effect.interval(ruling.confidence).high > 100 - whole
    assert ruling.interval.high == pytest.approx(100 - whole) and ruling.interval.low >= -whole


def test_predicted_labels_are_paired_with_gold_ones(tmp_path: Path) -> None:
    for constraint, gold, predicted in ((0.3, 0.10, 0.12), (0.5, 0.02, 0.01), (0.7, 0.0, None)):
        kwon.pruning(tmp_path, MINILM, constraint=constraint, loss=gold)
        if predicted is not None:
            kwon.pruning(tmp_path, MINILM, constraint=constraint, loss=predicted, labels="predicted")
    kwon.pruning(tmp_path, MINILM, constraint=0.3, seed=1, loss=0.5)  # has no partner
    row = judged(tmp_path).loc["labels"]
    assert "teachers: seed 0; run seeds: 0; rows not paired" in str(row["setting"])
    assert row[OURS] == "mnli: -0.5 (rows alone -3.3 to 2.3) points (2 budgets, -2.0 to +1.0)"
    assert (row["verdict"], row["published"]) == ("undecided: only 1 draw", "")
    for seed in (1, 2):
        for constraint in (0.3, 0.5):
            kwon.pruning(tmp_path, MINILM, constraint=constraint, seed=seed, loss=0.1)
            kwon.pruning(tmp_path, MINILM, constraint=constraint, seed=seed, loss=0.11, labels="predicted")
    [ruling] = rulings("kwon.predicted_labels", group(tmp_path))
    main = ruling.outcome.effect.main
    # of seed 1 two runs have the constraint 0.3 and gold labels: the first that was read is the partner
    assert main.runs == 3 and main.rows_error == pytest.approx(2**0.5 * BAND, rel=1e-6)


def test_what_the_records_cannot_tell_is_not_tested(tmp_path: Path) -> None:
    (kwon.pruning(tmp_path, MINILM) / "tables" / "latency.csv").unlink()
    table = judged(tmp_path)
    assert table["verdict"].to_dict()["latency"] == table["verdict"].to_dict()["labels"] == "not tested"
    assert table.loc["labels", "setting"] == "not in the records"
    assert table["published"].tolist()[:3] == [
        "up to 2.0 x", "up to 1.56 x", "< 3 minutes on one GPU",
    ]  # fmt: skip


def test_a_run_without_its_table_of_stages_has_no_band(tmp_path: Path) -> None:
    for seed in range(3):
        (kwon.pruning(tmp_path, MINILM, seed=seed, loss=0.001 * seed) / "tables" / "stages.csv").unlink()
    [ruling] = rulings("kwon.fewer_macs", group(tmp_path))
    main = ruling.outcome.effect.main
    assert (main.runs, main.rows, main.rows_error) == (3, 0, 0.0)


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
    assert str(table.loc["latency", OURS]).endswith("(at 1.60 x (1.59 to 1.61))"), "by its rounds"
    assert str(table.loc["latency", "setting"]).endswith("; 1 run beside other work left out")
    assert str(table.loc["seconds", "setting"]).endswith("not known to be quiet; 2 runs beside other work left out")
    assert table.loc["seconds", "verdict"] == "undecided: machine not known to be quiet"
    assert "work" not in str(table.loc["macs", "setting"])  # which no clock measures
    mark_quiet(unmarked, {"measure latency": 0.0})
    assert judged(tmp_path).loc["latency", "correction"] == "Bonferroni over 4, 98.75 % each"


def test_disturbed_runs_alone_give_no_verdict_on_speed(tmp_path: Path) -> None:
    mark_quiet(kwon.pruning(tmp_path, MINILM, constraint=0.5, loss=0.001), {"measure latency": 0.5})
    table = judged(tmp_path)
    assert tuple(table.loc["latency", ["verdict", "setting"]]) == ("not tested", "1 run beside other work left out")
    assert table.loc["macs", "verdict"] == "undecided: only 1 draw"


def test_a_shape_that_was_timed_again_counts_as_it_was_then(tmp_path: Path) -> None:
    first = kwon.pruning(tmp_path, MINILM, constraint=0.5, loss=0.001, speedup=1.2)
    kwon.pruning(tmp_path, MINILM, constraint=0.7, loss=0.001, speedup=1.8)
    mark_quiet(first, {"measure latency": 0.5})
    path = timed_again(tmp_path, first, {1: 1.3, 8: 1.7}) / "tables" / "latency.csv"
    pd.read_csv(path).drop(columns=["speedup_low", "speedup_high", "repeats"]).to_csv(path, index=False)
    table = judged(tmp_path)
    assert str(table.loc["latency", OURS]).endswith("(at 1.70 x, its error not recorded)")
    assert table.loc["latency", "verdict"] == "undecided: only 1 draw"
