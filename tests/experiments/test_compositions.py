"""Compositions that the tests share are what Hydra composes."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.cli.composition import CONF, register
from experiments.cli.verb import named
from tests.support.compositions import PLAIN, composed_by, shared_compositions

LINES = {
    "files and values": ["seed=3", "experiment=michel_fig3b", "scale=small", "model.weights=random", "task=sst2"],
    "other values": ["scale=small", "experiment=michel_fig3b", "train.epochs=5", "scale.teacher_seeds=[3]"],
    "a section": ["model.shape={hidden_size: 16}", "model={attention: eager}", "model=demo"],
    "added": ["+run.notes=x", "++seed=2", "task=demo"],
    "of Hydra": ["hydra/launcher=joblib", "hydra.job.chdir=true", "hydra.launcher.n_jobs=2"],
    "no such file": ["task=nowhere"],
    "no such value": ["train.nothing=1", "task=demo"],
    "no such choice": ["recipe/none=demo"],
}


def result(overrides: list[str]) -> str:
    """What is composed, or why nothing is."""
    verb = named("prune_heads")
    register("prune_heads", verb.settings)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            whole = compose("prune_heads", overrides, return_hydra_config=True)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return OmegaConf.to_yaml(whole)


@pytest.mark.parametrize("name", LINES)
def test_as_hydra_does(name: str) -> None:
    with composed_by(*PLAIN):
        expected = result(LINES[name])
    with shared_compositions():
        assert result(LINES[name]) == expected
        other = result([*LINES[name], "run.threads=7"])  # what is shared is not what is changed
        assert (other == expected) == name.startswith("no such")
        assert result(LINES[name]) == expected
