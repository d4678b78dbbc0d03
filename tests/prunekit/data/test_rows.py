import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prunekit.config.task import TaskConfig
from prunekit.data.rows import load_rows
from prunekit.support.errors import UserError

ROWS = [("null", 0), ('a "quoted" one', 1), ("NA", 1)]


def files_task(path: Path, **settings: Any) -> TaskConfig:
    return TaskConfig(name="own", labels=["no", "yes"], files={"train": str(path)}, columns=["text"], **settings)


def write(folder: Path, suffix: str) -> Path:
    path = folder / f"rows{suffix}"
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".tsv":
        path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS))
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS))
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_own_files_are_read_as_they_are(tmp_path: Path, suffix: str) -> None:
    """Quotes and the strings null and NA are text."""
    rows = load_rows(files_task(write(tmp_path, suffix)), "train")
    assert rows.texts == [(text,) for text, _ in ROWS]
    assert rows.labels.tolist() == [0, 1, 1]


def test_label_names_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,yes\nb,no\n")
    assert load_rows(files_task(path), "train").labels.tolist() == [1, 0]


def test_unlabelled_rows_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,1\nb,-1\nc,0\n")
    rows = load_rows(files_task(path), "train")
    assert [text for (text,) in rows.texts] == ["a", "c"]


def test_labels_may_be_missing_where_they_are_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for table in ("text\na\nb\n", "text,label\na,-1\nb,-1\n", "text,label\na,\nb,-1\n"):
        path.write_text(table)
        rows = load_rows(files_task(path), "train", labelled=False)
        assert rows.texts == [("a",), ("b",)] and rows.labels.tolist() == [0, 0]
    path.write_text("text\na\nb\n")
    with pytest.raises(UserError, match="no column 'label'"):
        load_rows(files_task(path), "train")
    path.write_text("label\n1\n")
    with pytest.raises(UserError, match="no column 'text'"):
        load_rows(files_task(path), "train", labelled=False)


def test_rows_are_the_same_whether_their_labels_are_needed_or_not(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,1\nb,-1\nc,0\n")
    needed, other = (load_rows(files_task(path), "train", labelled=labelled) for labelled in (True, False))
    assert other.texts == needed.texts == [("a",), ("c",)] and other.fingerprint() == needed.fingerprint()


def test_labels_of_every_kind_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "one", "b": "two"}\n{"a": "x", "b": "y"}\n')
    shared: dict[str, Any] = {"name": "own", "files": {"train": str(path)}, "columns": ["a", "b"], "source": "files"}
    numbers = TaskConfig(**shared, labels=[], metrics=["pearson"])
    rows = load_rows(numbers, "train", labelled=False)
    assert rows.labels.tolist() == [0.0, 0.0] and rows.labels.dtype == float
    questions = TaskConfig(**shared, questions=True, label="answers", labels=[], metrics=["exact_match"])
    assert load_rows(questions, "train", labelled=False).labels.tolist() == [(), ()]
    shared |= {"columns": ["words"], "label": "tags", "labels": ["O", "N"], "metrics": ["token_accuracy"]}
    words = TaskConfig(**shared, tags=True)
    path.write_text('{"words": ["one", "two"]}\n{"words": ["x"]}\n')
    assert load_rows(words, "train", labelled=False).labels.tolist() == [(0, 0), (0,)]
    for task, column in ((numbers, "label"), (questions, "answers"), (words, "tags")):
        assert task.kind in ("regression", "questions", "tags")
        with pytest.raises(UserError, match=f"no column '({column}|a)'"):
            load_rows(task, "train")


def test_damaged_labels_are_refused_also_where_none_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    pair: dict[str, Any] = {"name": "own", "files": {"train": str(path)}, "columns": ["a"], "source": "files"}
    classes = TaskConfig(**pair, labels=["no", "yes"])
    minus_one = TaskConfig(**pair, labels=["-1", "1"])
    numbers = TaskConfig(**pair, labels=[], metrics=["pearson"])
    questions = TaskConfig(**pair | {"columns": ["a", "b"]}, questions=True, labels=[], metrics=["exact_match"])
    without = TaskConfig(**pair | {"columns": ["a", "b"]}, questions=True, labels=[], metrics=["exact_match"],
                         no_answer=0.0)  # fmt: skip
    words = TaskConfig(**pair, tags=True, labels=["O", "N"], metrics=["token_accuracy"])
    empty: dict[str, Any] = {"text": [], "answer_start": []}

    def read(task: TaskConfig, *labels: Any) -> list[Any]:
        text = ["one"] if task.tags else "one"
        path.write_text("".join(json.dumps({"a": text, "b": "two", "label": label}) + "\n" for label in labels))
        return load_rows(task, "train", labelled=False).labels.tolist()

    assert read(classes, None, -1) == [0, 0] and read(minus_one, -1, -1) == [0, 0]
    assert read(numbers, None, None) == read(numbers, -1.0, -1) == [0.0, 0.0] and read(numbers, 3.0) == [3.0]
    assert read(questions, empty, None) == read(without, empty, empty) == [(), ()]
    assert read(words, [-1], [None]) == read(words, None, []) == [(0,), (0,)] and read(words, ["N"]) == [(1,)]
    for task, labels, wrong in (
        (classes, ["other", 1], "row 0: label 'other' is out of range"),
        (classes, [None, 1], "row 0: there is no label"),
        (numbers, ["one", "one"], "row 0: label 'one' should be a finite number"),
        (numbers, [1.0, None], "row 1: there is no label"),
        (questions, [empty, {"text": ["two"]}], "row 0: no answer"),
        (questions, ["two", "two"], "row 0: label 'two' should be"),
        (without, [empty, None], "row 1: label None should be"),
        (words, [["O"], ["X"]], "row 1: label 'X' is out of range"),
        (words, ["O", "O"], "row 0: 'label' should be a list"),
    ):
        with pytest.raises(UserError, match=f"^own train, {wrong}"):
            read(task, *labels)


def test_samples_are_seeded_sorted_and_without_replacement() -> None:
    rows = load_rows(TaskConfig(name="demo", source="demo", columns=["premise", "hypothesis"], labels=list("enc"),
                                evaluation_rows=200), "validation_matched")  # fmt: skip
    first, again, other = rows.sample(50), rows.sample(50), rows.sample(50, seed=1)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    assert len(set(first.texts)) == len(first) == 50
    assert first.record("evaluation")["rows_available"] == 200
    places = [rows.texts.index(text) for text in first.texts]
    assert places == sorted(places)


def test_regression_labels_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\na,0.5\nb,4\n")
    task = TaskConfig(name="own", files={"train": str(path)}, columns=["text"], metrics=["pearson"])
    assert load_rows(task, "train").labels.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sentence,label\na,0\n", r"own train: no column 'text', choose from .* \(columns: sentence, label\)"),
        ("text,labels\na,0\n", r"own train: no column 'label', did you mean 'labels'\?"),
        ("text,label\na,0\nb,2\n", r"own train, row 1: label 2 is out of range, right would be 0=no, 1=yes"),
        ("text,label\n", r"own train: the split is empty"),
        ("text,label\na,-1\n", r"own train: no row has a label"),
    ],
)  # fmt: skip
def test_bad_files_are_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_rows(files_task(path), "train")


def test_missing_files_and_splits_are_named(tmp_path: Path) -> None:
    task = files_task(tmp_path / "rows.csv")
    with pytest.raises(UserError, match=r"task\.files\.train: there is no file .*rows\.csv"):
        load_rows(task, "train")
    with pytest.raises(UserError, match=r"split 'validation': task\.files has train, add task\.files\.validation=PATH"):
        load_rows(task, "validation")
    with pytest.raises(UserError, match=r"should end in one of \.csv, \.tsv"):
        load_rows(files_task(tmp_path / "rows.txt"), "train")


def test_an_unreachable_dataset_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("huggingface_hub.constants.HF_HUB_OFFLINE", "datasets.config.HF_HUB_OFFLINE"):
        monkeypatch.setattr(name, True)  # both read the environment when they are imported
    task = TaskConfig(name="gone", source="nobody/nothing", labels=["a", "b"])
    with pytest.raises(UserError, match=r"task\.source: nobody/nothing cannot be loaded: "):
        load_rows(task, "train")


def test_an_error_without_a_message_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr("datasets.load_dataset", fail)
    task = TaskConfig(name="gone", source="nobody/nothing", labels=["a", "b"])
    with pytest.raises(UserError, match=r"^task\.source: nobody/nothing cannot be loaded: TimeoutError$"):
        load_rows(task, "train")
