"""Methods ranked at every budget: who is first, by how much on the same rows, in how long and with how much memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.catalogue import method_rank
from analysis.catalogue.method_rank import lines
from analysis.compare import ranks
from analysis.compare.pairs import Answered, compare_pair
from analysis.compare.ranking import contests
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.render.output import Drawing, Table
from tests.support.claims import rulings
from tests.support.intervals import over_runs_and_rows
from tests.support.records import methods
from tests.support.records.frame import MINILM, mark_quiet

WRONG: dict[str, list[int]] = {"fisher": [44, 46, 54], "ziplm": [40, 41, 39], "random": [120, 110, 130]}


def drawn(root: Path) -> tuple[Drawing, Table]:
    journal = Journal()
    figure, table = ranks.draw(Group(load([root], journal)), journal)
    assert isinstance(figure, Drawing) and isinstance(table, Table) and journal.warnings == []
    assert figure.name != table.name, "both write a CSV of their name"
    return figure, table


def row(frame: pd.DataFrame, **wanted: Any) -> dict[str, Any]:
    own = frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    assert len(own) == 1
    return dict(own.iloc[0])


def interval(apart: list[float]) -> tuple[float, float]:
    """Student's, over draws whose models answer so many shares of the rows otherwise, and over the rows."""
    wrong = np.arange(methods.ROWS) / methods.ROWS
    differs = np.mean([(wrong >= 0.1) & (wrong < 0.1 + share) for share in apart], axis=0)
    return over_runs_and_rows(apart, float(np.var(differs, ddof=1)) / methods.ROWS, methods.ROWS)


def test_every_pair_has_its_difference_and_every_method_its_place(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3, seconds=7.0, memory=3e9)
    methods.contest(tmp_path, MINILM, {"fisher": [30] * 3, "ziplm": [36] * 3}, constraint=0.7)
    figure, table = drawn(tmp_path)
    assert len(table.frame) == 3 * 2 + 2
    assert {(r.constraint, r.method, r.rank) for r in table.frame.itertuples()} == {
        (0.3, "ziplm", 1), (0.3, "fisher", 2), (0.3, "random", 3), (0.7, "fisher", 1), (0.7, "ziplm", 2),
    }  # fmt: skip
    pair = row(table.frame, constraint=0.3, method="ziplm", rival="fisher")
    assert pair["difference"] == pytest.approx(100 * 8 / methods.ROWS) and pair["runs"] == 3
    assert (pair["seconds"], pair["memory_bytes"]) == (7.0, 3e9)
    apart = [(fisher - ziplm) / methods.ROWS for fisher, ziplm in zip(WRONG["fisher"], WRONG["ziplm"], strict=True)]
    least, most = interval(apart)
    assert (pair["low"], pair["high"]) == pytest.approx((100 * least, 100 * most), abs=0.1)
    assert pair["low"] < 0 and pair["p_value"] > 0.05 and pair["teachers"] == 1
    mirrored = row(table.frame, constraint=0.3, method="fisher", rival="ziplm")
    assert mirrored["difference"] == pytest.approx(-pair["difference"])
    assert set(figure.frame["rival"]) == {"fisher"} and len(figure.frame) == 3


def test_the_table_holds_each_to_the_best_and_to_the_next(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3, seconds=7.0, memory=3e9)
    figure, table = drawn(tmp_path)
    shown = table.display.set_index("rank")
    assert list(shown["method"]) == ["ZipLM", "Fisher pruning", "random"]
    assert list(shown["score"]) == ["**90.0**", "**88.0**", "70.0"] and set(shown["MACs"]) == {"30 %"}
    assert shown.loc["1", "minus the best"] == "" and shown.loc["3", "minus the next"] == ""
    best, below = shown["minus the best"], shown["minus the next"]
    pairs = [row(table.frame, method=method, rival="ziplm") for method in ("fisher", "random")]
    second, third = (pair["p_value"] for pair in pairs)
    assert [pair["p_adjusted"] for pair in pairs] == pytest.approx([max(second, third), 2 * third]) and third < second
    assert best["2"].endswith(f"), p = {second:.2g}") and 2 * third < 0.05 < second
    assert table.frame["p_adjusted"].count() == 2 and "the 2 differences from the best together. Bold:" in table.caption
    assert best["2"].startswith("-2.0 (") and best["3"].startswith("-20.0 (")
    assert below["2"].startswith("+18.0 (") and below["2"].endswith("), random")
    assert (shown.loc["2", "seconds"], shown.loc["2", "memory (GB)"]) == ("7", "3.0")
    assert "minilm-l6" in table.caption and "upper bound" in table.caption
    chosen = "The best is chosen by the scores shown, on these rows: differences from it are too large on average"
    assert chosen in table.caption and chosen not in figure.beside, "whose reference is named beforehand, if it is run"


def test_seconds_beside_other_work_and_nothing_without_a_sign_are_said(tmp_path: Path) -> None:
    for seed in range(3):
        for method in ("fisher", "ziplm"):
            methods.answered(tmp_path, MINILM, method, 40, seed=seed)
    _, table = drawn(tmp_path)
    assert table.display["minus the next"].to_list() == ["0.0 (0.0 to 0.0), ZipLM", ""]
    assert table.display["minus the best"].to_list() == ["", "0.0 (0.0 to 0.0)"]
    assert "Among these" not in table.caption and "Not known to be quiet: 6 of 6 runs. Memory: " in table.caption
    folders = sorted((tmp_path / "compress").iterdir())
    mark_quiet(folders[0], {"search": 0.0, "measure latency": 0.5})
    ziplm = next(one for one in folders if "seconds_levels" in (one / "result.json").read_text())
    mark_quiet(ziplm, {"levels": 0.5})
    assert "Among these: timed beside other work, 1 of 6 runs; not known of " in drawn(tmp_path)[1].caption


def test_memory_is_the_least_and_seconds_that_are_alike_are_the_mean(tmp_path: Path) -> None:
    for seed, (seconds, alike, memory) in enumerate(((4.0, 90.0, 2e9), (8.0, 119.0, 5e9))):
        methods.answered(tmp_path, MINILM, "fisher", 60, seed=seed, seconds=alike, memory=memory)
        methods.answered(tmp_path, MINILM, "ziplm", 40, seed=seed, seconds=seconds, memory=memory)
    _, table = drawn(tmp_path)
    one = row(table.frame, method="ziplm")
    assert (one["seconds"], one["memory_bytes"]) == (6.0, 2e9)
    assert table.display["seconds"].to_list() == ["4 to 8", "104"]
    fisher = [path for path in (tmp_path / "compress").iterdir()
              if "seconds_levels" not in (path / "result.json").read_text()]  # fmt: skip
    mark_quiet(fisher[0], {"search": 0.5})
    assert drawn(tmp_path)[1].display["seconds"].to_list() == ["4 to 8", "90 to 119"]


def test_differences_that_are_all_small_have_a_linear_axis(tmp_path: Path) -> None:
    """One answer to all, which is 5 points below, is among what must be seen."""
    methods.contest(tmp_path, MINILM, {"fisher": [40] * 3, "ziplm": [36] * 3}, constraint=0.3)
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        record["metrics"] |= {"trivial": {"accuracy": 0.85}}
        path.write_text(json.dumps(record))
    figure, _ = drawn(tmp_path)
    [axes] = figure.figure.axes
    assert axes.get_yscale() == "linear" and "logarithmic" not in figure.key and axes.get_ylim()[0] < -5


def test_a_method_that_answers_all_alike_is_named(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, {"fisher": [40] * 3, "ziplm": [36] * 3, "flap": [100] * 3}, constraint=0.3)
    assert "one answer" not in "".join(drawn(tmp_path)[1].display["score"])
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        trivial = {"accuracy": 0.75}  # 100 of 400 rows are wrong
        record["metrics"] |= {"trivial": trivial, "accuracy": record["metrics"]["value"]}
        path.write_text(json.dumps(record))
    _, table = drawn(tmp_path)
    assert table.display["score"].to_list()[-1] == "75.0 (one answer)" and '"one answer": every run' in table.caption
    assert "one answer" not in "".join(table.display["score"][:-1])


def test_the_figure_holds_others_to_fisher_or_else_to_the_best(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, {"random": [90] * 3, "ziplm": [40] * 3, "magnitude": [60] * 3}, constraint=0.3)
    figure, _ = drawn(tmp_path)
    assert set(figure.frame["rival"]) == {"ziplm"} and set(figure.frame["method"]) == {"random", "magnitude"}
    [axes] = figure.figure.axes
    assert axes.get_ylabel() == "points minus ZipLM" and axes.get_title() == "sst2 (accuracy)"
    assert axes.get_yscale() == "symlog" and figure.key.endswith("Vertical axis of sst2: linear up to 2 points, "
                                                                 "logarithmic beyond.")  # fmt: skip
    named = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    heights = sorted(float(np.asarray(line.get_ydata())[0]) for line in named)
    assert heights == pytest.approx([-12.5, -5.0])
    methods.contest(tmp_path, MINILM, {"fisher": [80] * 3}, constraint=0.3)
    assert set(drawn(tmp_path)[0].frame["rival"]) == {"fisher"}


def test_the_best_is_that_on_average_and_not_at_one_budget(tmp_path: Path) -> None:
    for constraint, ziplm, random in ((0.3, 40, 100), (0.7, 30, 20)):
        methods.contest(tmp_path, MINILM, {"ziplm": [ziplm], "random": [random]}, constraint=constraint)
    assert set(drawn(tmp_path)[0].frame["rival"]) == {"ziplm"}


def test_no_rival_no_table(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, {"fisher": [44]}, constraint=0.3)
    methods.contest(tmp_path, MINILM, {"ziplm": [44]}, constraint=0.5)
    methods.run(tmp_path, MINILM, "random", constraint=0.3)  # without answers
    journal = Journal()
    assert ranks.draw(Group(load([tmp_path], journal)), journal) == []


def test_runs_of_another_model_are_in_no_contest(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3)
    methods.contest(tmp_path, MINILM, {"flap": [10] * 3}, constraint=0.3, teacher=1)
    journal = Journal()
    [contest] = contests(load([tmp_path], journal), journal)
    assert {one.method for one in contest.entrants} == set(WRONG)
    assert journal.warnings == [
        "sst2 at 0.3: 3 runs of compress on models that other methods did not prune, not ranked"
    ]


def test_runs_on_other_rows_are_in_no_contest(tmp_path: Path) -> None:
    methods.contest(tmp_path / "usual", MINILM, WRONG, constraint=0.3)
    methods.contest(tmp_path / "others", MINILM, {"flap": [10], "kprune": [20]}, constraint=0.3)
    for path in (tmp_path / "others").rglob("result.json"):
        result = json.loads(path.read_text())
        result["data"] = [{**item, "rows": 300, "fingerprint": "g"} for item in result["data"]]
        path.write_text(json.dumps(result))
    journal = Journal()
    assert len(list(contests(load([tmp_path / "usual", tmp_path / "others"], journal), journal))) == 1
    assert journal.warnings == ["sst2: 2 runs of compress on other models or rows, not ranked"]


def test_a_method_that_is_asked_for_is_ranked_on_the_models_that_it_has(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3)
    methods.contest(tmp_path, MINILM, {"flap": [10], "fisher": [20]}, constraint=0.3, teacher=1)
    [contest] = contests(load([tmp_path], Journal()), Journal(), "flap")
    assert [one.method for one in contest.entrants] == ["flap", "fisher"]


def test_a_sweep_over_calibration_examples_is_not_averaged(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3)
    for number in (64, 256, 1024):
        methods.contest(tmp_path, MINILM, {"ziplm": [200] * 3}, constraint=0.3, calibration_examples=number)
    one = row(drawn(tmp_path)[1].frame, method="ziplm", rival="fisher")
    assert (one["runs"], one["value"]) == (3, pytest.approx(100 * (1 - 40 / methods.ROWS)))


def test_rank_and_difference_are_of_the_same_mean(tmp_path: Path) -> None:
    for method, wrong in (("fisher", ([80, 80, 80], [160])), ("ziplm", ([88], [156, 156, 156]))):
        for teacher, numbers in enumerate(wrong):
            methods.contest(tmp_path, MINILM, {method: numbers}, constraint=0.3, teacher=teacher)
    table = drawn(tmp_path)[1].frame
    for one in table.to_dict("records"):
        other = row(table, method=one["rival"], rival=one["method"])
        assert one["difference"] == pytest.approx(one["value"] - other["value"])
    assert row(table, method="fisher")["value"] == pytest.approx(100 * (1 - (80 + 160) / 2 / methods.ROWS))


def test_models_that_as_many_other_methods_pruned_are_in_no_contest(tmp_path: Path) -> None:
    for teacher, rival in enumerate(("ziplm", "flap")):
        methods.contest(tmp_path, MINILM, {"fisher": [44], rival: [40]}, constraint=0.3, teacher=teacher)
    [contest] = contests(load([tmp_path], Journal()), Journal())
    assert len(contest.entrants) == 2 and all(len(one.records) == 1 for one in contest.entrants)
    assert len({record.teacher_run for one in contest.entrants for record in one.records}) == 1


def test_a_difference_is_the_one_that_the_claims_judge(tmp_path: Path) -> None:
    """One computation: to the last digit, over draws, and of one draw over its rows."""
    methods.contest(tmp_path / "draws", MINILM, WRONG, constraint=0.3)
    methods.contest(tmp_path / "one", MINILM, {name: wrong[:1] for name, wrong in WRONG.items()}, constraint=0.3)
    ways: dict[str, Any] = {"first": {"method": "ziplm"}, "second": {"method": "fisher"}}
    for name, test in (("draws", "Student"), ("one", "McNemar")):
        pair = row(drawn(tmp_path / name)[1].frame, method="ziplm", rival="fisher")
        [ruling] = rulings("methods.better", Group(load([tmp_path / name], Journal())), **ways)
        effect = ruling.outcome.effect
        ends = effect.alone(0.95) if name == "one" else ruling.interval
        assert ends is not None
        assert [pair["difference"], pair["low"], pair["high"]] == pytest.approx([effect.value, *ends], rel=1e-12)
        assert pair["test"] == test and pair["low"] < pair["difference"] < pair["high"]


def test_other_draws_of_each_method_are_two_samples(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, {"fisher": [44, 46, 54], "ziplm": [40, 41]}, constraint=0.3)
    figure, table = drawn(tmp_path)
    pair = row(table.frame, method="ziplm", rival="fisher")
    own, other = ([Answered("", "seed 0", methods.answers(wrong), 0, seed) for seed, wrong in enumerate(some)]
                  for some in ([40, 41], WRONG["fisher"]))  # fmt: skip
    expected = compare_pair("accuracy", own, other)
    assert (pair["low"], pair["high"]) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert (pair["runs"], pair["test"]) == (2, "Welch")
    words = "other draws than one another, the draws of each are a sample of their own (Welch)"
    assert words in table.caption and words in figure.beside
    methods.contest(tmp_path, MINILM, {"ziplm": [40, 41, 39]}, constraint=0.3)
    assert words not in drawn(tmp_path)[1].caption


def segments(axes: Any) -> list[list[float]]:
    """From where to where the line at 0 goes."""
    [line] = [one for one in axes.collections if "line at 0" in one.get_label()]
    return sorted([float(x) for x, _ in part] for part in line.get_segments())


def test_the_line_at_0_is_the_reference_and_ticks_are_the_budgets_that_were_run(tmp_path: Path) -> None:
    for constraint in (0.7, 0.3, 0.4):
        methods.contest(tmp_path, MINILM, WRONG, constraint=constraint)
    figure, _ = drawn(tmp_path)
    [axes] = figure.figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["30", "40", "70"]
    assert segments(axes) == [[-0.5, 0.5], [0.5, 1.5], [1.5, 2.5]] and list(axes.texts) == []
    _, labels = axes.get_legend_handles_labels()
    assert labels == ["ZipLM", "random", "Fisher pruning (line at 0)", "one answer to all"]
    assert axes.get_ylabel() == "points minus Fisher pruning"
    places = {line.get_label(): np.asarray(line.get_xdata(), float) for line in axes.get_lines()}
    for budget, (ziplm, random) in enumerate(zip(places["ZipLM"], places["random"], strict=True)):
        assert budget - 0.5 < ziplm < budget < random < budget + 0.5
    upright = [np.asarray(line.get_xdata(), float)[0] for line in axes.get_lines() if line.get_linewidth() == 0.6]
    assert upright == [0.5, 1.5]
    low, high = axes.get_ylim()
    assert low < figure.frame["low"].min() and high > figure.frame["high"].max()
    assert "No run of" not in figure.caption and figure.key.startswith("Means of 3 runs. Bars: 95 %")


def test_one_answer_to_all_stands_beside_scores_and_below_the_reference(tmp_path: Path) -> None:
    """A method that prunes to chance is seen to."""
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3)
    methods.contest(tmp_path, MINILM, {"fisher": [30] * 3, "ziplm": [36] * 3}, constraint=0.7)
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        record["metrics"] |= {"trivial": {"accuracy": 0.66}, "accuracy": 0.5}
        path.write_text(json.dumps(record))
    figure, table = drawn(tmp_path)
    assert set(table.display["one answer to all"]) == {"66.0"}
    assert set(table.frame["accuracy"]) == {50.0} and set(table.display["accuracy"]) == {""}, "the score is accuracy"
    axes: Any = figure.figure.axes[0]
    [dashes] = [one for one in axes.collections if one.get_label() == "one answer to all"]
    ends = [(part[0][0], part[1][0], pytest.approx(part[0][1])) for part in dashes.get_segments()]
    assert ends == [(-0.5, 0.5, 66 - 88.0), (0.5, 1.5, 66 - 92.5)] and axes.get_ylim()[0] < -26.5


def test_a_budget_without_the_reference_is_said_in_the_picture_and_beside_it(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3)
    methods.contest(tmp_path, MINILM, {"ziplm": [40] * 3, "random": [80] * 3}, constraint=0.5)
    methods.contest(tmp_path, MINILM, {"fisher": [30] * 3, "ziplm": [36] * 3}, constraint=0.7)
    figure, table = drawn(tmp_path)
    [axes] = figure.figure.axes
    assert segments(axes) == [[-0.5, 0.5], [1.5, 2.5]]
    [words] = axes.texts
    assert words.get_text() == "no run of\nFisher pruning" and words.get_position() == (1, 0)
    assert words.get_rotation() == 0
    gaps = "No run of Fisher pruning on sst2 at 50 %, so no difference there. No run of random on sst2 at 70 %. "
    assert gaps in figure.beside and gaps in table.caption
    assert set(figure.frame["constraint"]) == {0.3, 0.7}


def test_words_stand_upright_where_budgets_are_narrow_and_macs_are_the_mean(tmp_path: Path) -> None:
    for constraint in (0.3, 0.4, 0.5):
        methods.contest(tmp_path, MINILM, {"ziplm": [40], "random": [80]}, constraint=constraint)
    methods.contest(tmp_path, MINILM, {"fisher": [30] * 2, "ziplm": [36] * 2}, constraint=0.7)
    for result in (tmp_path / "compress").glob("*/result.json"):
        record = json.loads(result.read_text())
        if record["seed"] == 1:
            record["metrics"]["remaining_macs"] = 0.6  # of a budget of 0.7
            result.write_text(json.dumps(record))
    figure, table = drawn(tmp_path)
    [axes] = figure.figure.axes
    assert [words.get_rotation() for words in axes.texts] == [90, 90, 90]
    assert row(table.frame, constraint=0.7, method="ziplm")["macs_percent"] == pytest.approx(65)
    assert figure.key.startswith("Means of 2 runs. Bars: ") and "Hollow" not in figure.key


def test_the_reference_was_run_to_the_most_budgets(tmp_path: Path) -> None:
    """Not what has the best mean because it has the easy budget alone."""
    methods.contest(tmp_path, MINILM, {"ziplm": [80] * 3, "random": [120] * 3}, constraint=0.3)
    methods.contest(tmp_path, MINILM, {"ziplm": [40] * 3, "random": [60] * 3, "flap": [50] * 3}, constraint=0.7)
    assert set(drawn(tmp_path)[0].frame["rival"]) == {"ziplm"}


def test_of_models_that_as_many_methods_pruned_those_with_the_most_runs_count(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, {"fisher": [44], "ziplm": [40]}, constraint=0.3)
    methods.contest(tmp_path, MINILM, {"fisher": [44] * 2, "flap": [40] * 2}, constraint=0.3, teacher=1)
    [contest] = contests(load([tmp_path], Journal()), Journal())
    assert {one.method for one in contest.entrants} == {"fisher", "flap"}


def test_a_model_above_its_budget_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [methods.answered(tmp_path, MINILM, method, wrong, constraint=0.3)
               for method, wrong in (("fisher", 44), ("ziplm", 40), ("random", 20))]  # fmt: skip
    for folder, left in zip(folders, (0.3 * (1 + 1e-10), 0.29, 0.3001), strict=True):
        record = json.loads((folder / "result.json").read_text())
        record["metrics"]["remaining_macs"] = left
        (folder / "result.json").write_text(json.dumps(record))
    journal = Journal()
    [contest] = contests(load([tmp_path], journal), journal)
    assert [one.method for one in contest.entrants] == ["ziplm", "fisher"]
    line = f"skipped: {folders[2]}: 0.3001 of the MACs are left, above constraint=0.3"
    assert journal.warnings == [line]
    assert method_rank.main(["method=random", f"source={tmp_path}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {line}\nerror: method: 'random' has no run of compress in {tmp_path}, ")


def test_what_is_no_better_than_one_answer_is_said_beside_ranks(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3)
    for result in tmp_path.glob("compress/*/result.json"):
        record = json.loads(result.read_text())
        record["metrics"] |= {"trivial": {"accuracy": 0.509}, "above_trivial": False}
        result.write_text(json.dumps(record))
    figure, table = drawn(tmp_path)
    assert set(table.display["one answer to all"]) == {"50.9 (teacher at chance)"}
    assert not table.display.map(lambda text: "**" in str(text)).any(axis=None)
    assert [axes.get_title() for axes in figure.figure.axes] == ["sst2 (accuracy)\n(teacher at chance)"]
    [contest] = contests(load([tmp_path], Journal()), Journal())
    assert lines("fisher", contest)[0].endswith(" s; one answer to all: 50.9 (teacher at chance)")


def test_the_rank_in_the_terminal_is_that_of_the_table(tmp_path: Path) -> None:
    methods.contest(tmp_path, MINILM, WRONG, constraint=0.3, seconds=7.0)
    [contest] = contests(load([tmp_path], Journal()), Journal())
    head, *rivals = lines("fisher", contest)
    assert head == "sst2 at 0.3: fisher is 2 of 3 with accuracy 88.00, 7.0 s; one answer to all: 35.0"
    assert rivals[0].startswith("  against ziplm (90.00, 7.0 s): -2.00 (") and len(rivals) == 2
    own = row(drawn(tmp_path)[1].frame, method="fisher", rival="ziplm")
    assert f"({own['low']:+.2f} to {own['high']:+.2f}), Student p = " in rivals[0]
