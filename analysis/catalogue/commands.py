"""Commands that make the runs which figures and claims miss: the one place where they are put together.

A model or a task that is no preset of ``conf/`` is said as its records have it: a fine-tuned model by ``teacher=PATH``,
files by their settings. Where that cannot be said there is no command.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from analysis.claims.claim import DRAWS, SEEDS
from analysis.data.groups import AXES, settings_of
from prunekit.config.task import TaskConfig

if TYPE_CHECKING:
    from analysis.claims.claim import Claim
    from analysis.data.groups import Setting
    from analysis.data.records import Record

CONF = Path(__file__).resolve().parent.parent.parent / "conf"
BARE = re.compile(r"[A-Za-z_./][\w./-]*")
"""Texts that Hydra reads as they are written."""
TYPED = ("null", "true", "false", "yes", "no", "on", "off", "nan", "inf")
"""Words that it reads as something else."""


def of_claim(
    claim: Claim, setting: Setting | None, runs: Sequence[Record] = (), judged: Sequence[Record] = ()
) -> str:
    """What makes the runs of a claim in a setting.

    ``{task}`` in the claim's command stands for the setting's task. Empty where no command makes them.

    Arguments:
        runs: of the setting, which say what is no preset; none where all is.
        judged: those that the claim was judged by, whose tasks, seeds and sizes the command then has.
    """
    verb, overrides = claim.command.split(" ", 1)
    overrides = _as_run(overrides, claim, judged)
    names_task = "task=" in overrides
    overrides = overrides.replace("{task}", setting.task if setting is not None else "")
    if setting is None:
        return _line([f"python -m experiments.{verb} {overrides}"])
    several = sorted({record.task for record in judged}) if claim.over == "tasks" and not names_task else []
    model, own = _model(setting, runs), bool(_teacher(runs))
    if own and not names_task and not setting.task and not several:
        several = sorted({record.task for record in runs})[:1]  # the teacher is of no other
    task = _task([setting.task] if setting.task else several, runs)
    if model is None or task is None or (own and names_task) or not _serves(verb, claim.command, setting, runs):
        return ""
    if own:  # a finished model has no seeds of its training to choose
        overrides = " ".join([*(word for word in overrides.split() if not word.startswith("train.seed=")),
                              "train.seed=0"])  # fmt: skip
    sweep = "-m " if len(several) > 1 and not overrides.startswith("-m ") else ""
    words = [f"python -m experiments.{verb} {sweep}{overrides}"]
    words += [f"scale={setting.scale}"] if setting.scale else []
    words += [*model, *task]
    words += ["model.weights=random"] if setting.weights == "random" else []
    return _line(words)


def _as_run(overrides: str, claim: Claim, judged: Sequence[Record]) -> str:
    """Of seeds, sizes and tasks that are named those that runs have, and the seeds that a claim resamples also where it
    names none; as they are where the runs are no whole grid, of which a sweep would make more than were judged."""
    if not judged:
        return overrides
    words = overrides.split()
    names = [name for name, sign, _ in (word.partition("=") for word in words) if sign and name in SWEPT]
    if claim.resample in (DRAWS, SEEDS) and "seed" not in names and len({record.seed for record in judged}) > 1:
        names, words = [*names, "seed"], [*words, "seed="]
    besides = [axis for axis in AXES.get(claim.command.split(" ")[0], ()) if axis not in names]  # labels, say
    cells = {
        (*(SWEPT[name](record) for name in (*names, "task")), settings_of(record, besides)) for record in judged
    }
    *known, others = map(set, zip(*cells, strict=True))
    axes = {
        name: sorted(values, key=lambda value: (value is None, value))
        for name, values in zip((*names, "task"), known, strict=True)
    }
    whole = math.prod(map(len, axes.values())) * len(others)
    if whole > len(cells) or any(None in values for values in axes.values()):
        return overrides
    said = {f"{name}=": f"{name}={','.join(map(_written, axes[name]))}" for name in names}
    words = [next((text for name, text in said.items() if word.startswith(name)), word) for word in words]
    if any(len(axes[name]) > 1 for name in names) and "-m" not in words:
        words.insert(0, "-m")
    return " ".join(words)


SWEPT: dict[str, Callable[[Record], Any]] = {
    "seed": lambda record: record.seed,
    "train.seed": lambda record: record.teacher_seed,
    "sparsity": lambda record: record.config.get("sparsity"),
    "constraint": lambda record: record.config.get("constraint"),
    "budget": lambda record: record.config.get("budget"),
    "task": lambda record: record.task,
}
"""What claims are judged at: where each stands in a record."""


def of_part(verb: str, overrides: str, setting: Setting, runs: Sequence[Record]) -> str:
    """What makes the runs of a figure in a setting; empty where no command does.

    Arguments:
        overrides: what its verb needs beside model, task and scale; ``{task}`` stands for the task.
        runs: of the setting.
    """
    own = [setting.task] if setting.task else sorted({r.task for r in runs if _teacher(runs) or _is_of_files(r)})[:1]
    model, task = _model(setting, runs), _task(own, runs)
    if model is None or task is None or not _serves(verb, overrides, setting, runs):
        return ""
    words = [f"python -m experiments.{verb}", *model, *task]
    words += [overrides.format(task=setting.task)] if overrides else []
    words += [f"scale={setting.scale}"] if setting.scale else []
    return _line(words)


def _line(words: Sequence[str]) -> str:
    """One line for any shell: zsh takes brackets for a pattern of file names.

    >>> _line(["python -m experiments.prune_heads", "kinds=[enc-enc],[enc-dec]", "seed=0"])
    "python -m experiments.prune_heads 'kinds=[enc-enc],[enc-dec]' seed=0"
    """
    every = " ".join(words).split(" ")
    return " ".join(f"'{word}'" if "[" in word and word[0] not in "'\"" else word for word in every)


def of_chapter(command: str, setting: Setting, runs: Sequence[Record]) -> str:
    """What makes all runs of a paper at the scale of a setting; empty where that would be on another model."""
    scale = _settings_of_scale(setting.scale)
    if _teacher(runs) or (scale is not None and setting.model not in scale["models"]):
        return ""
    return command + (f" SCALE={setting.scale}" if setting.scale else "")


def _serves(verb: str, overrides: str, setting: Setting, runs: Sequence[Record]) -> bool:
    """Whether a verb can be run on model and task."""
    if verb == "head_dynamics" and _teacher(runs):
        return False  # a finished model does not show its training
    files = any(record.task == setting.task and _is_of_files(record) for record in runs)
    if "{task}" in overrides or verb == "transfer":  # a second set of the same labels, which only presets have
        scale = _settings_of_scale(setting.scale)
        return not files and ("{task}" in overrides or scale is None or setting.task in ("", scale["task"]))
    return True


def _teacher(runs: Sequence[Record]) -> str | None:
    """The fine-tuned model of the user's that runs are of."""
    return next((str(path) for record in runs if (path := record.config.get("teacher"))), None)


def _model(setting: Setting, runs: Sequence[Record]) -> list[str] | None:
    if teacher := _teacher(runs):
        return [override("teacher", teacher)]
    return [f"model={setting.model}"] if is_preset("model", setting.model) else None


def _task(names: Sequence[str], runs: Sequence[Record]) -> list[str] | None:
    own = {record.task: record for record in reversed(runs) if _is_of_files(record)}
    if len(names) == 1 and names[0] in own:
        return _files(own[names[0]].config["task"])
    if any(name in own or not is_preset("task", name) for name in names):
        return None
    return [f"task={','.join(names)}"] if names else []


def _is_of_files(record: Record) -> bool:
    return record.config["task"].get("source") == "files"


def _files(task: Mapping[str, Any]) -> list[str]:
    """The settings of a task of own files, as far as they are not those of ``conf/task/files.yaml``."""
    usual = vars(TaskConfig(name="files"))
    always = ("columns", "labels")  # of which the file has others than the class
    words = ["task=files"]
    for name, value in task.items():
        if name == "files":
            words += [override(f"task.files.{split}", path) for split, path in value.items() if path is not None]
        elif name in usual and name != "source" and (name in always or value != usual[name]):
            words.append(override(f"task.{name}", value))
    return words


def override(name: str, value: Any) -> str:
    """``name=value`` as Hydra reads it, quoted for a shell where that is needed."""
    return shlex.quote(f"{name}={_written(value)}")


def _written(value: Any) -> str:
    """A value as Hydra reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    if not isinstance(value, str) or (BARE.fullmatch(text) and text.lower() not in TYPED):
        return text
    escaped = re.sub(r'(\\+)(?="|$)', r"\1\1", text).replace('"', '\\"')
    return f'"{escaped}"'


@cache
def presets(group: str) -> frozenset[str]:
    """The names that a group of ``conf/`` has; none where there is no ``conf/``."""
    return frozenset(path.stem for path in (CONF / group).glob("*.yaml"))


def is_preset(group: str, name: str) -> bool:
    """Whether ``conf/`` has it; where there is no ``conf/`` nobody knows, and names are taken for presets."""
    return name in presets(group) or not CONF.is_dir()


@cache
def _settings_of_scale(scale: str | None) -> dict[str, Any] | None:
    """The task of a scale, and its models; None where it is no preset."""
    path = CONF / "scale" / f"{scale}.yaml"
    if scale is None or "/" in scale or not path.is_file():
        return None
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    chosen = {name.split("/")[-1]: value for line in content["defaults"] for name, value in line.items()}
    translation = content["scale"].get("translation", {})  # which not every scale has
    return {"task": chosen["task"], "models": (chosen["model"], translation.get("model"))}
