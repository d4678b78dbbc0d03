"""The claims tables of README.md are those of the logged runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import readme
from prunekit.support.errors import UserError
from tests.support.records import michel
from tests.support.records.frame import BERT, MINILM

PAIR = "Before.\n<!-- claims:michel -->\n<!-- /claims -->\nBetween.\n<!-- claims:cofi -->\n<!-- /claims -->\nAfter.\n"


def test_the_committed_readme_is_what_the_logged_runs_give() -> None:
    """Where this fails, `make readme` writes the page anew."""
    text = readme.README.read_text(encoding="utf-8")
    assert text.count("<!-- claims:") == 4
    assert readme.regenerated(text, [readme.LOGGED]) == text


def test_tables_replace_what_was_between_markers_and_a_pair_may_stay_empty() -> None:
    once = readme.replaced(PAIR, {"michel": ["| a |\n| --- |", "| b |\n| --- |"]})
    assert once == PAIR.replace(
        "<!-- claims:michel -->\n", "<!-- claims:michel -->\n\n| a |\n| --- |\n\n| b |\n| --- |\n\n"
    )
    assert readme.replaced(once, {"michel": ["| a |\n| --- |", "| b |\n| --- |"]}) == once
    assert readme.replaced(once, {}) == PAIR


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!-- claims:michele -->\n<!-- /claims -->\n", "names no paper; there are michel, translation, kwon"),
        ("<!-- claims:michel -->\ntext\n", "has no line <!-- /claims -->"),
        ("<!-- claims:michel -->\n<!-- claims:kwon -->\n<!-- /claims -->\n", "has no line <!-- /claims -->"),
    ],
)
def test_wrong_markers_are_told(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        readme.replaced(text, {})


def test_random_weights_are_no_result_against_a_paper(tmp_path: Path) -> None:
    michel.timing(tmp_path, BERT | {"weights": "random"}, teacher=None)
    assert readme.regenerated(PAIR, [tmp_path]) == PAIR
    michel.timing(tmp_path, MINILM)
    assert readme.regenerated(PAIR, [tmp_path]).count("Removing half of the heads speeds") == 1


def test_the_command_writes_the_page_and_answers_bad_input_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    michel.timing(tmp_path / "runs", MINILM)
    monkeypatch.setattr(readme, "README", tmp_path / "README.md")
    monkeypatch.setattr(readme, "LOGGED", tmp_path / "runs")
    monkeypatch.setattr(readme, "DOCS", tmp_path)
    (tmp_path / "README.md").write_text(PAIR)
    assert readme.main([]) == 0
    assert "| Attention holds about a third" in (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text("<!-- claims:me -->\n<!-- /claims -->\n")
    assert readme.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1
