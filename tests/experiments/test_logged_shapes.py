"""The preset that times the shapes of the logged runs again names one run of each, and none that is gone."""

from __future__ import annotations

from pathlib import Path

import yaml

from analysis.data.groups import AXES, flat
from experiments.cli.composition import CONF

ROOT = CONF.parent
LOGGED = ROOT / "analysis" / "logged_runs"
ABLATED = {
    "prune_cofi": (),
    "prune_fisher": ("score", "variant", "labels", "calibration_examples", "rearrange", "tune", "target", "on_failure"),
}
"""Axes that say how masks are found: figures of speed show those that the paper finds alone."""


def cell(folder: Path) -> tuple[str, ...]:
    """What tells a run's shape from others of its verb, but for its seed."""
    verb = folder.parent.name
    config = dict(flat(yaml.load((folder / "config.yaml").read_text(), yaml.CSafeLoader)))
    axes = [axis for axis in AXES[verb] if axis not in ABLATED[verb]]
    return (verb, config["task.name"], *(f"{axis} {config.get(axis)}" for axis in axes))


def test_every_shape_of_the_logged_runs_is_named_once() -> None:
    preset = yaml.safe_load((CONF / "experiment" / "logged_shapes.yaml").read_text())
    named = [ROOT / path.strip() for path in preset["hydra"]["sweeper"]["params"]["shape_of"].split(",")]
    assert [path for path in named if not (path / "result.json").is_file()] == []
    cells = [cell(path) for path in named]
    assert len(set(cells)) == len(cells)
    everything = [folder for verb in ABLATED for folder in sorted((LOGGED / verb).iterdir())]
    assert {cell(folder) for folder in everything} == set(cells)
