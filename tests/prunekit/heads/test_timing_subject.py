"""The heads that are gone from a model that is timed are those of the lowest scores."""

from __future__ import annotations

import pytest
import torch

from prunekit.heads.timing_subject import without_lowest
from prunekit.models.blocks import describe
from prunekit.models.surgery import prune
from tests.support.families import batch_for, logits, tiny
from tests.support.translators import translator

SCORES = torch.tensor([[0.5, 0.1, 0.9, 0.7], [0.2, 0.3, 1.1, 0.4], [0.6, 1.2, 0.8, 1.0]])


@pytest.mark.parametrize(("share", "gone"), [(0.0, 0), (0.25, 3), (0.49, 5), (1.0, 12)])
def test_the_lowest_go(share: float, gone: int) -> None:
    """Three layers of four heads."""
    model, batch = tiny("bert"), batch_for(tiny("bert"))
    small, masks, really = without_lowest(model, {"self": SCORES}, ("self",), share)
    lowest = SCORES.flatten().argsort()[:gone]
    expected = torch.ones(12, dtype=torch.bool)
    expected[lowest] = False
    assert torch.equal(masks.heads["self"].bool(), expected.reshape(3, 4))
    assert really == pytest.approx(gone / 12)
    assert describe(small).heads == 12 - gone and describe(model).heads == 12
    torch.testing.assert_close(logits(small, batch), logits(prune(model, masks), batch), rtol=0, atol=0)
    assert (masks.neurons == 1).all() and all((mask == 1).all() for mask in masks.layers.values())


def test_of_some_kinds_alone() -> None:
    model = translator("marian")
    kinds = tuple(describe(model).kinds)[1:]
    shapes = {kind: describe(model).of_kind(kind) for kind in describe(model).kinds}
    scores = {
        kind: torch.arange(float(len(own) * own[0].heads)).reshape(len(own), own[0].heads)
        for kind, own in shapes.items()
    }
    total = sum(shape.heads for kind in kinds for shape in shapes[kind])
    small, masks, really = without_lowest(model, scores, kinds, 0.5)
    left = {kind: sum(shape.heads for shape in describe(small).of_kind(kind)) for kind in shapes}
    assert left == {kind: int(mask.sum()) for kind, mask in masks.heads.items()}
    first = describe(model).kinds[0]
    assert left[first] == sum(shape.heads for shape in shapes[first])
    assert sum(left[kind] for kind in kinds) == total - total // 2
    assert really == pytest.approx((total // 2) / total)
