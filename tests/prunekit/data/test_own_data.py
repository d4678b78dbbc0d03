"""Data that fits the types and not the meaning: it is read as it is meant, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

from prunekit.config.sections import check
from prunekit.config.task import TaskConfig
from prunekit.config.task_kinds import (
    CLASS_METRICS,
    QUESTION_METRICS,
    REGRESSION_METRICS,
    TAG_METRICS,
    TRANSLATION_METRICS,
)
from prunekit.data.checked_rows import Rows, notice
from prunekit.data.kinds import encode, kind_of
from prunekit.data.metrics import METRICS, evaluate
from prunekit.data.rows import load_rows
from prunekit.support.errors import UserError
from tests.support.squad_data import squad_task, tokenizer, written

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    notice.cache_clear()
    yield caplog


def own(path: Path, labels: list[str], **settings: Any) -> TaskConfig:
    return TaskConfig(
        **{"name": "own", "labels": labels, "files": {"train": str(path)}, "columns": ["text"], **settings}
    )


def table(folder: Path, suffix: str, values: list[Any]) -> Path:
    """A table whose labels are ``values``."""
    path = folder / f"rows{suffix}"
    rows = [{"text": f"text {row}", "label": value} for row, value in enumerate(values)]
    if suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pd.DataFrame(rows).to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    return path


def written_as(folder: Path, text: str | bytes, suffix: str = ".csv") -> Path:
    path = folder / f"rows{suffix}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(task: TaskConfig, split: str = "train") -> str:
    with pytest.raises(UserError) as error:
        load_rows(task, split)
    line = str(error.value)
    assert "\n" not in line
    return line


class TestLabels:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    @pytest.mark.parametrize(
        ("labels", "values", "numbers"),
        [
            (["-1", "1"], [-1, 1, 1, -1], [0, 1, 1, 0]),
            (["1", "0"], [1, 0, 0], [0, 1, 1]),
            (["1", "2", "3"], [3, 1, 2], [2, 0, 1]),
            (["1", "2", "3", "4", "5"], [1, 2, 3, 4], [0, 1, 2, 3]),
            (["1", "2"], [1.0, 2.0], [0, 1]),
            (["no", "yes"], ["yes", "no"], [1, 0]),
            (["no", "yes"], [1, 0], [1, 0]),
            (["no", "yes"], [1.0, 0.0], [1, 0]),
            (["no", "yes"], [True, False], [1, 0]),
            (["True", "False"], [True, False], [0, 1]),
            (["True", "False"], ["true", "false"], [0, 1]),
            (["Yes", "No"], ["true", "False"], [0, 1]),
            (["no", "yes"], ["true", "False"], [1, 0]),
        ],
    )
    def test_names_come_before_numbers_in_every_format(
        self, tmp_path: Path, suffix: str, labels: list[str], values: list[Any], numbers: list[int]
    ) -> None:
        rows = load_rows(own(table(tmp_path, suffix, values), labels), "train")
        assert rows.labels.tolist() == numbers
        assert rows.texts == [(f"text {row}",) for row in range(len(values))]

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_dropped_rows_are_counted(self, tmp_path: Path, suffix: str, said: pytest.LogCaptureFixture) -> None:
        rows = load_rows(own(table(tmp_path, suffix, [0, -1, 1, -1]), ["no", "yes"]), "train")
        assert rows.labels.tolist() == [0, 1] and rows.available == 2
        assert [text for (text,) in rows.texts] == ["text 0", "text 2"]
        assert said.messages == ["own train: 2 of 4 rows have no label (-1) and are left out"]
        load_rows(own(table(tmp_path, suffix, [0, -1, 1, -1]), ["no", "yes"]), "train")
        assert len(said.messages) == 1

    def test_labels_that_no_row_has_are_said(self, tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
        """Stars from 1 under names for numbers from 0: nothing is out of range as long as the last is missing."""
        load_rows(own(table(tmp_path, ".csv", [1, 2, 1]), ["one", "two", "three"]), "train")
        assert said.messages == ["own train: no row has the label 'one', are task.labels those of the data?"]

    @pytest.mark.parametrize(
        ("labels", "values", "line"),
        [
            (["1", "2", "3"], [1, 0], "own train, row 1: label 0 is out of range, right would be 1, 2, 3; task"),
            (["no", "yes"], [0, 2], "own train, row 1: label 2 is out of range, right would be 0=no, 1=yes; task"),
            (["no", "yes"], [0, "Yes"], "own train, row 1: label 'Yes' is out of range, right would be 0=no, 1=yes"),
            (["no", "yes"], [0, "²"], "own train, row 1: label '²' is out of range"),
            (["no", "yes"], [0, "9" * 5000], "own train, row 1: label '999"),
            (["no", "yes"], [0, None], "own train, row 1: there is no label in 'label'; leave the row out, or"),
            (["no", "yes"], [0, " "], "own train, row 1: there is no label in 'label'; leave the row out, or give it"),
            (["no", "yes"], [0, [1]], "own train, row 1: label [1] is out of range"),
            (["no", "yes"], [0, 0.5], "own train, row 1: label 0.5 is out of range"),
        ],
    )  # fmt: skip
    def test_what_is_no_label_is_named(self, tmp_path: Path, labels: list[str], values: list[Any], line: str) -> None:
        assert told(own(table(tmp_path, ".jsonl", values), labels)).startswith(line)

    def test_a_source_that_names_its_numbers_otherwise_is_read_by_name(self) -> None:
        """Where the names are the same in another order; other names leave the numbers as they are."""
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["Not-Entailed", "entailed"])}
        )
        held = datasets.Dataset.from_dict({"text": list("abc"), "label": [0, 1, -1]}, features=features)
        for labels, numbers in (
            (["entailed", "not entailed"], [1, 0]), (["not_entailed", "entailed"], [0, 1]), (["ja", "nein"], [0, 1])
        ):  # fmt: skip
            task = own(Path("unused"), labels)
            assert kind_of(task).checked(task, "train", held).labels.tolist() == numbers

    def test_labels_that_differ_in_spelling_alone_are_read_to_the_letter(self) -> None:
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["ab", "a b"])}
        )
        held = datasets.Dataset.from_dict({"text": list("cd"), "label": [0, 1]}, features=features)
        task = own(Path("unused"), ["a b", "ab"])
        assert kind_of(task).checked(task, "train", held).labels.tolist() == [1, 0]

    def test_a_source_with_some_of_the_names(self) -> None:
        """Its numbers are its own: fewer names are read by name, a number of another name is refused."""
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["yes", "no", "unsure"])}
        )
        held = datasets.Dataset.from_dict({"text": list("ab"), "label": [0, 1]}, features=features)
        task = own(Path("unused"), ["no", "maybe", "yes", "never"])
        assert kind_of(task).checked(task, "train", held).labels.tolist() == [2, 0]
        held = datasets.Dataset.from_dict({"text": list("abc"), "label": [0, 1, 2]}, features=features)
        with pytest.raises(UserError, match="row 2: label 2 is 'unsure' there, right would be no, maybe, yes, never"):
            kind_of(task).checked(task, "train", held)


class TestNumbers:
    @pytest.mark.parametrize("value", ["1_0", "good", "nan"])
    def test_what_is_no_number_is_named(self, tmp_path: Path, value: Any) -> None:
        line = told(own(table(tmp_path, ".jsonl", [1, value]), [], metrics=["pearson"]))
        assert line.startswith(f"own train, row 1: label {value!r} should be a finite number; task.labels=[...]")

    @pytest.mark.parametrize("value", ["", " ", None])
    def test_a_row_without_a_number_is_named(self, tmp_path: Path, value: Any) -> None:
        line = told(own(table(tmp_path, ".jsonl", [1, value]), [], metrics=["pearson"]))
        assert line.startswith("own train, row 1: there is no label; leave the row out (rows are counted from 0")

    def test_one_number_for_all_rows_has_no_correlation(self, tmp_path: Path) -> None:
        line = told(own(table(tmp_path, ".csv", [-1, -1, -1]), [], metrics=["pearson"]))
        assert line == "own train: the label of every row is -1.0, evaluate on a split with different ones"


class TestTables:
    def test_a_surplus_field_is_no_index(self, tmp_path: Path) -> None:
        path = written_as(tmp_path, "text,label\nwell, good,1\nwell, bad,0\n")
        assert told(own(path, ["no", "yes"])) == (
            f"task.files.train: {path}, row 0 (line 2) has 3 fields where the first line names 2 columns (text, label)"
            "; put a text with separators into quotation marks, name every column"
        )
        path = written_as(tmp_path, 'text,label\n"a\nb",1\nc,d,0\n')
        assert "row 1 (line 4) has 3 fields" in told(own(path, ["no", "yes"]))
        path = written_as(tmp_path, "text\tlabel\na\t0\nb\tc\t1\n", ".tsv")
        assert "row 1 (line 3) has 3 fields" in told(own(path, ["no", "yes"]))

    @pytest.mark.parametrize(
        ("text", "texts"),
        [
            ("text,label\r\na,0\r\nb,1\r\n", ["a", "b"]),
            ("\ufefftext,label\na,0\n\nb,1", ["a", "b"]),
            ("text,label\ra,0\rb,1\r", ["a", "b"]),
            ('text,label\n"a ""b"", c\nd",0\n 12 ,1\n', ['a "b", c\nd', " 12 "]),
            ('text,label\n"a\rb",0\nc\u2028d\x0ce,1\n', ["a\rb", "c\u2028d\x0ce"]),
            ("id,id,text,label\n1,2,a,0\n1,2,2020-01-01,1\n", ["a", "2020-01-01"]),
            ("text,label,note\na,0\nb,1,x\n", ["a", "b"]),
            (f"text,label\n{'a' * 200_000},0\nNA,1\n", ["a" * 200_000, "NA"]),
        ],
    )  # fmt: skip
    def test_fields_are_text_as_it_stands_there(self, tmp_path: Path, text: str, texts: list[str]) -> None:
        rows = load_rows(own(written_as(tmp_path, text), ["no", "yes"]), "train")
        assert rows.texts == [(one,) for one in texts] and rows.labels.tolist() == [0, 1]

    def test_a_carriage_return_stays_in_its_field(self, tmp_path: Path) -> None:
        rows = load_rows(own(written_as(tmp_path, b"text\tlabel\na\rb\t0\n\"c\t1\n", ".tsv"), ["no", "yes"]), "train")
        assert rows.texts == [("a\rb",), ('"c',)]

    @pytest.mark.parametrize(
        ("suffix", "text", "line"),
        [
            (".csv", 'text,label\na,0\n"b,1\nc,0\n', "cannot be read, a quotation mark on line 3 never closes"),
            (".csv", "text,label\na\rb,0\n", "cannot be read, line 2: new-line character seen in unquoted field"),
            (".csv", "text,label\na\n", "own train, row 0: there is no label in 'label'; leave the row out, or "
                                       "give it the label -1 (rows are counted from 0, without a heading)"),
            (".csv", "label,text\n0\n", "own train, row 0: ['text'] should be text, found (None,)"),
            (".csv", "text,text,label\na,b,0\n", "has 2 columns 'text', each needs a name of its own"),
            (".csv", b"text,label\na,0\n\xff,1\n", "is no UTF-8 text (line 3: "),
            (".jsonl", b'{"text": "\xff", "label": 0}\n', "is no UTF-8 text (line 1: "),
            (".jsonl", '{"text": "a", "label": 0}\n{"text": "b"\n', "cannot be read, line 2 is no JSON ("),
            (".jsonl", '{"text": "a", "label": 0}\n[1]\n', "line 2 should be an object, {COLUMN: VALUE, ...}"),
            (".json", '[{"text": "a"},\n', "cannot be read, it is no JSON ("),
            (".json", "3\n", "line 1 should be an object"),
            (".json", "[1,\n2]\n", "should have an object a line, {COLUMN: VALUE, ...}, or a list of objects"),
            (".parquet", "no parquet", "cannot be read: "),
        ],
    )  # fmt: skip
    def test_broken_tables_are_one_line(
        self, tmp_path: Path, suffix: str, text: str | bytes, line: str, capfd: pytest.CaptureFixture[str],
        said: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        assert line in told(own(written_as(tmp_path, text, suffix), ["no", "yes"]))
        assert capfd.readouterr() == ("", "") and said.messages == []

    @pytest.mark.parametrize(
        "text",
        [
            '\ufeff{"text": "a", "label": 0}\r\n\n{"label": 1, "text": "b\\rc", "more": 2}\n',
            '[{"text": "a", "label": 0}, {"text": "b\\rc", "label": "1"}]',
            '{\n"text": ["a", "b\\rc"],\n"label": [0, 1]\n}\n',
            '{"text": ["a", "b\\rc"], "label": [0, 1]}\n',
        ],
    )
    def test_json_by_lines_by_objects_and_by_columns(self, tmp_path: Path, text: str) -> None:
        rows = load_rows(own(written_as(tmp_path, text, ".json"), ["no", "yes"]), "train")
        assert rows.texts == [("a",), ("b\rc",)] and rows.labels.tolist() == [0, 1]

    def test_half_a_character_is_named(self, tmp_path: Path) -> None:
        """As texts have that were cut off in an emoji: no tokenizer takes it. A column that nobody reads may have it.
        """
        rows = [
            '{"text": "a \\ud83d\\ude00", "label": "no", "more": "\\ud83d"}', '{"text": "b\\ud83d", "label": "yes"}',
        ]  # fmt: skip
        line = "row 1: 'text' has \"\\ud83d\", half of a character; write both of its halves, or leave it out"
        capitals = [row.replace("ud83d", "uD83D").replace("ude00", "uDE00") for row in rows]
        for text in ("\n".join(rows), f"[{','.join(rows)}]", "\n".join(capitals)):
            path = written_as(tmp_path, text, ".jsonl")
            assert told(own(path, ["no", "yes"])) == f"task.files.train: {path}, {line}"
        path = written_as(tmp_path, f"{rows[0]}\n{rows[0]}".replace('"no"', '"yes"', 1), ".jsonl")
        assert load_rows(own(path, ["no", "yes"]), "train").texts == [("a 😀",)] * 2
        words = '{"tokens": ["a", "%s"], "tags": ["O", "O"]}'
        path = written_as(tmp_path, words % "b" + "\n" + words % "\\udc00", ".jsonl")
        tags = own(path, ["O", "B-X"], tags=True, columns=["tokens"], label="tags", metrics=["token_accuracy"])
        assert "row 1: 'tokens' has \"\\udc00\", half of a character" in told(tags)

    def test_rows_without_any_text(self, tmp_path: Path) -> None:
        path = written_as(tmp_path, "one,two,label\na,,1\n,b,0\n , ,1\n")
        assert told(own(path, ["no", "yes"], columns=["one", "two"])) == (
            "own train, row 2: there is no text in one, two, leave the row out (rows are counted from 0, without a "
            "heading)"
        )

    def test_missing_columns_name_their_setting(self, tmp_path: Path) -> None:
        path = written_as(tmp_path, "headline,topic\na,0\nb,1\n")
        line = "own train: no column 'text', choose from headline, topic (columns: headline, topic); task.columns=[...]"
        assert told(own(path, ["no", "yes"])).startswith(line)
        line = "own train: no column 'label', choose from headline, topic (columns: headline, topic); task.label="
        assert told(own(path, ["no", "yes"], columns=["headline"])).startswith(line)


class TestParallelText:
    def pairs(self, folder: Path, source: bytes, target: bytes) -> Rows:
        (folder / "corpus.de").write_bytes(source)
        (folder / "corpus.en").write_bytes(target)
        files: dict[str, str | None] = {"train": str(folder / "corpus")}
        task = TaskConfig(name="own", translation=True, columns=["de", "en"], metrics=["bleu"], files=files)
        return load_rows(task, "train")

    def test_only_line_feeds_end_a_line(self, tmp_path: Path) -> None:
        rows = self.pairs(tmp_path, b"eins\rzwei\ndrei\r\n", b"\xef\xbb\xbfone two\nthree\n")
        assert rows.texts == [("eins\rzwei",), ("drei",)]
        assert rows.labels.tolist() == ["one two", "three"]

    def test_two_wrongs_do_not_cancel(self, tmp_path: Path) -> None:
        """As many lines on both sides, by a carriage return in one and a line too many in the other."""
        with pytest.raises(UserError, match=r"line 3 of .*corpus\.de is missing or empty \(corpus\.de has 2 lines"):
            self.pairs(tmp_path, b"a\rb\nc\n", b"A\nC\nD\n")


class TestAnswers:
    CONTEXT = "w1 w2 fox w3."

    def load(self, folder: Path, text: str, start: int, context: str = CONTEXT) -> Rows:
        row = {"question": "w4", "context": context, "answers": {"text": [text], "answer_start": [start]}}
        return load_rows(squad_task(files={"train": str(written(folder, [row]))}), "train")

    @pytest.mark.parametrize(("text", "start"), [("fox", 6), (" fox", 5), ("fox ", 6), (" fox ", 5)])
    def test_spaces_around_an_answer_are_no_part_of_it(
        self, tmp_path: Path, text: str, start: int, said: pytest.LogCaptureFixture
    ) -> None:
        rows = self.load(tmp_path, text, start)
        assert rows.labels.tolist() == [(("fox", 6),)]
        windows: Any = encode(rows, tokenizer(), 24)
        assert (windows.start.tolist(), windows.end.tolist()) == ([5], [5])  # [CLS] w4 [SEP] w1 w2 fox
        assert said.messages == []

    def test_an_answer_of_spaces_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="own train, row 0: the answer ' ' is not in the context at answer_start 5"):
            self.load(tmp_path, " ", 5)

    def test_an_answer_that_no_window_has_is_named(self, tmp_path: Path, said: pytest.LogCaptureFixture) -> None:
        context = " ".join(f"w{number}" for number in range(30))
        rows = self.load(tmp_path, context, 0, context)
        windows: Any = encode(rows, tokenizer(), 24)
        assert not windows.start.any()
        (line,) = said.messages
        assert line.startswith("own train: 1 of 1 questions have an answer that no window has whole, and count as not")
        assert line.endswith("w29' of row 0 of those read")


KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "two labels": ({"labels": ["a", "b"]}, CLASS_METRICS),
    "three labels": ({"labels": ["a", "b", "c"]}, ("accuracy", "matthews")),
    "regression": ({"labels": []}, REGRESSION_METRICS),
    "questions": ({"questions": True, "columns": ["question", "context"], "max_length": 384}, QUESTION_METRICS),
    "translation": ({"translation": True, "columns": ["de", "en"]}, TRANSLATION_METRICS),
    "tags": ({"tags": True, "columns": ["tokens"], "label": "tags", "labels": ["O", "B-X", "I-X"]}, TAG_METRICS),
}


class TestMetrics:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        "metric", [*CLASS_METRICS, *REGRESSION_METRICS, *QUESTION_METRICS, *TRANSLATION_METRICS, *TAG_METRICS]
    )
    def test_each_is_computed_or_refused_before_anything_runs(self, kind: str, metric: str) -> None:
        settings, known = KINDS[kind]
        problems = check(TaskConfig(name="own", files={"train": "x"}, metrics=[metric], **settings))
        if metric not in known:
            (line,) = problems
            setting = "metrics: "
            if kind == "regression":  # what makes a task one of another kind was forgotten
                setting = next(
                    name for name, metrics in (
                        ("labels: ", CLASS_METRICS), ("questions: ", QUESTION_METRICS),
                        ("translation: ", TRANSLATION_METRICS), ("tags: ", TAG_METRICS),
                    ) if metric in metrics
                )  # fmt: skip
            assert line.startswith(setting) and metric in line
            return
        assert problems == []
        if metric in METRICS:
            outputs = max(len(settings["labels"]), 1)
            labels = np.arange(12) % outputs if outputs > 1 else np.arange(12.0)
            logits = np.random.default_rng(0).normal(size=(12, outputs))
            found = evaluate([metric], logits, labels, regression=outputs == 1)[metric]
            answers = logits[:, 0] if outputs == 1 else logits.argmax(1)
            assert METRICS[metric].resampled(answers, labels, np.ones((1, 12))) == pytest.approx(found)

    def test_f1_of_three_labels(self) -> None:
        task = TaskConfig(name="own", labels=["a", "b", "c"], metrics=["accuracy", "f1"], files={"train": "x"})
        assert check(task) == ["metrics: f1 is of two labels and there are 3, choose accuracy or matthews"]
        with pytest.raises(UserError, match="metric f1: it is of two classes and there are 3"):
            evaluate(["f1"], np.zeros((4, 3)), np.arange(4) % 3, regression=False)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"labels": ["x", "x", "x"]}, "labels: 'x' stands twice in ['x', 'x', 'x'], each needs a name of its own"),
        ({"labels": ["1", "01"]}, "labels: '01' stands twice in ['1', '01'], each needs a name of its own"),
        ({"labels": ["a", " "]}, "labels: the name of label 1 is empty"),
        ({"labels": ["a"]}, "labels: one label leaves nothing to learn, name two or more (none for regression)"),
        ({"name": " "}, "name: it is empty, records and figures need one"),
        ({"columns": ["a", "a"]}, "columns: ['a', 'a'] is one column twice, name two"),
        ({"columns": ["label"]}, "label: 'label' is also a text column, the answer would stand in the input"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing(settings: dict[str, Any], problem: str) -> None:
    task = TaskConfig(**{"name": "own", "labels": ["a", "b"], "files": {"train": "x"}, **settings})
    assert problem in check(task)
    assert {line.split(":")[0] for line in check(task)} == {problem.split(":")[0]}
