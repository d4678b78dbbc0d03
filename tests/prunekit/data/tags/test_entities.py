"""Scores of tags against seqeval's own and a plain loop over spans; what each scheme allows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from seqeval.metrics import accuracy_score, f1_score

from prunekit.data.tags.entities import (
    NO_TAG,
    counted_scores,
    entities,
    tag_band,
    tag_counts,
    tag_p_values,
    tag_scores,
)
from prunekit.data.tags.schemes import impossible, of_entities, scheme_of
from prunekit.support.statistics import bootstrap_counts

LABELS = ["O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]


def plain_spans(tags: list[str]) -> set[tuple[str, int, int]]:
    """Begin where a tag begins an entity or goes on with none, end before what does not go on."""
    spans, start = set(), None
    for place, tag in enumerate([*tags, "O"]):
        before = tags[place - 1] if place else "O"
        goes_on = start is not None and tag[0] in "IE" and before[0] in "BI" and before[2:] == tag[2:]
        if start is not None and not goes_on:
            spans.add((before[2:], start, place - 1))
            start = None
        if tag != "O" and not goes_on:
            start = place
    return spans


def drawn(rows: int = 60, labels: list[str] = LABELS) -> tuple[list[list[int]], list[list[int]]]:
    generator = np.random.default_rng(3)
    gold = [generator.integers(len(labels), size=int(generator.integers(1, 12))).tolist() for _ in range(rows)]
    given = [[tag if generator.random() < 0.6 else int(generator.integers(len(labels))) for tag in own] for own in gold]
    return gold, given


def names(rows: list[list[int]], labels: list[str] = LABELS) -> list[list[str]]:
    return [[labels[number] for number in row] for row in rows]


def test_any_sequence_is_read_as_a_plain_loop_reads_it() -> None:
    gold, given = drawn()
    for tags in names(gold + given):
        assert entities(tags) == plain_spans(tags)


def test_scores_are_seqevals_and_those_of_a_loop() -> None:
    gold, given = drawn()
    counts = {name: tag_counts(name, LABELS, gold, given) for name in ("entity_f1", "token_accuracy")}
    spans = [(plain_spans(own), plain_spans(right)) for own, right in zip(names(given), names(gold), strict=True)]
    right = sum(len(own & true) for own, true in spans)
    f1 = 2 * right / (sum(len(own) for own, _ in spans) + sum(len(true) for _, true in spans))
    scores = tag_scores(counts)
    assert 0.1 < f1 < 0.9
    assert scores["entity_f1"] == pytest.approx(f1, abs=1e-12)
    assert scores["entity_f1"] == pytest.approx(f1_score(names(gold), names(given)), abs=1e-12)
    assert scores["token_accuracy"] == pytest.approx(accuracy_score(names(gold), names(given)), abs=1e-12)


def test_a_word_without_a_tag_is_wrong_and_ends_an_entity() -> None:
    gold, given = [[1, 2, 2, 0]], [[1, 2, NO_TAG, NO_TAG]]
    assert tag_counts("token_accuracy", LABELS, gold, given).tolist() == [[2, 4]]
    assert tag_counts("entity_f1", LABELS, gold, given).tolist() == [[0, 1, 1]]
    assert tag_counts("entity_f1", LABELS, [[1, 2, 0, 0]], given).tolist() == [[1, 1, 1]]


def test_nothing_to_count_is_0() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tag_scores({"entity_f1": np.zeros((3, 3), int), "token_accuracy": np.zeros((3, 2), int)}) == {
            "entity_f1": 0, "token_accuracy": 0
        }  # fmt: skip


@pytest.mark.parametrize("metric", ["entity_f1", "token_accuracy"])
def test_bands_and_tests_are_of_resampled_sentences(metric: str) -> None:
    gold, given = drawn()
    counts = tag_counts(metric, LABELS, gold, given)
    one = bootstrap_counts(len(gold))[7].astype(int)
    again = [place for place, times in enumerate(one) for _ in range(times)]
    whole: Any = f1_score if metric == "entity_f1" else accuracy_score
    expected = whole(names([gold[place] for place in again]), names([given[place] for place in again]))
    assert counted_scores(metric, one @ counts) == pytest.approx(expected, abs=1e-12)
    value, low, high = tag_band(metric, counts)
    resampled = counted_scores(metric, bootstrap_counts(len(gold)) @ counts)
    assert (low, high) == tuple(np.quantile(resampled, [0.025, 0.975])) and low < value < high
    perfect = tag_counts(metric, LABELS, gold, gold)
    assert tag_p_values(metric, counts, [counts, perfect]).tolist() == [1.0, pytest.approx(2 / 1001)]


@pytest.mark.parametrize(
    ("tags", "scheme", "wrong"),
    [
        (["B-PER", "I-PER", "O", "B-PER"], "IOB2", []),
        (["B-PER", "O", "I-PER", "B-LOC", "I-PER"], "IOB2", [2, 4]),
        (["I-PER", "B-PER", "O", "I-LOC"], "IOB1", []),
        (["B-PER", "E-PER", "S-LOC", "O"], "BIOES", []),
        (["B-PER", "O", "E-PER", "I-LOC"], "BIOES", [1, 2, 3, 4]),
    ],
)
def test_schemes_and_what_they_do_not_allow(tags: list[str], scheme: str, wrong: list[int]) -> None:
    assert scheme_of([tags, ["O"]]) == scheme
    assert impossible(tags, scheme) == wrong


def test_parts_of_speech_are_no_entities() -> None:
    assert of_entities(LABELS)
    assert not of_entities(["O", "NOUN"]) and not of_entities(["B-"])
