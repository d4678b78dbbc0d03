"""A budget that leaves nothing of a kind of sublayer is said to."""

from __future__ import annotations

from typing import Any

import pytest

from prunekit.stages.emptied import emptied, warn_of_emptied


def rows(heads: list[int], neurons: list[int], whole: int = 4) -> list[dict[str, Any]]:
    both = (("heads", heads), ("neurons", neurons))
    units = [
        {"unit": unit, "layer": layer, "kept": kept, "total": whole}
        for unit, counts in both for layer, kept in enumerate(counts)
    ]  # fmt: skip
    return [*units, {"unit": "hidden", "layer": 0, "kept": 0, "total": 16}]


@pytest.mark.parametrize(
    ("heads", "neurons", "line"),
    [
        ([0, 0], [0, 1], "no head is left in any layer"),
        ([0, 1], [0, 0], "no neuron is left in any layer"),
        ([0, 0], [0, 0], "no head and no neuron is left in any layer"),
        ([0, 2, 0], [3, 0, 1], "in every layer the attention (2) or the FFN (1) has no unit left"),
        ([0, 2, 1], [3, 0, 1], None),
        ([4, 4], [4, 4], None),
    ],
)
def test_what_is_left_of_no_layer(heads: list[int], neurons: list[int], line: str | None) -> None:
    assert emptied(rows(heads, neurons)) == line


def test_heads_alone_and_kinds_of_attention_together(caplog: pytest.LogCaptureFixture) -> None:
    one = {"unit": "heads", "layer": 0, "kept": 0, "total": 2}
    warn_of_emptied([one, one | {"kept": 1}])  # as of a decoder, whose layers have two kinds
    warn_of_emptied([one | {"total": 0}])
    assert caplog.messages == []
    warn_of_emptied([one, one])
    assert caplog.messages == ["no head is left in any layer"]
