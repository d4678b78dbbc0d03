"""Rows of questions: read from files, checked against their contexts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from prunekit.config.sections import check
from prunekit.data.checked_rows import Rows
from prunekit.data.kinds.questions import Answer
from prunekit.data.rows import load_rows
from prunekit.support.errors import UserError
from tests.support.squad_data import generated, squad_task, written

CONTEXT = "In 2008 the Sichuan quake, of 8.0 Ms, hit China."


def row(*answers: tuple[str, int], context: str = CONTEXT) -> dict[str, Any]:
    texts, starts = [text for text, _ in answers], [start for _, start in answers]
    return {"question": "When?", "context": context, "answers": {"text": texts, "answer_start": starts}}


def load(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Rows:
    return load_rows(squad_task(files={"train": str(written(folder, rows))}, **settings), "train")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_files_are_read_as_they_are(tmp_path: Path, suffix: str) -> None:
    rows = [row(("2008", 3), ("In 2008", 0)), row(("Erdbeben in Übersee", 4), context="Ein Erdbeben in Übersee")]
    path = written(tmp_path, rows)
    if suffix == ".parquet":
        path = tmp_path / "rows.parquet"
        pd.DataFrame(rows).to_parquet(path)
    found = load_rows(squad_task(files={"train": str(path)}), "train")
    assert found.texts == [("When?", CONTEXT), ("When?", "Ein Erdbeben in Übersee")]
    assert found.labels.tolist() == [(Answer("2008", 3), Answer("In 2008", 0)), (Answer("Erdbeben in Übersee", 4),)]


def test_samples_and_fingerprints(tmp_path: Path) -> None:
    rows = load(tmp_path, generated(50))
    first, again, other = rows.sample(20), rows.sample(20), rows.sample(20, seed=1)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert first.record("train")["rows"] == 20 and first.record("train")["rows_available"] == 50
    assert all(context.startswith(*gold[0]) for (_, context), gold in zip(first.texts, first.labels, strict=True))
    changed = generated(50)
    changed[7]["answers"]["text"].append(changed[7]["answers"]["text"][0])
    changed[7]["answers"]["answer_start"].append(changed[7]["answers"]["answer_start"][0])
    assert load(tmp_path, changed).fingerprint() != rows.fingerprint()


def test_questions_without_an_answer_need_the_task_to_say_so(tmp_path: Path) -> None:
    rows = [row(("2008", 3)), row()]
    with pytest.raises(UserError, match=r"own train, row 1: no answer; task\.no_answer=0 takes questions without one"):
        load(tmp_path, rows)
    assert load(tmp_path, rows, no_answer=0.0).labels.tolist() == [(Answer("2008", 3),), ()]


def with_answers(value: Any) -> list[dict[str, Any]]:
    return [{**row(), "answers": value}]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(("2008", 3)), row(("2008", 4))],
         "own train, row 1: the answer '2008' is not in the context at answer_start 4, there is '008 '"),
        ([row(("2008", -5))], "own train, row 0: the answer '2008' is not in the context at answer_start -5"),
        ([row(("China", 1000))], "own train, row 0: the answer 'China' is not in the context at answer_start 1000"),
        ([row(("", 3))], "own train, row 0: the answer '' is not in the context at answer_start 3"),
        (with_answers("2008"), "own train, row 0: answers '2008' should be {\"text\": "),
        (with_answers({"text": ["2008"], "answer_start": []}), "own train, row 0: answers {'text': ['2008'], "),
        (with_answers({"text": ["2008"]}), "own train, row 0: answers {'text': ['2008']} should be "),
        ([{"question": "When?", "context": CONTEXT}],
         "own train: no column 'answers', choose from context, question (columns: question, context)"),
        ([{"question": "When?", "contexts": CONTEXT, "answers": {}}],
         "own train: no column 'context', did you mean 'contexts'"),
        ([], "own train: the split is empty"),
    ],
)  # fmt: skip
def test_bad_files_are_told_in_one_line(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError) as told:
        load(tmp_path, rows)
    assert str(told.value).startswith(message)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"columns": ["context"]}, "columns: ['context'] should be two columns, question and context"),
        ({"labels": ["a", "b"]},
         "labels: ['a', 'b'] should be empty, questions=true has answers in the column 'answers'"),
        (
            {"metrics": ["f1"]},
            "metrics: f1 is one of classification (task.labels=[A,B]), and questions=true makes the task questions; "
            "choose from answer_f1, exact_match",
        ),
        ({"stride": 14}, "stride: 14 is outside [0, 14), the room that max_length=24 leaves for the context beside "
                         "question_length=6 and 4 special tokens"),
        ({"answer_length": 0}, "answer_length: 0 must be at least 1"),
        ({"question_length": 0}, "question_length: 0 must be at least 1"),
    ],
)  # fmt: skip
def test_settings_out_of_range(settings: dict[str, Any], problem: str) -> None:
    task = squad_task(files={"train": "x"}, **settings)
    assert check(task) == [problem]
