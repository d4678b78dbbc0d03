"""Methods compared answer by answer: against loops that count, and which runs may be compared at all."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.compare import paired_table
from analysis.compare.pairs import Answered, Banded, compare_pair, p_text, with_answers
from analysis.compare.within import best_within
from analysis.data.columns import DamagedRecordError
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from analysis.data.recorded_answers import answers_of
from analysis.data.records import read_record
from analysis.intervals.replicates import of_two_samples
from analysis.intervals.row_errors import OF_95, ErrorOverRows, ScoreOnRows
from analysis.render.output import Table
from prunekit.evaluation.row_answers import RowAnswers, of_labels
from prunekit.runs.schema.answer_file import FILE
from prunekit.support.statistics import bootstrap_counts
from tests.support.intervals import over_runs_and_rows
from tests.support.records import cofi, kwon, methods, michel
from tests.support.records.frame import MINILM, add_answers

ROWS = 120
GOLD = np.random.default_rng(0).integers(0, 2, ROWS)


def answers(wrong: float, seed: int = 0, rows: str = "f") -> RowAnswers:
    """Of a model that is wrong on about this share of the rows."""
    random = np.random.default_rng([seed, round(1000 * wrong)])
    return of_labels("classification", rows, GOLD, np.where(random.random(ROWS) < wrong, 1 - GOLD, GOLD))


def model(wrong: float, teacher: str = "seed 0", seed: int = 0, rows: str = "f") -> Answered:
    return Answered(f"{teacher} {seed}", teacher, answers(wrong, seed, rows), 0, seed)


def given(one: Answered) -> np.ndarray:
    return one.answers.given["class"][:, 0]


def test_one_run_each_by_mc_nemar() -> None:
    worse, better = model(0.3), model(0.1)
    pair = compare_pair("accuracy", [worse], [better])
    lost = sum(a != gold and b == gold for a, b, gold in zip(given(worse), given(better), GOLD, strict=True))
    gained = sum(a == gold and b != gold for a, b, gold in zip(given(worse), given(better), GOLD, strict=True))
    tail = sum(comb(lost + gained, k) for k in range(min(lost, gained) + 1)) / 2 ** (lost + gained)
    assert (pair.test, pair.teachers) == ("McNemar", 1)
    assert pair.p_value == pytest.approx(min(1, 2 * tail), rel=1e-12)
    assert pair.difference == pytest.approx((gained - lost) / ROWS, abs=1e-15)
    drawn = []
    for counts in bootstrap_counts(ROWS):
        rows = np.repeat(np.arange(ROWS), counts.astype(int))
        drawn.append(float(np.mean(given(worse)[rows] == GOLD[rows]) - np.mean(given(better)[rows] == GOLD[rows])))
    assert [pair.low, pair.high] == pytest.approx(of_rows(pair.difference, drawn), abs=1e-12)
    assert pair.low < pair.difference < pair.high < 0


@pytest.mark.parametrize(
    "seeds", [((0,), (0,)), ((0, 1, 2), (0, 1, 2)), ((0, 1, 2), (3, 4))], ids=["one", "pairs", "apart"]
)
def test_the_other_way_round(seeds: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    first, second = ([model(wrong, seed=seed) for seed in own] for wrong, own in zip((0.3, 0.1), seeds, strict=True))
    there, back = compare_pair("accuracy", first, second), compare_pair("accuracy", second, first)
    for name in ("difference", "low", "high", "p_value"):
        assert getattr(there.reversed, name) == pytest.approx(getattr(back, name), rel=1e-9), name
    assert (there.reversed.test, there.reversed.by) == (back.test, back.by)


def of_rows(value: float, drawn: list[float]) -> tuple[float, float]:
    """Student's over rows, with the error of their resamples."""
    low, high = stats.t.interval(0.95, ROWS - 1, loc=value, scale=np.std(drawn, ddof=1))
    return float(low), float(high)


def f1(gold: np.ndarray, found: np.ndarray) -> float:
    return float(2 * ((gold == 1) & (found == 1)).sum() / ((gold == 1).sum() + (found == 1).sum()))


def test_other_metrics_by_their_rows() -> None:
    worse, better = model(0.22), model(0.2)
    pair = compare_pair("f1", [worse], [better])
    drawn = []
    for counts in bootstrap_counts(ROWS):
        rows = np.repeat(np.arange(ROWS), counts.astype(int))
        drawn.append(f1(GOLD[rows], given(worse)[rows]) - f1(GOLD[rows], given(better)[rows]))
    assert pair.test == "rows alone"
    expected = 2 * stats.t.sf(abs(pair.difference) / np.std(drawn, ddof=1), ROWS - 1)
    assert pair.p_value == pytest.approx(expected, rel=1e-9) and 0.05 < pair.p_value < 1
    assert [pair.low, pair.high] == pytest.approx(of_rows(pair.difference, drawn), abs=1e-12)


def resampled_error(sides: list[list[Answered]]) -> float:
    """Standard error over rows of the mean accuracy of some runs less that of others."""
    rights = [[given(one) == GOLD for one in side] for side in sides]
    drawn = [np.mean([right @ counts for right in rights[0]]) - np.mean([right @ counts for right in rights[1]])
             for counts in bootstrap_counts(ROWS)]  # fmt: skip
    return float(np.std(drawn, ddof=1)) / ROWS


def accuracies(runs: list[Answered]) -> list[float]:
    return [float(np.mean(given(one) == GOLD)) for one in runs]


def test_seeds_that_both_have_are_pairs() -> None:
    first, second = ([model(wrong, seed=seed) for seed, wrong in enumerate(some)]
                     for some in ([0.30, 0.26, 0.36], [0.1, 0.14, 0.08]))  # fmt: skip
    pair = compare_pair("accuracy", first, second[::-1])
    apart = [one - other for one, other in zip(accuracies(first), accuracies(second), strict=True)]
    expected = over_runs_and_rows(apart, resampled_error([first, second]) ** 2, ROWS)
    assert (pair.test, pair.teachers) == ("Student", 1)
    assert (pair.low, pair.high) == pytest.approx(expected, rel=1e-9)
    assert pair.difference == pytest.approx(np.mean(apart)) and (pair.p_value < 0.05) == (pair.high < 0)


def test_seeds_of_their_own_are_two_samples() -> None:
    first = [model(wrong, seed=seed) for seed, wrong in enumerate((0.3, 0.22, 0.4))]
    second = [model(wrong, seed=seed) for seed, wrong in ((7, 0.1), (8, 0.12))]
    pair = compare_pair("accuracy", first, second)
    own, others = accuracies(first), accuracies(second)
    welch = stats.ttest_ind(own, others, equal_var=False)
    parts = [np.var(values, ddof=1) / len(values) for values in (own, others)]
    error, freedom, of_rows = sum(parts) ** 0.5, int(welch.df), resampled_error([first, second])
    assert 1 < welch.df < 3 and pair.test == "Welch"
    total = error**2 + of_rows**2
    together = stats.t.ppf(0.975, total**2 / (error**4 / freedom + of_rows**4 / (ROWS - 1))) * total**0.5
    half = max(together, stats.t.ppf(0.975, freedom) * error)
    assert pair.difference == pytest.approx(np.mean(own) - np.mean(others))
    assert [pair.low, pair.high] == pytest.approx([pair.difference - half, pair.difference + half], rel=1e-9)
    assert abs(welch.statistic) == pytest.approx(pair.difference / -error)


def test_a_single_run_beside_several_has_its_rows_alone() -> None:
    several, single = [model(0.3, seed=seed) for seed in range(3)], [model(0.1, seed=4)]
    pair, error = compare_pair("accuracy", several, single), resampled_error([several, single])
    expected = stats.t.interval(0.95, ROWS - 1, loc=pair.difference, scale=error)
    assert pair.test == "rows alone" and (pair.low, pair.high) == pytest.approx(expected, rel=1e-9)


def test_samples_that_are_all_alike_have_no_error() -> None:
    one = of_two_samples([2.0, 2.0, 2.0], [1.0, 1.0], ErrorOverRows(0.0, ROWS, "answers"))
    assert one.interval(0.95) == (1, 1)


def test_a_difference_is_of_teachers_that_both_have() -> None:
    first = [model(0.3, "a"), model(0.4, "b", 1), model(0.2, "b", 2), model(0.9, "c")]
    second = [model(0.1, "a", 3), model(0.2, "b", 4)]
    pair = compare_pair("accuracy", first, second)
    own = accuracies([*first, *second])
    by_teacher = [own[0] - own[4], (own[1] + own[2]) / 2 - own[5]]
    assert pair.difference == pytest.approx(np.mean(by_teacher))
    assert (pair.teachers, pair.test) == (2, "Student")
    drawn = []
    for counts in bootstrap_counts(ROWS):
        of_each = [((given(run) == GOLD) @ counts) / ROWS for run in (*first, *second)]
        drawn.append((of_each[0] - of_each[4] + (of_each[1] + of_each[2]) / 2 - of_each[5]) / 2)
    expected = over_runs_and_rows(by_teacher, float(np.var(drawn, ddof=1)), ROWS)
    assert (pair.low, pair.high) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="no teacher in common"):
        compare_pair("accuracy", first[:1], second[1:])
    with pytest.raises(ValueError, match="answers to different rows: f and g"):
        compare_pair("accuracy", first, [model(0.1, "a", rows="g")])


def banded(value: float, seed: int, error: float = 0.01) -> Banded:
    return Banded("", "seed 0", ScoreOnRows(value, error, ROWS), seed)


def test_without_answers_each_score_has_its_band_and_runs_of_a_method_move_together() -> None:
    single = compare_pair("accuracy", [banded(0.8, 0)], [banded(0.9, 5, 0.02)])
    low, high = stats.t.interval(0.95, ROWS - 1, loc=-0.1, scale=np.hypot(0.01, 0.02))
    assert (single.low, single.high) == pytest.approx((low, high), abs=1e-9) and single.by == "bands"
    assert single.test == "rows alone", "exact McNemar's needs answers"
    alike = compare_pair("accuracy", [banded(0.8, seed) for seed in range(3)], [banded(0.9, 5, 0.02)])
    assert (alike.low, alike.high) == pytest.approx((low, high), abs=1e-9), "three draws on the same rows are no more"
    pairs = compare_pair("accuracy", [banded(0.8 + 0.01 * seed, seed) for seed in range(3)],
                         [banded(0.9, seed, 0.02) for seed in range(3)])  # fmt: skip
    expected = over_runs_and_rows([-0.1, -0.09, -0.08], 0.01**2 + 0.02**2, ROWS)
    assert pairs.test == "Student" and (pairs.low, pairs.high) == pytest.approx(expected, abs=1e-9)


def test_answers_count_where_all_models_of_a_pair_have_them() -> None:
    told = Banded("", "seed 0", ScoreOnRows(0.9, 0.01, ROWS, "accuracy", answers(0.1), 0), 4)
    both = with_answers([told], [told])
    assert [type(models[0]) for models in both] == [Answered, Answered]
    pair = compare_pair("accuracy", *both)
    assert pair.same_answers and pair.undecided and pair.by == "answers"
    mixed = compare_pair("accuracy", *with_answers([told], [told, banded(0.9, 1)]))
    assert mixed.by == "bands" and not mixed.same_answers


SST2 = [{"role": "evaluation", "name": "sst2", "source": "nyu-mll/glue", "split": "validation", "rows": 872,
         "rows_available": 872}]  # fmt: skip


def everything(root: Path) -> list[Path]:
    """Heads, Fisher pruning of three seeds and CoFi, with answers."""
    curve = {0.0: 0.912, 0.3: 0.90, 0.7: 0.80, 1.0: 0.5}
    heads = michel.pruning(root, MINILM, "importance", 0, task="sst2", data=SST2, values=curve)
    add_answers(heads, *[({"share": share}, answers(1 - value, 9)) for share, value in curve.items()])
    folders = [heads]
    for seed in range(3):
        fisher = kwon.pruning(root, MINILM, "sst2", seed=seed, constraint=0.5, loss=0.1)
        add_answers(fisher, ({"stage": "dense"}, answers(0.05)), ({"stage": "tune"}, answers(0.3, seed)))
        folders.append(fisher)
    learned = cofi.run(root, MINILM, sparsity=0.6, counted=0.6, loss=0.01)
    add_answers(learned, ({"stage": "dense"}, answers(0.05)), ({"stage": "final"}, answers(0.1, 4)))
    return [*folders, learned]


def drawn(root: Path) -> tuple[list[Table], Journal]:
    journal = Journal()
    tables = paired_table.draw(Group(load([root], journal)), journal)
    assert all(isinstance(table, Table) for table in tables)
    return tables, journal  # type: ignore[return-value]


def test_each_method_is_compared_with_the_best(tmp_path: Path) -> None:
    everything(tmp_path)
    (table,), journal = drawn(tmp_path)
    assert table.name == "paired" and journal.warnings == []
    rows = {(row["level"], row["method"]): row for row in table.frame.to_dict("records")}
    assert {row["best"] for row in rows.values()} == {"prune_cofi learned"}
    fisher = rows[50.0, "prune_fisher fisher"]
    pair = compare_pair("accuracy", [model(0.3, seed=seed) for seed in range(3)], [model(0.1, seed=4)])
    assert fisher["difference"] == pytest.approx(100 * pair.difference) and fisher["difference"] < -5
    assert [fisher["low"], fisher["high"]] == pytest.approx([100 * pair.low, 100 * pair.high])
    assert (fisher["runs"], fisher["best_runs"], fisher["rows"], fisher["test"]) == (3, 1, ROWS, "rows alone")
    heads = rows[75.0, "prune_heads importance"]
    single = compare_pair("accuracy", [Answered("", "seed 0", answers(1 - 0.5, 9), 0)], [model(0.1, seed=4)])
    assert heads["asked"] == 1.0 and heads["test"] == "McNemar"
    assert heads["p_value"] == single.p_value
    tests = sorted({(row["p_value"], row["method"], row["asked"]) for row in rows.values()})
    adjusted = [min(p * len(tests) / rank for rank, (p, *_) in enumerate(tests, 1) if rank >= place)
                for place in range(1, len(tests) + 1)]  # fmt: skip
    expected = {(method, asked): value for (_, method, asked), value in zip(tests, adjusted, strict=True)}
    assert len(tests) == 2
    for row in rows.values():
        assert row["p_adjusted"] == pytest.approx(expected[row["method"], row["asked"]])
    shown = table.display.set_index("method")
    assert list(shown.columns) == ["task", "at most 75 %", "at most 50 %", "runs", "one answer to all"]
    text = f"{fisher['difference']:+.1f}° ({fisher['low']:+.1f} to {fisher['high']:+.1f}), "
    assert shown.loc["Fisher pruning", "at most 50 %"] == text + p_text(fisher["p_adjusted"])
    assert shown.loc["CoFi", "at most 50 %"] == "**best: 90.2**" and shown.loc["Fisher pruning", "runs"] == "3"
    assert shown.loc["heads by importance", "at most 50 %"] == "", "too large a model"
    assert "after Benjamini-Hochberg over the 2 comparisons of this table together" in table.caption
    assert "°: over rows alone" in table.caption and "Rows are paired by recorded answers on sst2." in table.caption
    assert table.caption.startswith("Worse than the best with p < 0.05, of several runs each: none.")


def test_what_is_worse_for_all_that_draws_may_do_is_said_first(tmp_path: Path) -> None:
    for seed in range(3):
        for method, wrong in (("flap", 0.1), ("random", 0.4), ("magnitude", 0.12)):
            folder = methods.run(tmp_path, MINILM, method, seed=seed, constraint=0.5, loss=wrong)
            add_answers(folder, ({"stage": methods.last_stage(method)}, answers(wrong)))
        fisher = kwon.pruning(tmp_path, MINILM, "sst2", seed=seed, constraint=0.5, loss=0.1)
        add_answers(fisher, ({"stage": "tune"}, answers(0.1)))
    for path in tmp_path.rglob("result.json"):
        path.write_text(path.read_text().replace("sha256:ab", "sha256:cd"))
    (table,), _ = drawn(tmp_path)
    said = "Worse than the best with p < 0.05, of several runs each: on sst2 with at most 75 % compress: random. "
    assert table.caption.startswith(said)
    shown = table.display.set_index("method")["at most 75 %"]
    assert shown["compress: FLAP"].startswith("**best: ") and shown["Fisher pruning"] == "**no difference on any row**"
    assert shown["compress: weight magnitude"][:3] in ("**-", "**+") and shown["compress: random"].startswith("-")
    assert len(table.frame.dropna(subset=["p_adjusted"])) == 4, "two comparisons, at two levels each"


def test_runs_without_answers_are_compared_by_bands(tmp_path: Path) -> None:
    folders = everything(tmp_path)
    forget(folders[0])
    (table,), journal = drawn(tmp_path)
    rows = {(row["level"], row["method"]): row for row in table.frame.to_dict("records")}
    heads, fisher = rows[75.0, "prune_heads importance"], rows[75.0, "prune_fisher fisher"]
    assert (heads["by"], fisher["by"]) == ("bands", "answers") and journal.warnings == []
    error = 0.02 / OF_95 * 2**0.5
    expected = stats.t.interval(0.95, ROWS - 1, loc=heads["value"] - heads["best_value"], scale=100 * error)
    assert (heads["low"], heads["high"]) == pytest.approx(expected, abs=1e-6)
    assert "Of some comparisons on sst2 answers were not recorded: scores are taken to be ind" in table.caption
    for folder in folders[1:]:
        forget(folder)
    (table,), journal = drawn(tmp_path)
    assert set(table.frame["by"]) == {"bands"} and "paired by recorded" not in table.caption
    assert journal.warnings == []


def test_methods_of_other_teachers_are_not_compared(tmp_path: Path) -> None:
    """As where a method was run in blocks of one teacher, another's blocks are still to come."""
    for teacher, score, loss in ((0, "fisher", 0.01), (1, "random", 0.2)):
        curve = {0.0: 0.9, 1.0: 0.5}
        heads = michel.pruning(tmp_path, MINILM, "importance", teacher, task="sst2", data=SST2, values=curve)
        add_answers(heads, *[({"share": share}, answers(1 - value, teacher)) for share, value in curve.items()])
        units = kwon.pruning(tmp_path, MINILM, "sst2", teacher=teacher, constraint=0.5, score=score, loss=loss)
        add_answers(units, ({"stage": "dense"}, answers(0.05)), ({"stage": "tune"}, answers(loss)))
    (table,), journal = drawn(tmp_path)
    rows = {row["method"]: row for row in table.frame[table.frame["level"] == 75].to_dict("records")}
    assert rows.keys() == {"prune_heads importance"} and rows["prune_heads importance"]["teachers"] == 1
    assert journal.warnings == []


def test_nothing_is_bold_where_the_teacher_is_at_chance(tmp_path: Path) -> None:
    everything(tmp_path)
    for path in tmp_path.rglob("result.json"):
        record = json.loads(path.read_text())
        record["metrics"] |= {"trivial": {"accuracy": 0.509}, "above_trivial": False}
        path.write_text(json.dumps(record))
    (table,), _ = drawn(tmp_path)
    assert table.display.set_index("method").loc["CoFi", "at most 50 %"] == "best: 90.2"
    assert not table.display.map(lambda text: "**" in str(text)).any(axis=None)


def test_answers_of_one_side_without_a_band_compare_with_nothing(tmp_path: Path) -> None:
    heads, *others = everything(tmp_path)
    curve = pd.read_csv(heads / "tables" / "points.csv").drop(columns=["low", "high"])
    curve.to_csv(heads / "tables" / "points.csv", index=False)
    for folder in others:
        forget(folder)
    (table,), _ = drawn(tmp_path)
    assert set(table.frame["method"]) == {"prune_fisher fisher"} and table.frame["p_value"].gt(0).all()


def test_one_lucky_run_does_not_take_the_place_of_several() -> None:
    """At 60 % of the MACs one run, at 70 % three; what is smaller than all of them counts where they are too large."""
    frame = pd.DataFrame({
        "method": ["a"] * 3 + ["b"] * 2, "macs_percent": [70.0, 60.0, 40.0, 90.0, 70.0],
        "value": [80.0, 90.0, 70.0, 99.0, 81.0], "runs": [3, 1, 1, 3, 1],
    })  # fmt: skip
    assert best_within(frame, 75)[["method", "value"]].to_numpy().tolist() == [["a", 80.0], ["b", 81.0]]
    assert best_within(frame, 65)["value"].tolist() == [90.0]
    assert best_within(frame, 100)["value"].tolist() == [80.0, 99.0]
    more = frame.assign(runs=[1, 3, 3, 3, 3])
    assert best_within(more, 75)["value"].tolist() == [90.0, 81.0]


def forget(folder: Path) -> None:
    (folder / FILE).unlink()
    result = json.loads((folder / "result.json").read_text())
    del result["answers"]
    (folder / "result.json").write_text(json.dumps(result))


def test_answers_to_other_rows_are_named_and_not_compared(tmp_path: Path) -> None:
    *_, learned = everything(tmp_path)
    fisher = sorted((tmp_path / "prune_fisher").iterdir())[0]
    other = answers(0.3, rows="g")
    text = (fisher / "result.json").read_text()
    add_answers(fisher, ({"stage": "tune"}, other))
    (fisher / "result.json").write_text(text)
    (learned / FILE).write_bytes(b"PK")
    (table,), journal = drawn(tmp_path)
    of_rows, cut = sorted(journal.warnings, key=lambda line: str(learned) in line)
    assert of_rows == (
        f"not compared pair by pair: {fisher / FILE}: {ROWS} answers to rows g, the record has {ROWS} rows f"
    )
    assert cut.startswith(f"not compared pair by pair: {learned / FILE}: no archive of arrays, or cut")
    assert set(table.frame["by"]) == {"bands"} and set(table.frame["runs"]) == {1, 3}


def test_a_file_that_the_record_promises(tmp_path: Path) -> None:
    *_, learned = everything(tmp_path)
    record = read_record(learned)
    assert record is not None and record.answers == {"evaluation": 2}
    sheet = answers_of(record)
    assert sheet is not None and sheet.of(stage="final") == 1
    with pytest.raises(DamagedRecordError, match="no answers to the rows of second"):
        answers_of(record, "second")
    (learned / FILE).unlink()
    with pytest.raises(DamagedRecordError, match="missing"):
        answers_of(record)
    assert answers_of(record, "second") is None
