"""Fixtures that several test files share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from transformers import PreTrainedModel

from prunekit.models.families.table import ENCODERS
from prunekit.support import quiet
from tests.support.compositions import shared_compositions
from tests.support.families import ATTENTIONS, COPIES, tiny

ORDER = ("tests/test_", "tests/experiments/", "tests/analysis/", "tests/prunekit/")
"""Files with few but long tests come first, so that no process is left with one of them while the others have ended."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((number for number, start in enumerate(ORDER) if item.nodeid.startswith(start)), len(ORDER))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def composed_once() -> Iterator[None]:
    """Equal YAML is parsed once, and equal choices of files are merged once: Hydra reads and merges dozens of files for
    each of the hundreds of command lines in the tests.

    OmegaConf copies what it is given into nodes of its own.
    """
    parsed, load = dict[str, Any](), yaml.load

    def cached(stream: Any, Loader: Any) -> Any:  # noqa: N803 (PyYAML's name)
        if Loader.__name__ != "OmegaConfLoader":
            return load(stream, Loader)
        text = stream if isinstance(stream, str) else stream.read()
        if text not in parsed:
            parsed[text] = load(text, Loader)
        return parsed[text]

    with pytest.MonkeyPatch.context() as patch, shared_compositions():
        patch.setattr(yaml, "load", cached)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_quiet() -> Iterator[None]:
    """Timings in tests do not sleep: other tests run beside them, and nobody judges their speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quiet, "MACHINE", dataclasses.replace(quiet.MACHINE, sleep=lambda seconds: None))
        yield


@pytest.fixture(
    params=[
        pytest.param((family, attention), id=f"{family}-{attention}", marks=[pytest.mark.slow] * (family in COPIES))
        for family in ENCODERS
        for attention in ATTENTIONS
    ]
)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A tiny float64 model of every family under every attention implementation."""
    return tiny(*request.param)
