"""Errors over evaluation rows: from answers against a loop over resamples, from bands against independence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.data.loading import Journal, load
from analysis.intervals.estimates import ANSWERS, BANDS
from analysis.intervals.row_errors import RESAMPLES, ScoreOnRows, Scores, difference, errors_by_test, row_error
from prunekit.evaluation.row_answers import RowAnswers, of_labels
from prunekit.support.statistics import bootstrap_counts, mcnemar, spearman, spearman_error
from tests.support.records import cofi
from tests.support.records.frame import MINILM, add_answers

ROWS = 150
GOLD = np.random.default_rng(0).integers(0, 2, ROWS)


def right(share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(ROWS) < share


def answers(marks: np.ndarray, rows: str = "f") -> RowAnswers:
    return of_labels("classification", rows, GOLD, np.where(marks, GOLD, 1 - GOLD))


def answered(marks: np.ndarray, rows: str = "f") -> ScoreOnRows:
    return ScoreOnRows(float(marks.mean()), 0.04, ROWS, "accuracy", answers(marks, rows), 0)


def test_answers_are_resampled_together() -> None:
    first, second, third = right(0.9, 1), right(0.85, 2), right(0.7, 3)
    found = row_error([[answered(first), answered(second)], [answered(third), answered(second)]], difference)
    drawn = []
    for counts in bootstrap_counts(ROWS, resamples=RESAMPLES):
        rows = np.repeat(np.arange(ROWS), counts.astype(int))
        one, two, three = (marks[rows].mean() for marks in (first, second, third))
        drawn.append(100 * ((one - two) + (three - two)) / 2)
    assert found.by == ANSWERS and found.rows == ROWS
    assert found.error == pytest.approx(np.std(drawn, ddof=1), rel=1e-9)
    assert row_error([[answered(first), answered(first)]], difference).error == 0, "equal answers differ on no rows"


def test_bands_are_independent_within_a_run_and_together_over_runs() -> None:
    one, two = ScoreOnRows(0.8, 0.012, ROWS), ScoreOnRows(0.7, 0.016, ROWS)
    unpaired = row_error([[one, two]], difference)
    assert unpaired.by == BANDS and unpaired.error == pytest.approx(100 * 0.02, rel=1e-9)
    assert row_error([[one, two]] * 3, difference).error == pytest.approx(unpaired.error), "the rows are the same"
    ratio = row_error([[one, two]], lambda own, whole: 100 * own / whole).error
    assert ratio == pytest.approx(100 * (0.8 / 0.7) * math.hypot(0.012 / 0.8, 0.016 / 0.7), rel=0.01)


def test_answers_to_other_rows_are_no_pairs_and_without_a_band_nothing_is_known() -> None:
    marks = right(0.9, 1)
    assert row_error([[answered(marks), answered(marks, rows="g")]], difference).by == BANDS
    assert math.isnan(row_error([[ScoreOnRows(0.8, math.nan, ROWS), ScoreOnRows(0.7, 0.02, ROWS)]], difference).error)


def test_scores_of_a_record(tmp_path: Path) -> None:
    folder = cofi.run(tmp_path, MINILM)
    record = load([tmp_path], Journal())[0]
    plain = Scores(record, Journal()).of(record.metrics, stage="final")
    assert plain.answers is None and plain.error == pytest.approx(0.02 / stats.norm.isf(0.025))
    final: tuple[dict[str, Any], RowAnswers] = ({"stage": "final"}, answers(right(0.8, 1)))
    add_answers(folder, ({"stage": "dense"}, answers(right(0.9, 2))), final)
    scores = Scores(load([tmp_path], Journal())[0], Journal())
    assert (scores.of(record.metrics, stage="final").model, scores.unpruned(stage="dense").model) == (1, 0)
    assert scores.of(record.metrics, stage="no such").answers is None
    (folder / "answers.npz").write_bytes(b"broken")
    journal = Journal()
    assert Scores(load([tmp_path], Journal())[0], journal).sheet is None
    assert len(journal.warnings) == 1


def test_errors_that_p_values_imply_are_about_those_of_the_paired_difference() -> None:
    baseline = right(0.85, 1)
    deltas, p_values, direct = [], [], []
    for seed in range(2, 9):
        other = np.where(np.random.default_rng(seed).random(ROWS) < 0.15, ~baseline, baseline)
        change = other.astype(float) - baseline
        deltas.append(float(change.mean()))
        p_values.append(float(mcnemar(baseline, other)))
        direct.append(float(stats.sem(change)))
    for error, p, own in zip(errors_by_test(deltas, p_values), p_values, direct, strict=True):
        if p <= 0.5:
            assert own < error < 1.5 * own, "the exact test is a little conservative"
    assert errors_by_test([0.01, 0.0], [0.05, 1.0]) == pytest.approx([0.01 / stats.norm.isf(0.025)] * 2)
    assert math.isnan(errors_by_test([0.0], [1.0])[0])


def test_the_bootstrap_of_a_rank_correlation_is_the_loop() -> None:
    random = np.random.default_rng(2)
    first = random.normal(size=30)
    second = np.round(0.5 * first + random.normal(size=30), 1)
    drawn = [spearman(first[rows], second[rows])
             for rows in np.random.default_rng(4).integers(30, size=(50, 30))]  # fmt: skip
    assert spearman_error(first, second, resamples=50, seed=4) == pytest.approx(np.std(drawn, ddof=1), rel=1e-9)
