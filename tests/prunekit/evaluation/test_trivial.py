"""The trivial answer of every kind of task, by hand; and what a run records and says of a model beside it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prunekit.config.task import TaskConfig
from prunekit.config.task_kinds import TASK_KINDS
from prunekit.data.batches import Examples
from prunekit.data.checked_rows import Rows, notice
from prunekit.data.kinds import KINDS
from prunekit.data.kinds.base import TaskKind
from prunekit.data.kinds.questions import Answer
from prunekit.evaluation.evaluate import Scored, evaluated
from prunekit.evaluation.trivial import trivial_scores
from prunekit.runs.beside_trivial import record_beside_trivial, scored_row
from tests.support.families import tiny

THREE = TaskConfig(name="demo", labels=["entailment", "neutral", "contradiction"])
TWO = TaskConfig(name="mrpc", labels=["no", "yes"], metrics=["f1", "accuracy", "matthews"])


def rows(task: TaskConfig, labels: Any, texts: list[tuple[str, ...]] | None = None) -> Rows:
    array = np.empty(len(labels), dtype=object) if isinstance(labels[0], tuple | str) else np.asarray(labels)
    array[:] = labels
    return Rows(task, "validation", texts or [("x",)] * len(labels), array, len(labels))


def test_every_kind_has_a_trivial_answer() -> None:
    assert set(KINDS) == {kind.name for kind in TASK_KINDS}
    for kind in KINDS.values():
        assert kind.trivial_answer and type(kind).trivial_scores is not TaskKind.trivial_scores


def test_classes() -> None:
    assert trivial_scores(THREE, rows(THREE, [2, 2, 0, 1])) == {"accuracy": 0.5}
    # three of four are positive: all positive has precision 3/4 and recall 1
    assert trivial_scores(TWO, rows(TWO, [0, 1, 1, 1])) == {"f1": pytest.approx(6 / 7), "accuracy": 0.75, "matthews": 0}
    # one of four: the best answer differs by metric, all positive by F1 and all negative by accuracy
    assert trivial_scores(TWO, rows(TWO, [0, 1, 0, 0])) == {"f1": pytest.approx(2 / 5), "accuracy": 0.75, "matthews": 0}


def test_a_constant_has_no_correlation() -> None:
    task = TaskConfig(name="stsb", labels=[], metrics=["pearson", "spearman"])
    assert trivial_scores(task, rows(task, [0.2, 5.0, 3.3])) == {"pearson": 0, "spearman": 0}


def test_no_answer_to_any_question() -> None:
    task = TaskConfig(name="squad", questions=True, columns=["q", "c"], metrics=["answer_f1", "exact_match"])
    texts: list[tuple[str, ...]] = [("who?", "Ann and Bo")] * 4
    answered = [(Answer("Ann", 0),), (Answer("Bo", 8),), (Answer("Ann", 0),)]
    assert trivial_scores(task, rows(task, [*answered, answered[0]], texts)) == {"answer_f1": 0, "exact_match": 0}
    assert trivial_scores(task, rows(task, [*answered, ()], texts)) == {"answer_f1": 0.25, "exact_match": 0.25}


def test_the_source_copied() -> None:
    task = TaskConfig(name="own", translation=True, columns=["a", "b"], metrics=["bleu"])
    copied = trivial_scores(task, rows(task, ["a b c d f"], [("a b c d e",)]))
    assert copied == {"bleu": pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4))}


@pytest.mark.parametrize(
    ("value", "low", "said", "hinted"),
    [
        (0.5, 0.4, "accuracy on 4 rows of task demo is 0.500, one answer to all gives 0.500: not signifi", True),
        (0.6, 0.5, "accuracy on 4 rows of task demo is 0.600, one answer to all gives 0.500: not signifi", False),
        (0.6, 0.501, "", False),
    ],
)
def test_what_a_run_records_and_says(
    value: float, low: float, said: str, hinted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    notice.cache_clear()
    run: Any = SimpleNamespace(beside={})
    whole = Scored({"accuracy": value}, low, 0.9, None)
    record_beside_trivial(run, THREE, tiny("bert"), rows(THREE, [2, 2, 0, 1]), whole)
    assert run.beside == {"trivial": {"accuracy": 0.5}, "above_trivial": not said}
    assert (said in caplog.text) and len(caplog.messages) == bool(said)
    assert ("set id2label in its config.json" in caplog.text) is hinted


def test_a_second_set_of_rows(caplog: pytest.LogCaptureFixture) -> None:
    run: Any = SimpleNamespace(beside={"trivial": {"accuracy": 0.5}, "above_trivial": True})
    whole = Scored({"accuracy": 0.3}, 0.2, 0.4, None)
    second = rows(dataclasses.replace(THREE, name="other"), [1, 1, 1, 0, 2]).take(range(4))
    record_beside_trivial(run, THREE, tiny("bert"), second, whole, prefix="second_")
    assert run.beside["trivial"] == {"accuracy": 0.5} and run.beside["above_trivial"]
    assert run.beside["second_trivial"] == {"accuracy": 0.75} and not run.beside["second_above_trivial"]
    assert "on 4 rows of task other is 0.300" in caplog.text


def test_a_row_of_a_table_stands_for_its_model() -> None:
    row = {"metric": "f1", "value": 0.8, "f1": 0.8, "accuracy": 0.7, "matthews": 0.1, "low": 0.75, "high": 0.85}
    assert scored_row(TWO, row) == Scored({"f1": 0.8, "accuracy": 0.7, "matthews": 0.1}, 0.75, 0.85, None)


def test_scores_from_logits() -> None:
    logits = np.asarray([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    task = dataclasses.replace(TWO, metrics=["accuracy", "f1"])
    found = evaluated(task, Examples(rows(task, [0, 1, 0, 1]), [], None, 0), logits)
    assert found.metrics == {"accuracy": 0.75, "f1": pytest.approx(0.8)}
    assert 0.3 < found.low < 0.75 < found.high < 0.96
