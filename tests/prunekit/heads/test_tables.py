"""Rows of single heads, and of layers with one head left, from comparisons that were made up."""

from __future__ import annotations

import numpy as np

from prunekit.evaluation.comparison import Comparison
from prunekit.heads.tables import best_heads, head_rows, layer_rows, without

NAN = np.nan
VALUES = np.array([[0.70, 0.90, 0.80], [0.85, 0.60, NAN]])
P_VALUES = np.array([[0.009, 0.5, 0.03], [0.02, 0.001, NAN]])
MADE_UP = Comparison("f1", 0.8, VALUES, VALUES - 0.8, P_VALUES)
PLACES = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_a_row_a_head_that_is_there() -> None:
    rows = head_rows("self", "one_off", MADE_UP, 77, 0.01)
    assert [(row["layer"], row["head"]) for row in rows] == PLACES
    assert {(row["kind"], row["ablation"], row["metric"], row["examples"], row["baseline"]) for row in rows} == {
        ("self", "one_off", "f1", 77, 0.8)
    }
    for row, place in zip(rows, PLACES, strict=True):
        assert (row["value"], row["delta"], row["p_value"]) == (VALUES[place], VALUES[place] - 0.8, P_VALUES[place])
    assert [row["significant"] for row in rows] == [True, False, False, False, True]


def test_significance_over_all_heads_by_hand() -> None:
    """Benjamini and Hochberg's bounds of five p-values at 0.05 are 0.01, 0.02, 0.03, 0.04 and 0.05."""
    rows = head_rows("self", "one_off", Comparison("f1", 0.8, VALUES, VALUES, P_VALUES), 77, 0.05)
    assert [row["significant_bh"] for row in rows] == [True, False, True, True, True]
    # at 0.01 they are 0.002, 0.004, 0.006, ...
    rows = head_rows("self", "one_off", Comparison("f1", 0.8, VALUES, VALUES, P_VALUES), 77, 0.01)
    assert [row["significant_bh"] for row in rows] == [False, False, False, False, True]
    edge = Comparison("f1", 0.8, np.zeros((1, 1)), np.zeros((1, 1)), np.full((1, 1), 0.05))
    assert head_rows("self", "one_off", edge, 1, 0.05)[0]["significant"] is False


def test_the_best_head_of_each_layer() -> None:
    assert best_heads(MADE_UP).tolist() == [1, 0]


def test_a_row_a_layer_with_the_head_that_was_chosen() -> None:
    rows = layer_rows("self", "held_out", np.array([2, 0]), MADE_UP, 40, 77, 0.025)
    assert rows == [
        {
            "kind": "self", "layer": layer, "protocol": "held_out", "head": head, "selection_examples": 40,
            "metric": "f1", "examples": 77, "baseline": 0.8, "value": VALUES[layer, head],
            "delta": VALUES[layer, head] - 0.8, "p_value": P_VALUES[layer, head], "significant": significant,
            "significant_bh": False,
        }
        for layer, head, significant in ((0, 2, False), (1, 0, True))
    ]  # fmt: skip
    # of two p-values, 0.03 and 0.02, the bounds at 0.03 are 0.015 and 0.03
    rows = layer_rows("self", "held_out", np.array([2, 0]), MADE_UP, 40, 77, 0.03)
    assert [(row["significant"], row["significant_bh"]) for row in rows] == [(False, True), (True, True)]


def test_a_layer_without_heads_has_no_row() -> None:
    values = np.array([[NAN, NAN], [0.1, 0.3]])
    pruned = Comparison("f1", 0.8, values, values - 0.8, np.array([[NAN, NAN], [0.5, 0.001]]))
    assert best_heads(pruned).tolist() == [-1, 1]
    [row] = layer_rows("self", "dev", best_heads(pruned), pruned, 5, 5, 0.01)
    assert (row["layer"], row["head"], row["p_value"], row["significant_bh"]) == (1, 1, 0.001, True)
    assert [row["layer"] for row in head_rows("self", "one_off", pruned, 5, 0.01)] == [1, 1]
    empty = Comparison("f1", 0.8, values[:1], values[:1], values[:1])
    assert layer_rows("self", "dev", best_heads(empty), empty, 5, 5, 0.01) == []
    assert head_rows("self", "one_off", empty, 5, 0.01) == []


def test_words_that_tell_an_answer() -> None:
    assert without("one_off", "enc-dec", 3, 5) == {"ablation": "one_off", "kind": "enc-dec", "layer": 3, "head": 5}
