"""Answers of every kind of task, packed and read again: metrics and their resamples to the last digit, damage named."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunekit.data import metrics
from prunekit.data.answers import question_scores
from prunekit.data.bleu import bleu_band, sentence_counts, translation_scores
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds.questions import gold_answers
from prunekit.evaluation.rescoring import resampled, rescored, right_answers
from prunekit.evaluation.row_answers import AnswerSheet, RowAnswers, joined, of_labels, of_model, of_sentences
from prunekit.runs.answer_parts import AnswerParts
from prunekit.runs.schema.answer_file import FILE, answer_problems, read_answers, write_answers
from prunekit.runs.schema.checking import folder_problems
from prunekit.runs.schema.writing import SchemaError, check_answers
from prunekit.support.statistics import bootstrap_counts
from tests.support.records import kwon
from tests.support.records.frame import MINILM, add_answers
from tests.support.squad_data import generated, squad_task

ROWS = 50
GENERATOR = np.random.default_rng(3)
SENTENCES = [" ".join(GENERATOR.choice(list("abcdefgh"), GENERATOR.integers(1, 12))) + "." for _ in range(ROWS)]


def classes(models: int = 3, labels: int = 2) -> RowAnswers:
    random = np.random.default_rng(models)
    gold = random.integers(0, labels, ROWS)
    return of_labels("classification", "f", gold, random.integers(0, labels, (models, ROWS)))


def numbers(models: int = 2) -> RowAnswers:
    random = np.random.default_rng(models)
    return of_labels("regression", "f", random.normal(size=ROWS), random.normal(size=(models, ROWS)).astype(np.float32))


def questions() -> tuple[Rows, list[str], RowAnswers]:
    made, random = generated(ROWS), np.random.default_rng(1)
    texts: list[tuple[str, ...]] = [(row["question"], row["context"]) for row in made]
    gold = gold_answers(squad_task(), "v", texts, [one["answers"] for one in made])
    rows = Rows(squad_task(), "v", texts, gold, ROWS)
    starts = [0 if random.random() < 0.5 else one["answers"]["answer_start"][0] for one in made]
    spans = np.asarray([(start, start + 1 + random.integers(0, 9)) for start in starts])
    spans[3] = 0
    found = [context[low:high] for (_, context), (low, high) in zip(texts, spans.tolist(), strict=True)]
    return rows, found, of_spans(spans, question_scores(rows, found))


def of_spans(spans: np.ndarray, scores: dict[str, np.ndarray]) -> RowAnswers:
    given = {"span": spans, "exact_match": scores["exact_match"] > 0, "answer_f1": scores["answer_f1"]}
    return of_model("questions", "f", None, given)


def said(seed: int) -> list[str]:
    order = np.random.default_rng(seed).permutation(ROWS)
    return [SENTENCES[place] if row % 2 else SENTENCES[row][:-2] for row, place in enumerate(order)]


def sentences() -> RowAnswers:
    counts = [{name: sentence_counts(name, said(seed), SENTENCES) for name in ("bleu", "chrf")} for seed in (0, 1)]
    return of_sentences("f", counts)


MADE: dict[str, Callable[[], RowAnswers]] = {
    "classification": classes, "regression": numbers, "questions": lambda: questions()[2], "translation": sentences,
}  # fmt: skip


def sheet(answers: RowAnswers) -> AnswerSheet:
    return AnswerSheet(tuple({"share": number / 10} for number in range(answers.models)), answers)


def written(folder: Path, answers: RowAnswers) -> Path:
    write_answers(folder / FILE, {"evaluation": sheet(answers)})
    return folder / FILE


@pytest.mark.parametrize("kind", MADE)
def test_what_is_written_is_read(tmp_path: Path, kind: str) -> None:
    answers = MADE[kind]()
    path = written(tmp_path, answers)
    first, back = path.read_bytes(), read_answers(path)["evaluation"]
    assert back.models == sheet(answers).models
    assert (back.answers.kind, back.answers.rows) == (kind, "f")
    assert {name: values.dtype for name, values in back.answers.given.items()} == {
        name: values.dtype for name, values in answers.given.items()
    }
    assert all(np.array_equal(back.answers.given[name], values) for name, values in answers.given.items())
    gold = [None if one.gold is None else (one.gold.dtype, one.gold.tolist()) for one in (answers, back.answers)]
    assert gold[0] == gold[1]
    assert written(tmp_path, answers).read_bytes() == first
    with zipfile.ZipFile(path) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_few_bytes_are_used() -> None:
    assert classes().given["class"].dtype == np.uint8
    assert classes(labels=300).given["class"].dtype == np.uint16
    assert (
        of_spans(np.asarray([[0, 300]]), {"exact_match": np.ones(1), "answer_f1": np.ones(1)}).given["span"].dtype
        == np.uint16
    )
    assert sentences().given["bleu"].dtype == np.uint8
    with pytest.raises(ValueError, match="whole numbers"):
        of_labels("classification", "f", np.zeros(2), np.asarray([0.5, 1]))


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews", "pearson", "spearman"])
def test_metrics_of_labels(metric: str) -> None:
    answers = numbers() if metric in ("pearson", "spearman") else classes()
    own, counts = metrics.METRICS[metric], bootstrap_counts(ROWS, resamples=20)
    for model in range(answers.models):
        given = next(iter(answers.given.values()))[:, model]
        assert answers.gold is not None
        assert rescored(answers, metric, model) == own.compute(given, answers.gold)
        assert np.array_equal(resampled(answers, metric, model, counts), own.resampled(given, answers.gold, counts))
        right = right_answers(answers, metric, model)
        if metric == "accuracy":
            assert right is not None and np.array_equal(right, given == answers.gold)
        else:
            assert right is None


def test_metrics_of_questions() -> None:
    rows, texts, answers = questions()
    scores, counts = question_scores(rows, texts), bootstrap_counts(ROWS, resamples=20)
    assert 0 < scores["exact_match"].mean() < scores["answer_f1"].mean() < 1
    for metric, expected in scores.items():
        assert rescored(answers, metric, 0) == expected.mean()
        assert np.allclose(resampled(answers, metric, 0, counts), counts @ expected / ROWS, rtol=0, atol=1e-15)
    assert np.array_equal(right_answers(answers, "exact_match", 0), scores["exact_match"] == 1)  # type: ignore[arg-type]
    assert right_answers(answers, "answer_f1", 0) is None
    low, high = answers.given["span"][..., 0].T
    assert [rows.texts[n][1][low[n] : high[n]] for n in range(ROWS)] == texts


@pytest.mark.parametrize("metric", ["bleu", "chrf"])
def test_metrics_of_translation(metric: str) -> None:
    answers = sentences()
    for model in (0, 1):
        assert rescored(answers, metric, model) == translation_scores(said(model), SENTENCES, [metric])[metric]
        drawn = resampled(answers, metric, model, bootstrap_counts(ROWS))
        band = bleu_band(metric, said(model), SENTENCES)
        assert np.quantile(drawn, [0.025, 0.975]).tolist() == [band.low, band.high]
        assert right_answers(answers, metric, model) is None


def test_answers_of_other_rows_are_not_joined() -> None:
    one, other = sheet(classes(1)), AnswerSheet(({"share": 0.9},), classes(1))
    together = joined([one, other])
    assert together.of(share=0.9) == 1 and together.answers.models == 2
    with pytest.raises(ValueError, match="answers to rows g and f are not of the same rows"):
        joined([one, AnswerSheet(other.models, replace(other.answers, rows="g"))])
    assert other.answers.gold is not None
    with pytest.raises(ValueError, match="not of the same rows"):
        joined([one, AnswerSheet(other.models, replace(other.answers, gold=1 - other.answers.gold))])
    with pytest.raises(ValueError, match="two answers of one model"):
        joined([one, one])
    with pytest.raises(KeyError, match=r'no answers of {"share": 0\.5}'):
        one.of(share=0.5)


def test_parts_are_joined_in_the_order_of_the_run(tmp_path: Path) -> None:
    parts = AnswerParts(tmp_path)
    for share in (0.0, 0.5):
        parts.add("evaluation", [{"share": share}], classes(1))
    again = AnswerParts(tmp_path)
    assert not again.has("evaluation", [{"share": 0.7}]) and not again.has("second", [{"share": 0.5}])
    again.add("evaluation", [{"share": 0.7}], classes(1))
    assert again.has("evaluation", [{"share": 0.5}])
    assert [model["share"] for model in again.join()["evaluation"].models] == [0.7, 0.5]
    assert read_answers(tmp_path / FILE)["evaluation"].models == ({"share": 0.7}, {"share": 0.5})
    again.forget()
    assert not AnswerParts(tmp_path).has("evaluation", [{"share": 0.5}])


def changed(**arrays: Any) -> Callable[[Path], None]:
    """The file with some arrays replaced, or left out where None."""

    def change(path: Path) -> None:
        with np.load(path) as file:
            own = {name: file[name] for name in file.files}
        own |= {f"evaluation/{name}": values for name, values in arrays.items()}
        with path.open("wb") as out:
            np.savez_compressed(out, **{name: values for name, values in own.items() if values is not None})

    return change


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"evaluation": 1}))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "no archive of arrays, or cut off"),
    "empty": (lambda path: path.write_bytes(b""), "no archive of arrays, or cut off"),
    "one array": (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "no archive of arrays, or cut off"),
    "pickled": (pickled, "no archive of arrays, or cut off"),
    "objects": (changed(gold=np.asarray([None] * ROWS)), "no archive of arrays, or cut off"),
    "no rows": (changed(rows=None), "evaluation/rows: missing or no text"),
    "another kind": (changed(kind=np.asarray("x")), "evaluation/kind: x is unknown, right would be classification, "),
    "no classes": (changed(**{"class": None}), "evaluation/class: missing"),
    "a strange array": (changed(more=np.zeros(ROWS)), "evaluation/more: unknown, right would be gold, class"),
    "other numbers": (changed(**{"class": np.zeros((ROWS, 3))}), "evaluation/class: float64, right would be whole num"),
    "few models": (changed(**{"class": np.zeros((ROWS, 2), np.uint8)}),
                   r"evaluation/class: shape \(50, 2\), right would be \(50, 3\): the most likely label"),
    "few rows": (changed(gold=np.zeros(49, np.uint8)), "evaluation: arrays of different numbers of rows"),
    "no JSON": (changed(models=np.asarray(["x", "y", "z"])), "Expecting value"),
    "a model twice": (changed(models=np.asarray(['{"share": 0}'] * 3)), "two answers of one model"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_said_in_a_line(tmp_path: Path, what: str) -> None:
    path = written(tmp_path, classes())
    damage, line = DAMAGE[what]
    damage(path)
    with pytest.raises(ValueError, match=line) as error:
        read_answers(path)
    assert "\n" not in str(error.value)


def test_a_number_that_is_none_is_damage(tmp_path: Path) -> None:
    path = written(tmp_path, numbers())
    changed(score=np.full((ROWS, 2), np.nan, np.float32))(path)
    with pytest.raises(ValueError, match="evaluation/score: a value that is not finite"):
        read_answers(path)


def test_many_models_take_few_bytes(tmp_path: Path) -> None:
    """144 heads off on 2,000 rows, each changing 2 % of the answers: what an ablation of a whole encoder writes."""
    random = np.random.default_rng(0)
    whole = random.integers(0, 3, 2000)
    answers = np.where(random.random((289, 2000)) < 0.02, random.integers(0, 3, (289, 2000)), whole)
    path = written(tmp_path, of_labels("classification", "f", whole, answers))
    assert path.stat().st_size < 60_000


def test_answers_are_held_to_their_record(tmp_path: Path) -> None:
    folder = kwon.pruning(tmp_path, MINILM)
    assert list(folder_problems(folder)) == [f"{folder / FILE}: evaluation: missing"]
    stages = ({"stage": "dense"}, classes(1)), ({"stage": "tune"}, classes(1))
    add_answers(folder, *stages)
    assert list(folder_problems(folder)) == []
    record = json.loads((folder / "result.json").read_text())
    item = next(one for one in record["data"] if one["role"] == "evaluation")
    own = read_answers(folder / FILE)
    assert list(answer_problems(record | {"schema": 2}, {})) == ["evaluation: missing, the record says 2 models"]
    assert list(answer_problems(record | {"answers": {"evaluation": 3}}, own)) == [
        "evaluation: answers of 2 models, the record says 3"
    ]
    assert list(answer_problems(record | {"data": [item | {"fingerprint": "g"}]}, own)) == [
        f"evaluation: {ROWS} answers to rows f, the record has {ROWS} rows g"
    ]
    assert list(answer_problems(record | {"data": []}, own)) == [
        "evaluation: answers to rows that the record does not name"
    ]
    assert next(answer_problems(record, {**own, "second": own["evaluation"]})) == (
        "second: unknown, right would be evaluation"
    )
    assert list(answer_problems(record | {"answers": {"evaluation": 1}}, {"evaluation": sheet(classes(1))})) == [
        "evaluation: a model is named by share, right would be stage"
    ]
    with pytest.raises(SchemaError, match="prune_fisher, answers: evaluation: missing"):
        check_answers(record, {})
    (folder / FILE).write_bytes(b"")
    [line] = folder_problems(folder)
    assert line.startswith(f"{folder / FILE}: no archive of arrays, or cut off")
