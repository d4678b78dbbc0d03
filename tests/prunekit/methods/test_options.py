"""What a method's file says of its options without being imported is what its class has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from prunekit.methods.common.chosen import chosen_stages
from prunekit.methods.common.options import declared_options, option_problems
from prunekit.methods.common.registry import method, method_class, names
from prunekit.methods.common.settings import MethodConfig


@pytest.mark.parametrize("name", names())
def test_names_defaults_and_ranges_are_those_of_the_class(name: str) -> None:
    own: Any = method_class(name)
    declared = declared_options(name)
    assert declared is not None
    assert {key: item and (item.default, item.metadata) for key, item in declared.items()} == {
        item.name: (item.default, item.metadata) for item in dataclasses.fields(own)
    }


def test_what_is_wrong_with_options() -> None:
    given = {"dampng": 1, "damping": 2, "search_steps": True, "ratio": 0.5, "search_examples": 8}
    assert list(MethodConfig(name="ziplm", options=given).problems()) == [
        "options.dampng: there is no such option of ziplm, did you mean 'damping'?",
        "options.damping: 2.0 is outside [0, 1]",
        "options.search_steps: True is no int, as its default 40 is",
    ]
    assert list(option_problems("kprune", {"variant": "press"})) == [
        "options.variant: 'press' is unknown, choose from paper, released"
    ]
    assert list(option_problems("fisher", {"damping": 0.1})) == [
        "options.damping: there is no such option of fisher, fisher has none"
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("class Mine(Method):\n    paper: ClassVar[str] = ''\n    a: float = within(0.5, 0, TOP)\n    b: int = 3",
         ["a", "b"]),
        ("class Mine(Other):\n    paper: ClassVar[str] = ''\n    a: int = 3", None),
        ("def nothing(): ...", None),
    ],
)
def test_what_its_file_alone_does_not_say_is_left_to_the_class(
    text: str, names: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.setattr("prunekit.methods.__path__", [str(tmp_path)])
    declared = declared_options("mine")
    assert (None if declared is None else [name for name in declared if name != "paper"]) == names
    assert list(option_problems("mine", {"a": 7})) == []  # its range has a name that is not of the ranges
    assert declared_options("nosuch") is None


@pytest.mark.parametrize(
    ("name", "refine", "refit", "stages"),
    [
        ("fisher", "auto", "auto", ("rearrange", "scales")),
        ("fisher", "swap", "auto", ("swap", "weights")),
        ("fisher", "swap", "scales", ("swap", "scales")),
        ("fisher", "none", "auto", ("none", "scales")),
        ("flap", "swap", "auto", ("swap", "bias")),
        ("ziplm", "swap", "auto", ("swap", "none")),
        ("kprune", "swap", "auto", ("swap", "none")),
    ],
)
def test_swaps_are_followed_by_the_refit_that_they_are_judged_by(
    name: str, refine: str, refit: str, stages: tuple[str, str]
) -> None:
    assert chosen_stages(name, method(name), refine, refit, uniform=False) == stages
