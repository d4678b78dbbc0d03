"""Every expression over a message of Hydra or OmegaConf finds what it is for in the real message."""

from __future__ import annotations

import errno
import re
import shlex
from functools import partial

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from experiments.cli import messages
from experiments.cli.composition import CONF, register
from experiments.cli.entry import choices_of, settings_of
from prunekit.config.sections import Settings
from tests.support.commands import refused


def failure(*overrides: str) -> Exception:
    """What Hydra raises for these overrides."""
    register("finetune", Settings)
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(Exception) as caught:
        compose("finetune", list(overrides))
    assert isinstance(caught.value, Exception)
    return caught.value


def line(error: Exception) -> str | None:
    return messages.user_line(error, lambda: settings_of("finetune"), partial(choices_of, "finetune"))


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


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.seed=1e3", "train.seed: 1e3 is no whole number as it is written, write 1000"),
        ("train.seed=1.5", "train.seed: '1.5' is no whole number"),
        ("train.seed=null", "train.seed: it cannot be null"),
        ("train.warmup=half", "train.warmup: 'half' is no number"),
        ("run.force=maybe", "run.force: 'maybe' is neither true nor false"),
        ("task.columns=headline", "task.columns: it is a list, write task.columns=[headline]"),
        ("task.files=a.csv", "task.files: its entries are set one by one, as in task.files.NAME=VALUE"),
        ("task.name=~/train.csv",
         "task.name: no shell puts your home folder for ~ there, write task.name=$HOME/train.csv"),
        ("task.columns=[a", "task.columns: [a does not close its brackets or has an odd character, "
                            "a list is written [a,b]"),
        ("train.seed", "train.seed: it has no value, write train.seed=VALUE"),
        ("model=null", "a preset (of experiment, model, task, scale and so on) is chosen by its name, as in task=mnli"),
        ("model=", "model=: there is no such preset, choose from albert-base, "),
    ],
)  # fmt: skip
def test_values_of_another_type(override: str, told: str) -> None:
    said = line(failure(override))
    assert said is not None and said.startswith(told) and "\n" not in said


@pytest.mark.parametrize(
    "value",
    ["/tmp/ünï/train.csv", "a (1).csv", "a#b", "a&b;c", "it's", "!x", "a=b", 'say "x" (1)', "C:\\x (1)", "'abc"],
)
def test_a_value_that_needs_quotes_is_shown_with_them(value: str) -> None:
    """What is written in the message is what the shell and Hydra read as the value."""
    said = line(failure(f"task.name={value}"))
    assert said is not None and said.startswith("task.name: ") and "\n" not in said
    [argument] = shlex.split(said.partition(", write ")[2])
    override = OverridesParser.create().parse_override(argument)
    assert (override.key_or_group, override.value()) == ("task.name", value.lstrip("'"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["share=0.5", "-m", "seed=0,1"], "seed=0,1: options go before all settings, write -m share=0.5 seed=0,1"),
        (["--multirn", "seed=0"], "--multirn: there is no such option, did you mean '--multirun'"),
        (["--order", "importance"], "--order: settings are written without dashes and with =, write order=importance"),
        (["--train.seed=1"], "--train.seed=1: settings are written without dashes and with =, write train.seed=1"),
        (["--save"], "--save: settings are written without dashes and with =, write save=VALUE"),
        (["--retrain-steps", "share=1"], "--retrain-steps: settings are written without dashes and with =, write "
                                         "retrain_steps=VALUE"),
        (["--cfg", "jobs"], "argument --cfg/-c: invalid choice: 'jobs'"),
    ],
)
def test_options(arguments: list[str], told: str) -> None:
    assert refused("prune_heads", *arguments).startswith(told)


@pytest.mark.parametrize("override", ["recipe/model=nosuch", "recipe/task=minilm-l6_nosuch", "+recipe/model=nosuch"])
def test_a_recipe_that_is_not_there(override: str) -> None:
    name = override.lstrip("+")
    assert refused("prune_heads", override).startswith(f"{name}: there is no such preset, ")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
     RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), OSError(errno.ENOMEM, "Cannot allocate memory")],
)  # fmt: skip
def test_a_full_memory(error: Exception) -> None:
    said = line(error)
    assert said is not None and said.startswith("the memory is full (") and said.endswith("takes less")


def test_an_override_that_is_none() -> None:
    said = line(failure("train.seed"))
    assert said is not None and "\n" not in said


def test_a_defect_of_ours_has_no_line() -> None:
    assert line(ZeroDivisionError("division by zero")) is None
