"""Which method is better is judged run by run, by what the file of claims states, from records alone."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.claims import papers
from analysis.claims.table import OURS
from analysis.compare.method_pairs import method_pairs
from analysis.data.groups import Group
from analysis.data.loading import Journal, load
from tests.support.claims import claim_of, rulings
from tests.support.intervals import over_runs_and_rows
from tests.support.records import cofi, methods, michel
from tests.support.records.frame import MINILM, add_answers

CLAIMS = ("ziplm", "kprune", "local search", "weights", "uniform", "stepwise", "fisher", "cofi and ziplm",
          "flap and magnitude", "fisher and random", "ziplm and random", "kprune and random", "flap and random",
          "magnitude and random")  # fmt: skip
ZIPLM: dict[str, Any] = {"first": {"method": "ziplm"}, "second": {"method": "fisher"}}
WEIGHTS: dict[str, Any] = {"first": {"method": "fisher", "refit": "weights"},
                           "second": {"method": "fisher", "refit": "scales"}}  # fmt: skip
BAND = 100 * 0.02 / stats.norm.isf(0.025)
"""Standard error of a score of the factory in points."""


def group(root: Path, verb: str = "compress") -> Group:
    return Group([record for record in load([root], Journal()) if record.verb == verb])


def judged(root: Path) -> Any:
    """The claims table of the records below ``root``, by short names."""
    records = load([root], Journal())
    runs = {verb: [Group(own)] for verb in ("compress", "prune_heads", "prune_cofi")
            if (own := [record for record in records if record.verb == verb])}  # fmt: skip
    frame = papers.judged("methods", runs, Journal(), "a setting").frame
    return frame.assign(claim=list(CLAIMS)).set_index("claim")


def duel(root: Path, more: list[float], task: str = "sst2", *, constraint: float = 0.3, **of_rival: Any) -> None:
    """Fisher, and a rival that is better by so much, as a share, a draw each."""
    for seed, gain in enumerate(more):
        methods.run(root, MINILM, "fisher", task, constraint=constraint, seed=seed, loss=0.1)
        methods.run(root, MINILM, task=task, constraint=constraint, seed=seed, loss=0.1 - gain,
                    **{"method": "ziplm", **of_rival})  # fmt: skip


@pytest.mark.parametrize("method", ["ziplm", "kprune"])
@pytest.mark.parametrize(
    ("more", "verdict"),
    [([0.06, 0.07, 0.065], "holds"), ([-0.06, -0.07, -0.065], "does not hold"), ([0.001, 0.03, -0.01], "undecided")],
)
def test_rivals_of_fisher_are_paired_over_draws(tmp_path: Path, method: str, more: list[float], verdict: str) -> None:
    duel(tmp_path, more, method=method)
    row = judged(tmp_path).loc[method]
    assert row["verdict"].startswith(verdict) and row["n"] == "3 draws, 872 rows"
    points = [100 * one for one in more]
    found = [float(row[name]) for name in ("estimate", "low", "high")]
    assert found == pytest.approx([np.mean(points), *over_runs_and_rows(points, 2 * BAND**2, 872)], rel=1e-4)
    assert "at 30 % of the MACs" in row[OURS]


@pytest.mark.parametrize(("more", "verdict"), [(0.06, "holds"), (-0.06, "does not hold"), (0.001, "undecided")])
def test_the_local_search_is_judged_within_its_runs(tmp_path: Path, more: float, verdict: str) -> None:
    """Mean over the budgets of a draw first, and no other method's stages, options or runs that never searched."""
    gains = {(seed, constraint): more + 0.002 * seed + (constraint - 0.5) / 50
             for seed in range(3) for constraint in (0.3, 0.5, 0.7)}  # fmt: skip
    for (seed, constraint), gain in gains.items():
        own: dict[str, Any] = {"constraint": constraint, "seed": seed, "loss": 0.1}
        methods.run(tmp_path, MINILM, "ziplm", **own, loss_before=0.1 + gain)
        methods.run(tmp_path, MINILM, "fisher", **own, loss_before=0.9)
    methods.run(tmp_path, MINILM, "ziplm", seed=7, loss=0.1)
    methods.run(tmp_path, MINILM, "ziplm", loss=0.1, loss_before=0.9, options={"ratio": 0.8})
    row = judged(tmp_path).loc["local search"]
    assert row["verdict"].startswith(verdict) and row["n"] == "3 draws, 872 rows"
    assert float(row["estimate"]) == pytest.approx(100 * (more + 0.002), rel=1e-6)
    assert "at 30, 50, 70 % of the MACs" in row[OURS]


def test_high_compression_is_30_percent_and_no_other_budget(tmp_path: Path) -> None:
    duel(tmp_path, [0.06, 0.07, 0.065])
    before = judged(tmp_path).loc["ziplm", ["estimate", "low", "high"]].to_list()
    for constraint in (0.2, 0.5):
        duel(tmp_path, [-0.2, -0.2, -0.2], constraint=constraint)
    assert judged(tmp_path).loc["ziplm", ["estimate", "low", "high"]].to_list() == before


def test_a_sweep_to_other_budgets_chooses_no_options(tmp_path: Path) -> None:
    """ZipLM in its default at 30 % is judged, however many runs with other options there are to other budgets."""
    duel(tmp_path, [0.06, 0.07, 0.065])
    before = judged(tmp_path).loc["ziplm"]
    for constraint in (0.5, 0.7):
        duel(tmp_path, [-0.2] * 3, constraint=constraint, options={"damping": 0.1})
    after = judged(tmp_path).loc["ziplm"]
    assert before["verdict"] == "holds (one teacher)" and after.to_list() == before.to_list()


def test_options_that_have_the_most_pairs_count(tmp_path: Path) -> None:
    """Not those with the most runs, of draws that the other method does not have; of one method not two options."""
    duel(tmp_path, [0.06, 0.07])
    for seed in range(1, 9):
        methods.run(tmp_path, MINILM, "ziplm", constraint=0.3, seed=seed, options={"damping": 0.1})
    for seed, refit in ((2, "weights"), (3, "scales")):
        methods.run(tmp_path, MINILM, "fisher", constraint=0.3, seed=seed, refit=refit, options={"squares": True})
    records = load([tmp_path], Journal())
    [pairs] = method_pairs(records, *ZIPLM.values()).values()
    assert [(one.seed, one.config["method"]["options"]) for one, _ in pairs] == [(0, {}), (1, {})]
    methods.run(tmp_path, MINILM, "fisher", constraint=0.3, seed=2, refit="scales", options={"squares": False})
    assert method_pairs(load([tmp_path], Journal()), *WEIGHTS.values()) == {}
    methods.run(tmp_path, MINILM, "fisher", constraint=0.3, seed=3, refit="weights", options={"squares": True})
    [pairs] = method_pairs(load([tmp_path], Journal()), *WEIGHTS.values()).values()
    assert [(one.seed, other.seed) for one, other in pairs] == [(3, 3)]


def test_one_draw_decides_nothing_and_no_run_is_one_line(tmp_path: Path) -> None:
    duel(tmp_path, [0.2])
    table = judged(tmp_path)
    assert table.loc["ziplm", "verdict"] == "undecided: only 1 draw"
    assert set(table.drop(index="ziplm")["verdict"]) == {"not tested"}


def test_tasks_are_corrected_for(tmp_path: Path) -> None:
    for task in ("sst2", "mrpc"):
        duel(tmp_path, [0.06, 0.07, 0.065], task)
    both = rulings("methods.better", group(tmp_path), **ZIPLM)
    assert [(ruling.outcome.subject, ruling.confidence) for ruling in both] == [("mrpc", 0.975), ("sst2", 0.975)]
    assert judged(tmp_path).loc["ziplm", "correction"] == "Bonferroni over 2, 97.50 % each"


def test_answers_to_the_same_rows_are_paired(tmp_path: Path) -> None:
    """Eight answers more of 400 are right: by bands nothing is known of two points, by the answers much."""
    methods.contest(tmp_path, MINILM, {"fisher": [48] * 3, "ziplm": [40] * 3}, constraint=0.3)
    [ruling] = rulings("methods.better", group(tmp_path), **ZIPLM)
    main = ruling.outcome.effect.main
    assert (main.by, main.rows, main.value) == ("answers", methods.ROWS, pytest.approx(2.0))
    assert main.rows_error == pytest.approx(100 * (0.02 * 0.98 / methods.ROWS) ** 0.5, rel=0.08)
    assert ruling.state == "holds"


@pytest.mark.parametrize(
    "other",
    [
        {"weights": "sha256:bb"}, {"teacher": 1}, {"calibration_examples": 512}, {"uniform": True},
        {"labels": "predicted"}, {"budget": "parameters"}, {"refit": "scales"}, {"dtype": "bfloat16"},
    ],
    ids=str,
)  # fmt: skip
def test_what_differs_in_anything_else_is_not_paired(tmp_path: Path, other: dict[str, Any]) -> None:
    """Another model, though of the same name; another draw, budget or stage; another number format."""
    for name, how in (("other", other), ("same", {})):  # each read alone: a folder may not have both models
        duel(tmp_path / name, [0.05, 0.06], **how)
    fisher = [one for one in load([tmp_path / "same"], Journal()) if one.metrics["method"] == "fisher"]
    rivals = [[one for one in load([tmp_path / name], Journal()) if one.metrics["method"] == "ziplm"]
              for name in ("other", "same")]  # fmt: skip
    assert method_pairs([*fisher, *rivals[0]], *ZIPLM.values()) == {}
    claim = claim_of("methods.better", **ZIPLM)
    assert claim.find({"compress": [Group([*fisher, *rivals[0]])]}) is None
    both = method_pairs([*fisher, *rivals[0], *rivals[1]], *ZIPLM.values())
    assert {task: {one.folder for pair in pairs for one in pair} for task, pairs in both.items()} == {
        "sst2": {one.folder for one in [*fisher, *rivals[1]]}
    }


def test_other_evaluation_rows_are_not_paired(tmp_path: Path) -> None:
    for name in ("same", "other"):  # each read alone: of two contents of the same rows one is left out
        duel(tmp_path / name, [0.05, 0.06])
    for result in (tmp_path / "other").glob("*/*/result.json"):
        result.write_text(result.read_text().replace("sha256:cd", "sha256:ce"))
    same, other = (load([tmp_path / name], Journal()) for name in ("same", "other"))
    fisher = [one for one in same if one.metrics["method"] == "fisher"]
    assert [len(method_pairs(own, *ZIPLM.values())["sst2"]) for own in (same, other)] == [2, 2]
    assert method_pairs([*fisher, *(one for one in other if one.metrics["method"] == "ziplm")], *ZIPLM.values()) == {}


def test_every_method_is_held_to_random_units_and_flap_to_magnitude(tmp_path: Path) -> None:
    """By the runs at 50 % of the MACs alone."""
    losses = {"fisher": 0.02, "ziplm": 0.01, "kprune": 0.03, "flap": 0.2, "magnitude": 0.05, "random": 0.1}
    for seed in range(3):
        for method, loss in losses.items():
            methods.run(tmp_path, MINILM, method, constraint=0.5, seed=seed, loss=loss + 0.001 * seed)
            methods.run(tmp_path, MINILM, method, constraint=0.3, seed=seed, loss=0.5 - loss)
    table = judged(tmp_path)
    verdicts = table[[name.endswith(("random", "magnitude")) for name in table.index]]["verdict"]
    assert verdicts.map(lambda words: words.partition(":")[0]).to_dict() == {
        pair: f"{verdict} (one teacher)"
        for pair, verdict in {
            "flap and magnitude": "does not hold", "fisher and random": "holds", "ziplm and random": "holds",
            "kprune and random": "holds", "flap and random": "does not hold", "magnitude and random": "holds",
        }.items()
    }  # fmt: skip
    assert str(table.loc["fisher and random", OURS]).startswith("sst2: 8.0 (")


def test_what_is_judged_was_stated_before() -> None:
    """Whoever moves a margin, a side or what is resampled says so here as well."""
    stated = [(claim.side, claim.margin, claim.resample, claim.unit) for claim in papers.read("methods").claims]
    draws, teachers, seeds = (("above", 0, resample, "points") for resample in ("draws", "teachers", "seeds"))
    uniform = ("at least", 0, "draws", "points")
    assert stated == [draws] * 4 + [uniform, teachers, seeds, seeds] + [draws] * 6


def test_of_what_is_configured_beside_the_most_pairs_count(tmp_path: Path) -> None:
    duel(tmp_path, [0.05, 0.06])
    for dtype, method in ((dtype, method) for dtype in ("bfloat16", "float16") for method in ("fisher", "ziplm")):
        methods.run(tmp_path, MINILM, method, constraint=0.3, dtype=dtype)
    [pairs] = method_pairs(load([tmp_path], Journal()), *ZIPLM.values()).values()
    assert [(one.seed, one.config.get("dtype")) for pair in pairs for one in pair] == [(0, None)] * 2 + [(1, None)] * 2


def test_refits_are_of_the_same_masks(tmp_path: Path) -> None:
    """The method's own refit is scales; runs with another refinement or of another method are in no pair."""
    for seed, gain in enumerate((0.06, 0.07, 0.065)):
        for constraint in (0.3, 0.5):
            shared: dict[str, Any] = {"constraint": constraint, "seed": seed}
            methods.run(tmp_path, MINILM, "fisher", loss=0.1, **shared)
            methods.run(tmp_path, MINILM, "fisher", loss=0.1 - constraint * gain, refit="weights", **shared)
            methods.run(tmp_path, MINILM, "fisher", loss=0.9, refit="weights", refine="swap", **shared)
            methods.run(tmp_path, MINILM, "magnitude", loss=0.5, refit="weights", **shared)
    [ruling] = rulings("methods.better", group(tmp_path), **WEIGHTS)
    assert ruling.outcome.effect.value == pytest.approx(100 * 0.4 * 0.065)
    assert ruling.outcome.effect.main.runs == 3 and ruling.outcome.note == "at 30, 50 % of the MACs"


@pytest.mark.parametrize(
    ("cost", "verdict"), [(0.06, "does not hold"), (-0.06, "holds"), (0.0, "undecided")]
)  # fmt: skip
def test_a_uniform_shape_is_judged_against_the_free_one_of_the_same_method(
    tmp_path: Path, cost: float, verdict: str
) -> None:
    """Mean over methods and budgets of a draw; a method with one shape, other options or all heads is in no pair."""
    for seed, method, constraint in product(range(3), ("fisher", "ziplm"), (0.3, 0.5)):
        own: dict[str, Any] = {"constraint": constraint, "seed": seed}
        more = cost * (1.5 if method == "ziplm" else 0.5) + 0.001 * seed
        methods.run(tmp_path, MINILM, method, loss=0.1 * constraint, **own)
        methods.run(tmp_path, MINILM, method, loss=0.1 * constraint + more, uniform=True, **own)
    for how in ({"options": {"ratio": 0.8}}, {"all_heads": True}, {"seed": 7}):
        methods.run(tmp_path, MINILM, "ziplm", loss=0.9, uniform=True, constraint=0.3, **how)
    methods.run(tmp_path, MINILM, "flap", loss=0.5, uniform=True, constraint=0.3)
    row = judged(tmp_path).loc["uniform"]
    assert row["verdict"].startswith(verdict) and row["n"] == "3 draws, 872 rows"
    assert float(row["estimate"]) == pytest.approx(-100 * (cost + 0.001), rel=1e-6)
    assert "(fisher, ziplm at 30, 50 % of the MACs)" in row[OURS]
    [pairs] = method_pairs(load([tmp_path], Journal()), {"uniform": True}, {"uniform": False}).values()
    assert len(pairs) == 12 and all(
        (one.config["uniform"], other.config["uniform"]) == (True, False)
        and one.metrics["method"] == other.metrics["method"] and not one.config["all_heads"]
        for one, other in pairs
    )  # fmt: skip


def test_scores_anew_are_compared_share_by_share_over_teachers(tmp_path: Path) -> None:
    for teacher, gain in enumerate((0.10, 0.11, 0.105)):
        for order, more in (("importance", 0.0), ("importance_stepwise", gain)):
            values = {0.0: 0.7, 0.2: 0.69 + more, 0.6: 0.5 + 2 * more, 1.0: 0.35 + 5 * more}
            michel.pruning(tmp_path, MINILM, order, teacher, values=values)
        michel.pruning(tmp_path, MINILM, "random", teacher, seed=7, values={0.0: 0.7, 0.2: 0.1, 1.0: 0.35})
    [ruling] = rulings("methods.better_order", group(tmp_path, "prune_heads"))
    assert ruling.outcome.effect.value == pytest.approx(100 * 1.5 * 0.105)
    assert ruling.state == "holds" and len(ruling.outcome.members) == 3
    row = judged(tmp_path).loc["stepwise"]
    assert row["n"] == "3 teachers, 2,000 rows" and "; run seeds: 0; " in row["setting"]


def test_orders_that_answer_the_same_rows_are_paired(tmp_path: Path) -> None:
    """Twelve answers more of 400 are right at the one share: the rows' error is that of these answers."""
    for teacher in range(2):
        for order, wrong in (("importance", 60), ("importance_stepwise", 48)):
            values = {0.0: 0.95, 0.4: 1 - wrong / methods.ROWS, 1.0: 0.5}
            folder = michel.pruning(tmp_path, MINILM, order, teacher, values=values)
            add_answers(folder, *(({"share": share}, methods.answers(round(methods.ROWS * (1 - value))))
                                  for share, value in values.items()))  # fmt: skip
    [ruling] = rulings("methods.better_order", group(tmp_path, "prune_heads"))
    main = ruling.outcome.effect.main
    assert (main.by, main.rows, main.value) == ("answers", methods.ROWS, pytest.approx(3.0))
    assert main.rows_error == pytest.approx(100 * (0.03 * 0.97 / methods.ROWS) ** 0.5, rel=0.08)


def test_orders_are_compared_where_the_most_teachers_have_both(tmp_path: Path) -> None:
    """A condition with more runs, but of one order, says nothing of two."""
    curve = {0.0: 0.7, 0.2: 0.6, 0.6: 0.5, 1.0: 0.35}
    for teacher in range(2):
        michel.pruning(tmp_path, MINILM, "importance", teacher, values=curve)
        better = {share: value + 0.1 * (0 < share < 1) for share, value in curve.items()}
        michel.pruning(tmp_path, MINILM, "importance_stepwise", teacher, values=better)
    for teacher in range(6):
        michel.pruning(tmp_path, MINILM, "importance", teacher, values=curve, config={"floor": 1})
    michel.pruning(tmp_path, MINILM, "importance_stepwise", 0, values=curve, config={"floor": 1})
    [ruling] = rulings("methods.better_order", group(tmp_path, "prune_heads"))
    assert ruling.outcome.effect.value == pytest.approx(10)
    assert ruling.outcome.members == ("seed 0", "seed 1")


@pytest.mark.parametrize(("name", "structure"), [("fisher", "fisher"), ("cofi and ziplm", "ziplm")])
def test_learned_masks_against_those_of_one_shot(tmp_path: Path, name: str, structure: str) -> None:
    for seed in range(3):
        cofi.run(tmp_path, MINILM, seed=seed, loss=0.02 + 0.001 * seed, counted=0.9)
        cofi.run(tmp_path, MINILM, seed=seed, loss=0.12, counted=0.9, structure=structure)
    table = judged(tmp_path)
    assert table.loc[name, "verdict"] == "holds (one teacher)"
    assert float(table.loc[name, "estimate"]) == pytest.approx(9.9)
    assert set(table.drop(index=name)["verdict"]) == {"not tested"}
