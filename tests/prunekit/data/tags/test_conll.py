"""Files in CoNLL's columns, as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunekit.config.task import TaskConfig
from prunekit.data.rows import load_rows
from prunekit.support.errors import UserError

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
CONLL = """\
-DOCSTART- -X- -X- O

# text = Ann Lee left
Ann NNP I-NP B-PER
Lee NNP I-NP I-PER
left VBD I-VP O

-DOCSTART- -X- -X- O

# NN I-NP O
Rome NNP I-NP B-LOC


"""


def task_of(path: Path, **settings: object) -> TaskConfig:
    own = {"columns": ["tokens"], "label": "tags", "labels": LABELS, "metrics": ["entity_f1"], **settings}
    return TaskConfig(name="own", tags=True, files={"train": str(path)}, **own)  # type: ignore[arg-type]


def written(folder: Path, text: str, name: str = "train.conll") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("separator", [" ", "\t", "  "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_words_and_tags_between_spaces_or_tabs(tmp_path: Path, separator: str, end: str) -> None:
    text = "\n".join(line if line.startswith("# text") else line.replace(" ", separator) for line in CONLL.split("\n"))
    rows = load_rows(task_of(written(tmp_path, text.replace("\n", end))), "train")
    assert rows.texts == [("Ann", "Lee", "left"), ("#", "Rome")]  # a # with a tag is a word
    assert rows.labels.tolist() == [(1, 2, 0), (0, 3)]
    assert rows.take([1]).labels.tolist() == [(0, 3)]


@pytest.mark.parametrize(
    ("columns", "label", "words"),
    [("tokens", "tags", "Ann"), ("0", "3", "Ann"), ("-4", "-1", "Ann"), ("1", "tags", "NNP")],
)
def test_columns_by_number(tmp_path: Path, columns: str, label: str, words: str) -> None:
    rows = load_rows(task_of(written(tmp_path, CONLL), columns=[columns], label=label), "train")
    assert rows.texts[0][0] == words
    assert rows.labels[0] == (1, 2, 0)


def test_columns_that_the_file_names(tmp_path: Path) -> None:
    text = "# global.columns = ID FORM NER UPOS\n1\tNew York\tB-LOC\tX\n2\tis\tO\tX\n"
    rows = load_rows(task_of(written(tmp_path, text), columns=["FORM"], label="NER"), "train")
    assert rows.texts == [("New York", "is")]
    assert rows.labels.tolist() == [(3, 0)]


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_the_first_word_may_be_a_number_sign(tmp_path: Path, separator: str) -> None:
    text = "# one two three\n# O\nAnn B-PER\n\n# O\n# two words\nb O\n".replace(" ", separator)
    rows = load_rows(task_of(written(tmp_path, text)), "train")
    assert rows.texts == [("#", "Ann"), ("#", "b")]
    assert rows.labels.tolist() == [(0, 1), (0, 0)]


def test_a_tsv_is_read_as_columns(tmp_path: Path) -> None:
    rows = load_rows(task_of(written(tmp_path, 'a "\tO\nAnn\tB-PER\n\nb\tO\n', "train.tsv")), "train")
    assert rows.texts == [('a "', "Ann"), ("b",)]


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("a O\nb\n", {}, r"task\.files\.train: .*train\.conll, line 2 has 1 columns where the first word has 2, "
                         r"between spaces: 'b'; each word needs its tag"),
        ("a\tO\nb\t\n", {}, "line 2 has 1 columns where the first word has 2, between tabs"),
        ("a O\nb c O\n", {}, "line 2 has 3 columns where the first word has 2"),
        ("a\n", {}, "whose line 1 has 1 columns, words and tags would both be column 0"),
        ("a O\n", {"label": "5"}, "task.label: '5' is no column of .*whose line 1 has 2 columns; right would be 0 to"),
        ("a O\n", {"columns": ["word"]}, "task.columns: 'word' is no column of .*right would be tokens for the first"),
        ("# x\n\n", {}, "own train: the split is empty"),
        ("a O\nb B-ORG\n", {}, "own train, row 0: label 'B-ORG' is out of range, right would be 0=O, 1=B-PER"),
        ("a O\n\nb I-PER\nc X\n", {}, "own train, row 1: label 'X' is out of range"),
    ],
)  # fmt: skip
def test_bad_files_are_named_by_line_or_row(tmp_path: Path, text: str, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_rows(task_of(written(tmp_path, text), **settings), "train")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task\.files\.train: there is no file .*none\.conll"):
        load_rows(task_of(tmp_path / "none.conll"), "train")
    (tmp_path / "bad.bio").write_bytes(b"a O\n\xff\xfe O\n")
    with pytest.raises(UserError, match=r"bad\.bio is no UTF-8 text \(line 2"):
        load_rows(task_of(tmp_path / "bad.bio"), "train")
