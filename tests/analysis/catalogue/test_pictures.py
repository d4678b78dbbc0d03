"""The pictures in docs/ are the figures that analysis draws from the logged runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import analysis
from analysis.catalogue.pictures import PICTURES, draw_pictures

DOCS = Path(analysis.__file__).parents[1] / "docs"
LOGGED = Path(analysis.__file__).parent / "logged_runs"
CHANGED, ALLOWED = 0.1, 1e-3
"""A pixel has changed if a channel differs by more than the first; this share of them may, for other fonts' edges."""


def test_every_picture_is_known() -> None:
    assert sorted(path.stem for path in DOCS.glob("*.png")) == sorted(PICTURES)


@pytest.mark.slow
def test_pictures_are_what_the_logged_runs_give(tmp_path: Path) -> None:
    drawn = draw_pictures([LOGGED], tmp_path)
    assert sorted(path.stem for path in drawn) == sorted(PICTURES)
    for path in drawn:
        ours, shown = imread(path), imread(DOCS / path.name)
        assert ours.shape == shown.shape, f"docs/{path.name} is stale, make readme draws it anew"
        changed = float((np.abs(ours - shown).max(axis=2) > CHANGED).mean())
        assert changed <= ALLOWED, f"docs/{path.name} is stale, make readme draws it anew"
