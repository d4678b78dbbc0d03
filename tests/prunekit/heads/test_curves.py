"""Pruning curves of an encoder: which heads go, in which order, and what a row of the table says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from prunekit.config.task import TaskConfig
from prunekit.evaluation.evaluate import Evaluated
from prunekit.evaluation.row_answers import of_labels
from prunekit.heads.curves import (
    Step,
    kept_masks,
    kept_rows,
    point,
    prune_heads,
    pruning_steps,
    score_rows,
    share_within,
    spread,
)
from prunekit.models.blocks import describe
from prunekit.models.costs import cost
from tests.support.families import batch_for, logits, tiny

SCORES = np.array([[0.5, 0.1, 0.9, 0.7], [0.2, 0.3, 1.1, 0.4], [0.6, 1.2, 0.8, 1.0]])
ORDER = [(0, 1), (1, 0), (1, 1), (1, 3), (0, 0), (2, 0), (0, 3), (2, 2), (0, 2), (2, 3), (1, 2), (2, 1)]
"""Places of SCORES from the lowest to the highest."""


def test_heads_go_from_the_lowest_score_on() -> None:
    model = tiny("bert")
    steps = list(pruning_steps(model, [0.0, 0.25, 0.5, 0.5, 1.0], lambda _: {"self": torch.from_numpy(SCORES)}))
    assert [step.share for step in steps] == [0.0, 0.25, 0.5, 0.5, 1.0]
    for step, count in zip(steps, (0, 3, 6, 6, 12), strict=True):
        assert step.removed == ORDER[:count]
        assert step.rows == [("self", 0), ("self", 1), ("self", 2)]
        assert sorted(zip(*np.nonzero(~step.keep), strict=True)) == sorted(ORDER[:count])
        assert [shape.heads for shape in describe(step.model).attention] == step.keep.sum(1).tolist()
        assert np.array_equal(step.scores, SCORES)
    assert steps[0].model is model and steps[2].model is steps[3].model


def test_a_pruned_model_is_pruned_to_the_heads_that_are_named() -> None:
    """In two steps as in one: places are those of the unpruned model."""
    model, batch = tiny("bert"), batch_for(tiny("bert"))
    *_, last = pruning_steps(model, [0.25, 0.5], lambda _: {"self": SCORES})
    everything = np.ones((3, 4), bool)
    expected = logits(prune_heads(model, last.rows, everything, last.keep), batch)
    torch.testing.assert_close(logits(last.model, batch), expected, rtol=0, atol=1e-12)
    assert (logits(model, batch) - expected).abs().max() > 1e-6


def test_scores_of_what_is_left_decide_step_by_step() -> None:
    """The lowest three go; then all others turn round, so that the highest of the first scores go next."""
    model = tiny("bert")
    asked: list[int] = []

    def estimate(pruned: Any) -> dict[str, np.ndarray]:
        asked.append(describe(pruned).heads)
        if len(asked) == 1:
            return {"self": SCORES}
        left = np.full((3, 4), 7.0)  # what stands behind the heads of a row is not read
        for row, there in enumerate(np.array([[1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]], bool)):
            left[row, : there.sum()] = -SCORES[row, there]
        return {"self": left}

    *_, last = pruning_steps(model, [0.0, 0.25, 0.5], estimate, stepwise=True)
    assert asked == [12, 9]
    assert last.removed == [*ORDER[:3], (2, 1), (1, 2), (2, 3)]
    assert np.array_equal(last.scores, SCORES)


def test_retraining_has_the_model_of_every_step() -> None:
    trained: list[Any] = []
    shares = [0.0, 0.25, 0.25, 0.5]
    steps = list(pruning_steps(tiny("bert"), shares, lambda _: {"self": SCORES}, retrain=trained.append))
    assert [id(model) for model in trained] == [id(steps[1].model), id(steps[3].model)]


def test_scores_find_their_places() -> None:
    keep = np.array([[True, False, True], [False, False, False], [False, True, False]])
    full = spread(np.array([[1.0, 2, 9], [9, 9, 9], [3, 9, 9]]), keep)
    np.testing.assert_array_equal(full, [[1, np.nan, 2], [np.nan] * 3, [np.nan, 3, np.nan]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.9, 0.85, 0.8, 0.5], 2 / 3), ([0.9, 0.7, 0.9, 0.9], 0.0), ([0.9, 0.9, 0.9, 0.8], 1.0),
        ([0.9, 0.8, 0.79, 0.9], 1 / 3),
    ],
)  # fmt: skip
def test_the_share_up_to_which_nothing_falls_below(values: list[float], expected: float) -> None:
    """A band that begins at 0.8; what comes back after a fall does not count."""
    assert share_within([{"share": n / 3, "value": value} for n, value in enumerate(values)], 0.8) == expected


def steps_of(shares: list[float]) -> list[Step]:
    return list(pruning_steps(tiny("bert"), shares, lambda _: {"self": SCORES}))


def test_a_row_of_the_curve() -> None:
    task = TaskConfig(name="mrpc", labels=["no", "yes"], metrics=["f1", "accuracy"])
    whole, step = steps_of([0.0, 0.5])
    answers = of_labels("classification", "rows", np.array([0, 1]), np.array([1, 1]))
    evaluated = Evaluated({"f1": 0.75, "accuracy": 0.5}, 0.7, 0.8, np.zeros(2), answers)
    dense, small = cost(whole.model, 11), cost(step.model, 11)
    row = point(task, step, evaluated, dense, 11)
    assert row == {
        "share": 0.5, "kinds": "self", "heads_kept": 6, "heads_total": 12, "achieved_heads": 0.5, "metric": "f1",
        "value": 0.75, "low": 0.7, "high": 0.8, "f1": 0.75, "accuracy": 0.5, "parameters": small.parameters,
        "achieved_parameters": pytest.approx((dense.parameters - small.parameters) / dense.parameters),
        "macs": small.macs, "achieved_macs": pytest.approx((dense.macs - small.macs) / dense.macs), "length": 11,
    }  # fmt: skip
    assert 0 < row["achieved_parameters"] < 1 and 0 < row["achieved_macs"] < 1


def test_heads_that_are_kept_and_their_ranks() -> None:
    _, step = steps_of([0.0, 0.25])
    kept = [(row["layer"], row["heads_kept"], row["heads"]) for row in kept_rows(step)]
    assert kept == [(0, 3, 4), (1, 2, 4), (2, 4, 4)]
    assert {(row["share"], row["kind"]) for row in kept_rows(step)} == {(0.25, "self")}
    assert kept_masks(step) == {"self": [[True, False, True, True], [False, False, True, True], [True] * 4]}
    rows = score_rows(step)
    assert [(row["layer"], row["head"]) for row in rows] == ORDER and [row["rank"] for row in rows] == list(range(12))
    assert [row["score"] for row in rows] == sorted(SCORES.ravel().tolist())
