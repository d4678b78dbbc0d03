"""Answers against a plain loop over all spans; exact match and F1 against values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prunekit.data.answers import CANDIDATES, Spans, answers, best_spans, normalised, question_scores, resampled_mean
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds import encode
from prunekit.data.kinds.questions import Answer, Windows
from prunekit.data.rows import load_rows
from prunekit.support.statistics import bootstrap_counts
from tests.support.squad_data import WORDS, generated, squad_task, tokenizer, written

LENGTH = 24


def windows_of(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Windows:
    found = encode(load_rows(squad_task(files={"train": str(written(folder, rows))}, **settings), "train"), tokenizer())
    assert isinstance(found, Windows)
    return found


def context_of(windows: Windows) -> torch.Tensor:
    mask = torch.zeros(len(windows), LENGTH, dtype=torch.bool)
    for window, (first, places) in enumerate(zip(windows.first, windows.offsets, strict=True)):
        mask[window, first : first + len(places)] = True
    return mask


def plain_answer(windows: Windows, row: int, start: torch.Tensor, end: torch.Tensor) -> str:
    """The best of the spans of every window, one by one."""
    best, found = -np.inf, ""
    for window in np.flatnonzero(windows.question == row):
        first, places = windows.first[window], windows.offsets[window]
        tokens = range(first, first + len(places))
        starts = sorted(tokens, key=lambda token, w=window: -start[w, token])[:CANDIDATES]  # type: ignore[misc]
        ends = sorted(tokens, key=lambda token, w=window: -end[w, token])[:CANDIDATES]  # type: ignore[misc]
        for low in starts:
            for high in ends:
                score = float(start[window, low] + end[window, high])
                if low <= high < low + windows.rows.task.answer_length and score > best:
                    best = score
                    found = windows.rows.texts[row][1][places[low - first, 0] : places[high - first, 1]]
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_the_best_span_over_all_windows(tmp_path: Path, seed: int) -> None:
    windows = windows_of(tmp_path, generated(60, seed=seed))
    assert len(windows) > 100
    generator = torch.Generator().manual_seed(seed)
    start, end = (torch.randn(len(windows), LENGTH, generator=generator, dtype=torch.float64) for _ in "se")
    found = answers(windows, best_spans(start, end, context_of(windows), 4))
    assert found == [plain_answer(windows, row, start, end) for row in range(60)]
    assert sum(len(answer.split()) > 1 for answer in found) > 10


def test_gold_positions_give_the_gold_answers(tmp_path: Path) -> None:
    windows = windows_of(tmp_path, generated(60))
    start, end = torch.zeros(len(windows), LENGTH), torch.zeros(len(windows), LENGTH)
    start[torch.arange(len(windows)), torch.from_numpy(windows.start)] = 5
    end[torch.arange(len(windows)), torch.from_numpy(windows.end)] = 5
    found = answers(windows, best_spans(start, end, context_of(windows), 4))
    scores = question_scores(windows.rows, found)
    assert scores["exact_match"].mean() == scores["answer_f1"].mean() == 1


def test_answers_are_not_too_long_and_not_backwards() -> None:
    start, end = torch.zeros(1, 40), torch.zeros(1, 40)
    start[0, 10], end[0, 5], end[0, 25], end[0, 12] = 9, 9, 9, 3
    found = best_spans(start, end, torch.ones(1, 40, dtype=torch.bool), 8)
    assert (found.start.item(), found.end.item(), found.score.item()) == (10, 12, 12)


def test_padding_is_no_answer() -> None:
    """Not even where it has the best scores, and fewer places than there are candidates."""
    generator = torch.Generator().manual_seed(0)
    start, end = (torch.randn(3, 15, generator=generator) for _ in range(2))
    context = torch.arange(15).expand(3, -1) >= 4
    first, last = (torch.nn.functional.pad(scores, (0, 11), value=100.0) for scores in (start, end))
    found = best_spans(first, last, torch.nn.functional.pad(context, (0, 11)), 5)
    for own, expected in zip(vars(found).values(), vars(best_spans(start, end, context, 5)).values(), strict=True):
        assert torch.equal(own, expected)


def test_scores_that_are_no_numbers_answer_nothing(tmp_path: Path) -> None:
    windows = windows_of(tmp_path, generated(5))
    lost = torch.full((len(windows), LENGTH), torch.nan)
    assert answers(windows, best_spans(lost, lost, context_of(windows), 4)) == [""] * 5


def test_no_answer_where_its_score_exceeds_the_threshold(tmp_path: Path) -> None:
    """One question of two windows; no answer counts with its lower score."""
    row = {"question": "w1", "context": " ".join(WORDS[:25]), "answers": {"text": [], "answer_start": []}}
    for threshold, expected in ((None, "w3"), (0.5, ""), (1.5, "w3")):
        windows = windows_of(tmp_path, [row], no_answer=0.0)
        windows.rows.task.no_answer = threshold
        assert len(windows) == 2
        token = torch.tensor([windows.first[0] + 3, windows.first[1]])
        spans = Spans(torch.tensor([2.0, 1.0]), token, token, torch.tensor([9.0, 3.0]))
        assert answers(windows, spans) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Quick, brown fox!", "quick brown fox"),
        ("a an the A theatre", "theatre"),
        ("Don't", "dont"),
        ("1,000.5", "10005"),
        ("Él niño ¿the 10 €", "él niño ¿ 10 €"),
        ("an\tapple\n", "apple"),
        ("--", ""),
        ("a-the-b", "atheb"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "f1"),
    [
        ("Denver Broncos", ["Denver Broncos"], 1, 1),
        ("the Denver Broncos.", ["Denver Broncos"], 1, 1),
        ("Denver", ["Denver Broncos"], 0, 2 / 3),
        ("Denver Broncos team", ["Broncos", "Denver Broncos"], 0, 0.8),
        ("Carolina", ["Denver Broncos"], 0, 0),
        ("", ["Denver Broncos"], 0, 0),
        ("to be or not to be", ["be not to be"], 0, 2 * 4 / 10),
        ("a b b", ["b b c"], 0, 0.8),
        ("", [], 1, 1),
        ("Denver", [], 0, 0),
        ("café", ["Café"], 1, 1),
    ],
)
def test_exact_match_and_f1_by_hand(answer: str, gold: list[str], exact: float, f1: float) -> None:
    labels = np.empty(1, object)
    labels[0] = tuple(Answer(text, 0) for text in gold)
    scores = question_scores(Rows(squad_task(), "validation", [("q", "c")], labels, 1), [answer])
    assert scores["exact_match"].tolist() == [exact]
    assert scores["answer_f1"] == pytest.approx([f1])


def test_resampled_mean_is_the_mean_of_the_repeated_rows() -> None:
    scores = np.random.default_rng(0).random(30)
    counts = bootstrap_counts(30, resamples=20)
    expected = [np.repeat(scores, row).mean() for row in counts.astype(int)]
    assert resampled_mean(scores, scores, counts) == pytest.approx(expected)
