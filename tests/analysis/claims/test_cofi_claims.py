"""The claims of Xia et al. 2022 are judged by what their file states, from records alone."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.claims import papers
from analysis.claims.criteria import shapes
from analysis.claims.table import OURS
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from prunekit.evaluation.row_answers import RowAnswers, of_labels
from tests.support.claims import rulings
from tests.support.intervals import over_runs_and_rows
from tests.support.records import cofi
from tests.support.records.frame import MINILM, add_answers, mark_quiet

CLAIMS = ("speed", "kept", "dense", "random", "distillation", "hidden", "upper", "neurons", "tasks")
NO_HIDDEN = ["layers", "heads", "neurons"]
BAND = 100 * 0.02 / stats.norm.isf(0.025)
"""Standard error of a score of the factory in points."""


def group(root: Path) -> Group:
    return Group(load([root], Journal()))


def judged(root: Path) -> Any:
    """The claims table of the records below ``root``, by short names."""
    frame = papers.judged("cofi", {"prune_cofi": [group(root)]}, Journal(), "a setting").frame
    return frame.assign(claim=list(CLAIMS)).set_index("claim")


def model_of(heads: list[int], neurons: list[int], ffn: list[int] | None = None) -> list[dict[str, Any]]:
    """A table of kept units of a model with 4 heads, 8 neurons and 16 hidden dimensions."""
    there = ffn or [1] * len(neurons)
    rows = [{"unit": unit, "layer": layer, "kept": kept, "total": total}
            for unit, found, total in (("heads", heads, 4), ("neurons", neurons, 8), ("ffn layers", there, 1))
            for layer, kept in enumerate(found)]  # fmt: skip
    return [*rows, {"unit": "hidden", "layer": 0, "kept": 12, "total": 16}]


def test_one_training_run_decides_nothing(tmp_path: Path) -> None:
    cofi.everything(tmp_path, MINILM, seeds=1)
    table = judged(tmp_path)
    tested = table[table["verdict"] != "not tested"]
    assert set(tested.index) == set(CLAIMS) - {"tasks"}
    assert set(tested["verdict"]) == {"undecided: only 1 seed", "undecided: machine not known to be quiet"}
    assert table.loc["random", "low"] == "-inf" and "rows alone" in table.loc["random", OURS]


def test_speed_is_judged_over_seeds_on_a_quiet_machine(tmp_path: Path) -> None:
    for seed, speedup in enumerate((13.0, 13.5, 14.0)):
        folder = cofi.run(tmp_path, MINILM, sparsity=0.95, seed=seed, speedup=speedup)
        mark_quiet(folder, {"measure latency": 0.0})
    cofi.run(tmp_path, MINILM, sparsity=0.95, seed=3, speedup=99, reached=False)
    cofi.run(tmp_path, MINILM, sparsity=0.6, speedup=1)
    table = judged(tmp_path)
    logs = np.log([13.0, 13.5, 14.0])
    low, high = np.exp(stats.t.interval(0.95, 2, loc=logs.mean(), scale=stats.sem(logs)))
    assert table.loc["speed", OURS] == f"sst2: 13.5 ({low:.1f} to {high:.1f}) x"
    assert (table.loc["speed", "verdict"], table.loc["speed", "n"]) == ("holds (one teacher)", "3 seeds")


def test_the_kept_score_has_to_beat_one_answer_to_all(tmp_path: Path) -> None:
    """Of an accuracy of 91.2 with one answer at 35 a share of 90 %; of an F1 of 0.84 with one at 0.80 one of 95.2 %."""
    for seed, loss in enumerate((0.01, 0.011, 0.012)):
        for task in ("sst2", "mrpc"):
            folder = cofi.run(tmp_path, MINILM, task, sparsity=0.95, seed=seed, loss=loss)
            if task == "mrpc":
                path = folder / "result.json"
                path.write_text(path.read_text().replace('"f1": 0.4', '"f1": 0.8'))
    first, second = rulings("cofi.kept_score", group(tmp_path))
    by_task = {ruling.outcome.subject: ruling for ruling in (first, second)}
    assert by_task["sst2"].margin == 90
    assert by_task["mrpc"].margin == pytest.approx(100 * 0.8 / 0.84)
    kept = np.array([0.902, 0.901, 0.9]) / 0.912
    assert by_task["sst2"].outcome.effect.value == pytest.approx(100 * kept.mean())
    error = 100 * 0.02 / stats.norm.isf(0.025) / 0.912 * (1 + kept.mean() ** 2) ** 0.5
    assert by_task["sst2"].outcome.effect.main.rows_error == pytest.approx(error, rel=0.01)
    assert by_task["sst2"].state == "holds" and by_task["mrpc"].state == "undecided"
    assert "one answer to all has 95.2 %" in by_task["mrpc"].outcome.note


def pair(root: Path, losses: list[float], against: list[float], **other: Any) -> None:
    """CoFi and another setting of it, a seed each."""
    for seed, (own, others) in enumerate(zip(losses, against, strict=True)):
        cofi.run(root, MINILM, seed=seed, loss=own, counted=0.9)
        cofi.run(root, MINILM, seed=seed, loss=others, counted=0.9, **other)


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("random", {"structure": "random"}),
    ("dense", {"structure": "dense"}),
    ("distillation", {"learn_from": "labels", "matching": "none"}),
    ("hidden", {"units": NO_HIDDEN}),
]


@pytest.mark.parametrize(("name", "other"), OTHERS)
@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ((0.20, 0.21, 0.22), "holds"),
        ((-0.20, -0.21, -0.22), "does not hold"),
        ((0.001, 0.03, 0.02), "undecided"),
    ],
)
def test_comparisons_are_pairs_over_seeds(
    tmp_path: Path, name: str, other: dict[str, Any], more: tuple[float, ...], verdict: str
) -> None:
    pair(tmp_path, [0.3] * 3, [0.3 + each for each in more], **other)
    row = judged(tmp_path).loc[name]
    assert row["verdict"].startswith(verdict)
    points = [100 * one for one in more]
    expected = (np.mean(points), *over_runs_and_rows(points, 2 * BAND**2, 872))
    assert (float(row["estimate"]), float(row["low"]), float(row["high"])) == pytest.approx(expected, rel=1e-4)


ROWS = 400
GOLD = np.random.default_rng(0).integers(0, 2, ROWS)


def answers(wrong: int) -> RowAnswers:
    return of_labels("classification", "f", GOLD, np.where(np.arange(ROWS) < wrong, 1 - GOLD, GOLD))


def test_answers_make_the_interval_that_of_pairs(tmp_path: Path) -> None:
    """Two points in three seeds, 8 of 400 answers: too little for bands, enough for pairs."""
    for seed in range(3):
        for structure, wrong in (("learned", 60), ("random", 68)):
            folder = cofi.run(tmp_path, MINILM, seed=seed, loss=wrong / ROWS, structure=structure)
            add_answers(folder, ({"stage": "dense"}, answers(40)), ({"stage": "final"}, answers(wrong)))
    [ruling] = rulings("cofi.learned_masks", group(tmp_path))
    main = ruling.outcome.effect.main
    assert main.by == "answers" and main.rows == ROWS
    assert main.rows_error == pytest.approx(100 * (0.02 * 0.98 / ROWS) ** 0.5, rel=0.06)
    assert ruling.state == "holds"
    assert "rows paired by answers" in judged(tmp_path).loc["random", "setting"]


def test_ablations_are_paired_at_the_highest_sparsity_of_both(tmp_path: Path) -> None:
    for sparsity, loss in ((0.6, 0.01), (0.9, 0.03), (0.95, 0.05)):
        cofi.run(tmp_path, MINILM, sparsity=sparsity, loss=loss)
    for sparsity, loss in ((0.6, 0.0), (0.9, 0.08)):
        cofi.run(tmp_path, MINILM, sparsity=sparsity, loss=loss, learn_from="labels", matching="none")
        cofi.run(tmp_path, MINILM, sparsity=sparsity, loss=loss - 0.06, units=NO_HIDDEN)
    table = judged(tmp_path)
    assert table.loc["distillation", OURS] == "sst2: 5.0 (rows alone 2.2 to 7.8) points (at 90 %)"
    assert table.loc["hidden", OURS] == "sst2: -1.0 (rows alone -3.8 to 1.8) points (at 90 %)"


def test_baselines_are_compared_one_to_one(tmp_path: Path) -> None:
    for sparsity, random, dense in ((0.6, 0.02, 0.9), (0.9, 0.05, 0.895)):
        cofi.run(tmp_path, MINILM, sparsity=sparsity, loss=0.03, counted=sparsity)
        cofi.run(tmp_path, MINILM, sparsity=sparsity, loss=random, counted=sparsity, structure="random")
        cofi.run(tmp_path, MINILM, sparsity=sparsity, loss=0.06, counted=dense, structure="dense")
    table = judged(tmp_path)
    assert table.loc["random", "estimate"] == "0.5"
    assert table.loc["random", OURS].endswith(" points (at 60 and 90 %)")
    assert table.loc["dense", OURS].startswith("sst2: 3.0 ")
    assert table.loc["dense", OURS].endswith(" points (90 against 90 % gone)")
    assert (table.loc["random", "n"], table.loc["random", "verdict"]) == ("1 seed, 872 rows", "undecided: only 1 seed")


def test_several_teachers_are_what_varies(tmp_path: Path) -> None:
    for teacher, seed in itertools.product(range(2), range(2)):
        cofi.run(tmp_path, MINILM, seed=seed, teacher=teacher, loss=0.03)
        cofi.run(tmp_path, MINILM, seed=seed, teacher=teacher, loss=0.05 + 0.01 * seed, structure="random")
    assert judged(tmp_path).loc["random", "n"] == "2 teachers, 872 rows"


def test_shapes_are_those_at_60_per_cent(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, sparsity=0.6, kept=model_of([4, 2, 2, 0], [4, 4, 4, 4], [1, 1, 1, 0]))
    cofi.run(tmp_path, MINILM, sparsity=0.95, kept=model_of([0, 0, 0, 1], [0, 0, 0, 8]))
    cofi.run(tmp_path, MINILM, "rte", sparsity=0.6, kept=model_of([0, 1, 2, 2], [8, 8, 8, 8]))
    table = judged(tmp_path)
    # Of 80 parameters a layer: heads 16 each (64), neurons 2 each (16): 72 and 40 against 40 and 0.
    assert table.loc["upper", OURS] == "rte: -30 points (30 against 60 % kept); sst2: 45 points (70 against 25 % kept)"
    assert table.loc["neurons", OURS] == (
        "rte: -69 points (neurons 0 %, heads 69 %); sst2: 12 points (neurons 62 %, heads 50 %)"
    )
    assert set(table.loc[["upper", "neurons"], "verdict"]) == {"undecided: only 1 seed"}


@pytest.mark.parametrize(
    ("lower", "verdict"), [([4, 4, 4], "holds"), ([0, 0, 0], "does not hold"), ([4, 0, 4], "undecided")]
)
def test_shapes_over_seeds(tmp_path: Path, lower: list[int], verdict: str) -> None:
    for seed, kept in enumerate(lower):
        heads = [kept, 2 - seed % 2]
        cofi.run(tmp_path, MINILM, sparsity=0.6, seed=seed, kept=model_of(heads, [8, 8]))
    assert judged(tmp_path).loc["upper", "verdict"].startswith(verdict)


def profiles(*rows: list[float]) -> list[np.ndarray]:
    return [np.array(row) for row in rows]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(100 * sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one))


def test_different_tasks_by_a_jackknife_and_a_permutation_over_runs() -> None:
    mine, theirs = profiles([0.1, 0.9], [0.2, 0.8], [0.15, 0.95]), profiles([0.9, 0.2], [0.8, 0.1])

    def theta(own: list[np.ndarray], others: list[np.ndarray]) -> float:
        far = [distance(a, b) for a in own for b in others]
        near = [distance(a, b) for a, b in itertools.combinations(own, 2)]
        return float(np.mean(far) - np.mean(near))

    found = shapes.jackknife([(mine, theirs)])
    assert found.value == pytest.approx(theta(mine, theirs))
    of_mine = [theta([m for j, m in enumerate(mine) if j != i], theirs) for i in range(3)]
    of_theirs = [theta(mine, [theirs[1 - i]]) for i in range(2)]
    variance = 2 / 3 * sum((x - np.mean(of_mine)) ** 2 for x in of_mine)
    variance += 1 / 2 * sum((x - np.mean(of_theirs)) ** 2 for x in of_theirs)
    error, freedom = found.error()
    assert error == pytest.approx(variance**0.5) and freedom == 1
    pool = [*mine, *theirs]
    ways = [theta([pool[i] for i in chosen], [pool[i] for i in range(5) if i not in chosen])
            for chosen in itertools.combinations(range(5), 3)]  # fmt: skip
    assert shapes.permutation([(mine, theirs)]) == pytest.approx(np.mean([w >= ways[0] - 1e-9 for w in ways])) == 0.1


def test_tasks_differ_more_than_seeds(tmp_path: Path) -> None:
    for seed, heads in enumerate(([4, 4], [4, 3])):
        cofi.run(tmp_path, MINILM, seed=seed, kept=model_of(heads, [8, 8]))
    cofi.run(tmp_path, MINILM, "rte", kept=model_of([0, 0], [8, 8]))
    table = judged(tmp_path)
    # Over two layers of two units: one head of 4 between the seeds, and 8 or 7 of the heads between the tasks.
    words = "46.9 against 6.2 between its own seeds, 1 and 2 runs, permutation p = 0.33"
    assert table.loc["tasks", OURS] == f"sst2: 40.6 points ({words})"
    assert table.loc["tasks", "verdict"] == "undecided: only 1 seed"
    for task, first in (("sst2", 4), ("rte", 0)):
        for seed in range(2, 6):
            heads = [abs(first - seed % 2), first]
            cofi.run(tmp_path, MINILM, task, seed=seed, kept=model_of(heads, [8, 8]))
    assert judged(tmp_path).loc["tasks", "verdict"] == "holds (one teacher a task)"


def test_tasks_that_are_alike_are_no_different_ones(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for task in ("sst2", "rte"):
        for seed in range(4):
            cofi.run(tmp_path, MINILM, task, seed=seed, kept=model_of(random.integers(0, 5, 2).tolist(), [8, 8]))
    assert judged(tmp_path).loc["tasks", "verdict"].startswith("undecided")


def test_what_the_records_cannot_tell_is_not_tested(tmp_path: Path) -> None:
    cofi.run(tmp_path, MINILM, sparsity=0.95, reached=False)
    table = judged(tmp_path)
    assert set(table["verdict"]) == {"not tested"}
    assert set(table["setting"]) == {"not in the records"}
    assert table.loc["distillation", "published"] == "1.9 to 6.8 points at 95 %"
    assert table.loc["dense", "published"] == "+0.6 to +65.3 points over TinyBERT4 without general distillation"
    assert table.loc["neurons", "published"] == "71 % of neurons, 39 % of heads at 60 %"


@pytest.mark.parametrize("structure", ["random", "dense"])
def test_runs_that_missed_their_target_are_no_pair(tmp_path: Path, structure: str) -> None:
    cofi.run(tmp_path, MINILM, counted=0.9)
    cofi.run(tmp_path, MINILM, counted=0.9, structure=structure, reached=False)
    assert judged(tmp_path).loc[structure, "verdict"] == "not tested"
