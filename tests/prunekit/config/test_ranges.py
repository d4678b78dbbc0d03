"""Every field of every verb's settings through values that make no sense: taken, or refused in a line; nothing else.

Composition and checks only. A number that is not listed here as meaningful is refused where it is NaN, infinite,
negative or huge.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import random
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.cli.composition import CONF
from experiments.cli.verb import named
from prunekit.config.ranges import finite, numbers
from prunekit.config.sections import check
from tests.support.commands import composed

VERBS = sorted(path.stem for path in CONF.glob("*.yaml"))
TRANSLATION = ["model=marian-demo", "task=demo_translation"]
LOGS = sorted((CONF.parent / "analysis" / "logged_runs").glob("*/*/config.yaml"))

NONSENSE = (math.nan, math.inf, -math.inf, -1, 10**30, 10**400)
"""What no number may be."""
MEANINGFUL = {
    "train.max_grad_norm": (math.inf,), "run.checkpoint_seconds": (math.inf,), "student.teacher_gigabytes": (math.inf,),
    "task.no_answer": (-1,), "second.no_answer": (-1,),
}  # fmt: skip
"""But these may."""
ODD_TEXTS = ("", " ", "a\nb", "[/red]", "..", "/", "x" * 5000, "\0", "\udcff", "~/x", "ünï", "/proc/self/mem", "${x}")


def fields_of(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted name, section and type of every field."""
    for name, kind in typing.get_type_hints(type(config)).items():
        if typing.get_origin(kind) is typing.ClassVar:
            continue
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            yield from fields_of(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", config, kind


def odd_values(kind: Any, rng: random.Random) -> Iterator[Any]:
    """Of a type, whether they make sense or not."""
    if typing.get_origin(kind) in (typing.Union, type(int | None)):
        yield None
        kind, *others = [part for part in typing.get_args(kind) if part is not type(None)]
        for other in others:
            yield from odd_values(other, rng)
    if kind is bool:
        yield from (True, False)
    elif kind is int:
        yield from (0, -1, 1, 2**31, 2**63, 10**30, 10**400, -(10**400))
    elif kind is float:
        yield from (*NONSENSE[:3], 0.0, -1.0, -0.0, 5e-324, 1e-9, 1.0, 1e30, 1e308)
    elif kind is str:
        yield from ODD_TEXTS
        yield "".join(map(chr, rng.sample(range(1, 0x2FF), 8)))
    elif typing.get_origin(kind) is list:
        yield []
        for entry in odd_values(typing.get_args(kind)[0], rng):
            yield [entry]
            yield [entry, entry]
    elif typing.get_origin(kind) is dict:
        yield {}
        for entry in odd_values(typing.get_args(kind)[1], rng):
            yield {"hidden_size": entry, "train": entry}
            yield {"": entry}
    else:
        assert kind is Any
        yield from (None, True, 0, -1, 10**400, math.nan, math.inf, "", [], {}, "x" * 5000)


@cache
def composed_once(verb: str, *overrides: str) -> Any:
    return composed(verb, *overrides)


def settings(verb: str, *overrides: str) -> Any:
    return copy.deepcopy(composed_once(verb, *overrides))


def bases(verb: str) -> list[Any]:
    """Settings of a verb that pass the checks: of encoders and of translation, where it takes them."""
    given = [TRANSLATION] if verb == "time_decoding" else [[]]
    if verb in ("finetune", "ablate_heads", "prune_heads", "head_dynamics"):
        given.append(TRANSLATION)
    if verb in ("finetune", "prune_fisher", "compress", "prune_cofi", "quantize"):
        given.append(["task=squad"])
    if verb in ("finetune", "ablate_heads", "prune_heads", "compress", "prune_cofi", "quantize"):
        given.append(["task=demo_tags"])
    return [settings(verb, *overrides) for overrides in given]


def walk(verb: str, rng: random.Random, share: float) -> int:
    """Check a share of all fields with all odd values; how many values were refused."""
    refused = 0
    for base in bases(verb) if share == 1 else bases(verb)[-1:]:
        assert check(base) == []
        for name, section, kind in fields_of(base):
            if rng.random() >= share:
                continue
            field, before = name.rpartition(".")[2], getattr(section, name.rpartition(".")[2])
            for value in odd_values(kind, rng):
                setattr(section, field, copy.deepcopy(value))
                problems = check(base)
                assert all(len(line.splitlines()) == 1 for line in problems), (name, problems)
                refused += bool(problems)
                bad = [number for number in numbers(value) if not allowed(name, number)]
                assert problems or not bad, f"{verb}: {name}={value} is taken"
            setattr(section, field, before)
        assert check(base) == []
    return refused


def allowed(name: str, number: float) -> bool:
    if any(number == meaningful for meaningful in MEANINGFUL.get(name, ())):
        return True
    return finite(number) and 0 <= number < 10**30


@pytest.mark.parametrize("verb", VERBS)
def test_a_sample_of_all_fields(verb: str) -> None:
    assert walk(verb, random.Random(f"{verb} 0"), 0.05) > 0


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_all_fields(verb: str) -> None:
    assert walk(verb, random.Random(verb), 1.0) > 300


@pytest.mark.parametrize("verb", VERBS)
def test_every_number_has_a_range(verb: str) -> None:
    """So that whoever adds a field says what it may be."""
    without = [
        name for name, section, kind in fields_of(named(verb).settings())
        if any(word in str(kind) for word in ("int", "float"))
        and "rule" not in next(item for item in dataclasses.fields(section) if name.endswith(item.name)).metadata
    ]  # fmt: skip
    assert without == []


def _rebuilt(section: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if not hasattr(section, name):
            continue  # a setting of that time
        if dataclasses.is_dataclass(getattr(section, name)):
            _rebuilt(getattr(section, name), value if isinstance(value, dict) else {})
        else:
            setattr(section, name, value)


def refusals_of_logs(paths: list[Path]) -> dict[str, list[str]]:
    found = {}
    for path in paths:
        config = named(path.parent.parent.name).settings()
        _rebuilt(config, yaml.load(path.read_text(), yaml.CSafeLoader))
        if problems := check(config):
            found[f"{path.parent.parent.name}/{path.parent.name}"] = problems
    return found


def test_logged_configurations_pass() -> None:
    assert len(LOGS) > 200
    assert refusals_of_logs(LOGS[::10]) == {}


@pytest.mark.slow
def test_all_logged_configurations_pass() -> None:
    assert refusals_of_logs(LOGS) == {}


@pytest.mark.parametrize(
    ("verb", "name", "value", "line"),
    [
        ("time_inference", "lengths", [], "lengths: it is empty, give at least one"),
        ("time_inference", "batch_sizes", [], "batch_sizes: it is empty, give at least one"),
        ("time_inference", "batch_sizes", [4, 4], "batch_sizes: 4 stands twice in [4, 4], once is enough"),
        ("prune_heads", "kinds", [], "kinds: it is empty, name one or more kinds of attention, or null for all"),
        ("prune_heads", "grid", 1e-9, "grid: 1e-09 is outside [0.0001, 1]"),
        ("prune_heads", "seed", 2**32, "seed: 4294967296 is too large, the most is 4,294,967,295"),
        ("prune_heads", "seed", 10**400, "seed: it is too large, the most is 4,294,967,295"),
        ("prune_heads", "train.learning_rate", math.nan, "train.learning_rate: nan is no finite number"),
        ("prune_heads", "train.beta2", 1.0, "train.beta2: 1.0 is outside [0, 1)"),
        ("prune_heads", "run.threads", 10**6, "run.threads: 1000000 is too large, the most is 1,024"),
        ("prune_heads", "train.learning_rate", 0.0, "train.learning_rate: 0.0 must be above 0"),
        ("prune_heads", "train.weight_decay", -1.0, "train.weight_decay: -1.0 must not be negative"),
        ("prune_cofi", "sparsity", 1.0, "sparsity: 1.0 is outside (0, 1)"),
        ("prune_heads", "model.shape", {"hidden_size": 64, "intermediate_size": 0},
         "model.shape.intermediate_size: 0 is no size, give a whole number of 1 to 10,000,000"),
        ("prune_heads", "model.shape", {"hidden_size": 64, "hidden_dropout_prob": 1.5},
         "model.shape.hidden_dropout_prob: 1.5 is outside [0, 1]"),
        ("prune_heads", "run.folder", "/proc/x",
         "run.folder: '/proc/x' lies in proc of the system, where there are no files of data"),
        ("prune_heads", "run.folder", "", "run.folder: it is empty, name a folder"),
        ("prune_heads", "run.folder", "x" * 300,
         f"run.folder: '{'x' * 40}...{'x' * 15}' is too long for a path (300 characters)"),
        ("prune_heads", "task.files", {"train": "/proc/self/mem"},
         "task.files: '/proc/self/mem' lies in proc of the system, where there are no files of data"),
        ("prune_heads", "task.label", "\udcff", "task.label: '\\udcff' is no text (its bytes are not UTF-8)"),
    ],
)  # fmt: skip
def test_lines(verb: str, name: str, value: Any, line: str) -> None:
    config = settings(verb)
    section, _, field = name.rpartition(".")
    setattr(getattr(config, section) if section else config, field, value)
    assert check(config) == [line]


def test_a_link_to_itself(tmp_path: Path) -> None:
    config, loop = settings("prune_heads"), tmp_path / "loop"
    loop.symlink_to(loop)
    config.run.folder = config.teacher = str(loop)
    problems = check(config)
    assert [line.partition(":")[0] for line in problems] == ["teacher", "run.folder"]
    assert all(line.endswith("is a link that leads back to itself") for line in problems)
    config.run.folder = str(tmp_path / "new" / "folder")
    config.teacher = "google-bert/bert-base-uncased"
    assert check(config) == []
