"""The command that a record gives makes the same configuration again."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Any

import hydra
import pytest

from experiments.cli.again import command_of
from experiments.cli.composition import CONF, register
from experiments.cli.help import composed
from experiments.cli.verb import named

LOGGED = Path(__file__).parents[2] / "analysis" / "logged_runs"
OWN = ["task=files", "task.name=mine", "task.files.train=a/train.csv", "task.files.validation=dev.csv"]


def settings(verb: str, words: list[str]) -> dict[str, Any]:
    register(verb, named(verb).settings)
    return dataclasses.asdict(composed(verb, words))


def again(record: dict[str, Any]) -> dict[str, Any]:
    words = shlex.split(command_of(record))
    assert words[:3] == ["python", "-m", f"experiments.{record['verb']}"]
    return settings(record["verb"], words[3:])


@pytest.mark.parametrize(
    ("verb", "words", "said"),
    [
        ("prune_fisher", ["constraint=0.5", "seed=2"], "constraint=0.5"),
        ("prune_fisher", [*OWN, "task.columns=[first text]", "task.labels=['it is, no','1e3',yes]"], "a/train.csv"),
        ("prune_heads", ["scale=small", "order=magnitude", "train.epochs=1", "save=true"], "train.epochs=1"),
        ("prune_cofi", ["task=mrpc", "model=minilm-l6", "student.prune_epochs=7", "units=[heads]"], "prune_epochs=7"),
        ("compress", ["method=flap", "uniform=true", "budget=parameters"], "method=flap"),
        ("finetune", ["model.weights=random", "model.path=null", "model.shape.hidden_size=32"], "hidden_size=32"),
        ("prune_fisher", ["teacher='out/my model'", "evaluation.batch_size=7"], "out/my model"),
        ("compress", ["run.folder='runs/my tutorial'", "method=flap"], "run.folder="),
    ],
)
def test_a_command_gives_its_own_configuration(verb: str, words: list[str], said: str) -> None:
    config = settings(verb, words)
    scale = next((word.partition("=")[2] for word in words if word.startswith("scale=")), "demo")
    record = {"verb": verb, "config": json.loads(json.dumps(config)), "scale": scale}
    assert said in command_of(record)
    assert again(record) == config


def test_a_verb_that_runs_may_ask() -> None:
    """Hydra has started then."""
    record = json.loads((min((LOGGED / "prune_fisher").iterdir()) / "result.json").read_text())
    before = command_of(record)
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        assert command_of(record) == before


@pytest.mark.parametrize("verb", ["prune_heads", "prune_fisher", "prune_cofi", "finetune"])
def test_logged_runs_are_made_again_by_their_commands(verb: str) -> None:
    folder = min((LOGGED / verb).iterdir())
    record = json.loads((folder / "result.json").read_text())
    made, apart = again(record), ("run", "scale")
    for name, value in record["config"].items():
        if name in made and name not in apart:
            own = made[name]
            assert own == ({**own, **value} if isinstance(value, dict) else value), name
