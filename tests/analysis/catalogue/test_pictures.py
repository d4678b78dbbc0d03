"""The pictures in docs/ are the figures that analysis draws from the logged runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import analysis
from analysis.catalogue.pictures import PICTURES, draw_pictures
from analysis.compare.runs import comparisons
from analysis.data.loading import Journal, load

DOCS = Path(analysis.__file__).parents[1] / "docs"
LOGGED = Path(analysis.__file__).parent / "logged_runs"
CHANGED, ALLOWED = 0.1, 1e-3
"""A pixel has changed if a channel differs by more than the first; this share of them may, for other fonts' edges."""


def logged() -> list[str]:
    """The names of the pictures, those of models in 8 bits only of tasks that have such runs."""
    runs = (LOGGED / "quantize").glob("*/result.json")
    tasks = {json.loads(path.read_text())["config"]["task"]["name"] for path in runs}
    in_8_bits = {name for name in PICTURES if name.startswith("quantized_")}
    return sorted({*PICTURES} - {name for name in in_8_bits if name.split("_")[1] not in tasks})


def test_every_picture_is_known() -> None:
    assert sorted(path.stem for path in DOCS.glob("*.png")) == logged()


@pytest.mark.slow
def test_pictures_are_what_the_logged_runs_give(tmp_path: Path) -> None:
    drawn = draw_pictures([LOGGED], tmp_path)
    assert sorted(path.stem for path in drawn) == logged()
    for path in drawn:
        ours, shown = imread(path), imread(DOCS / path.name)
        assert ours.shape == shown.shape, f"docs/{path.name} is stale, make readme draws it anew"
        changed = float((np.abs(ours - shown).max(axis=2) > CHANGED).mean())
        assert changed <= ALLOWED, f"docs/{path.name} is stale, make readme draws it anew"


def test_the_pictures_of_mrpc_are_of_the_methods_that_their_page_names() -> None:
    """A comparison's number is its place among those of the task, which new runs may change."""
    verbs = ("prune_heads", "prune_fisher", "compress", "prune_cofi", "quantize")
    records = [record for record in load([LOGGED / verb for verb in verbs], Journal()) if record.task == "mrpc"]
    found = {runs.name: set(runs.members) for runs in comparisons(records)}
    assert found == {"mrpc": {"prune_fisher", "prune_cofi"}, "mrpc (2)": {"compress", "quantize"}}
