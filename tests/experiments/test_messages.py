"""Every expression over a message of Hydra or OmegaConf finds what it is for in the real message."""

from __future__ import annotations

import re

import pytest
from hydra import compose, initialize_config_dir

from experiments.cli import messages
from experiments.cli.composition import CONF, register
from experiments.cli.entry import choices_of, settings_of
from prunekit.config.sections import Settings


def failure(*overrides: str) -> Exception:
    """What Hydra raises for these overrides."""
    register("finetune", Settings)
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(Exception) as caught:
        compose("finetune", list(overrides))
    assert isinstance(caught.value, Exception)
    return caught.value


def line(error: Exception) -> str | None:
    return messages.user_line(error, lambda: settings_of("finetune"), choices_of)


@pytest.mark.parametrize(
    ("override", "expression", "groups", "told"),
    [
        ("task=mnlii", messages.NO_PRESET, {"group": "task", "choice": "mnlii"},
         "task=mnlii: there is no such preset, did you mean 'mnli' or 'snli'?"),
        ("taks=mnli", messages.NO_GROUP, {"name": "taks"}, "taks: there is no such setting, did you mean 'task'"),
        ("train.epoch=3", messages.NO_KEY, {"name": "epoch"},
         "train.epoch: there is no such setting, did you mean 'train.epochs'"),
        ("train.epochs=three", messages.FULL_KEY, {"name": "train.epochs"}, "train.epochs: "),
        ("train.seed=0,1", messages.AMBIGUOUS, {"override": "train.seed=0,1"},
         "train.seed: 0,1 are several values; -m runs each of them, and a list is written [0,1]"),
        ("train.seed=range(0,3)", messages.NEEDS_SWEEP, {"override": "train.seed=range(0,3)"},
         "train.seed: range(0,3) are several values; -m runs each of them"),
        ("experiment=a,b", messages.AMBIGUOUS, {"override": "experiment=a,b"}, messages.ONE_PRESET),
    ],
)  # fmt: skip
def test_expressions(override: str, expression: re.Pattern[str], groups: dict[str, str], told: str) -> None:
    error = failure(override)
    found = expression.search("\n".join(str(link) for link in messages.chain(error)))
    assert found is not None, error
    assert found.groupdict() == groups
    said = line(error)
    assert said is not None and said.startswith(told)
    assert "\n" not in said


def test_an_override_that_is_none() -> None:
    said = line(failure("train.seed"))
    assert said is not None and "\n" not in said


def test_a_defect_of_ours_has_no_line() -> None:
    assert line(ZeroDivisionError("division by zero")) is None
