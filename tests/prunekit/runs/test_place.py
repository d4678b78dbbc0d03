"""A run lies among the others, wherever its files are and from wherever it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from prunekit.runs.schema.place import place_of


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("ab", "prune_cofi/ab"),
        ("../prune_cofi/ab", "prune_cofi/ab"),
        ("../compress/cd", "compress/cd"),
        ("ab/../../compress/cd", "compress/cd"),
        ("../quantize/ef", "quantize/ef"),
        ("../../best", "prune_cofi/ab"),
        ("../../none/gh", "../none/gh"),
    ],
)
def test_a_link_lies_among_the_runs_and_one_from_elsewhere_is_followed(
    named: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, archive = tmp_path / "runs", tmp_path / "archive"
    for folder in (runs / "prune_cofi" / "ab", runs / "compress", archive / "cd", archive / "quantize" / "ef"):
        folder.mkdir(parents=True)
    (runs / "compress" / "cd").symlink_to(archive / "cd")
    (runs / "quantize").symlink_to(archive / "quantize")
    (tmp_path / "best").symlink_to(runs / "prune_cofi" / "ab")
    monkeypatch.chdir(runs / "prune_cofi")
    right = tmp_path / "none" / "gh" if expected.startswith("..") else runs / expected
    assert place_of(Path(named)) == right
    assert place_of(Path.cwd() / named) == right
