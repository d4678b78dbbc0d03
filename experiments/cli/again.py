"""The command that makes a run again, from its record: its presets, and every setting that differs from theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from analysis.catalogue.commands import override
from analysis.data.groups import flat
from experiments.cli.composition import CONF, register
from experiments.cli.help import composed
from experiments.cli.verb import named

CHOSEN = ("model", "task", "method")
"""Sections that presets fill."""
APART = ("run", "scale")
"""Sections that change no number."""
WHERE = "run.folder"
"""Of these what is said all the same: elsewhere the run would not come back, but be another one."""
ALWAYS = ("seed", "constraint", "sparsity", "share", "order")
"""What a reader looks for: said at its default, too."""


def command_of(record: Mapping[str, Any]) -> str:
    """Of a record as `result.json` has it. Settings that the verb no longer has are left out."""
    verb, config = str(record["verb"]), record["config"]
    teacher = config.get("teacher")
    presets = [f"scale={record['scale']}"] if record["scale"] else []
    for group in CHOSEN:
        name = _preset(group, config.get(group) or {})
        presets += [f"{group}={name}"] if name and not (group == "model" and teacher) else []
    register(verb, named(verb).settings)
    usual = dict(flat(dataclasses.asdict(composed(verb, presets))))
    words = []
    for name, value in flat(config):
        section = name.partition(".")[0]
        of_teacher = teacher and section == "model"
        if (section in APART and name != WHERE) or (value is None and usual.get(name) is None) or of_teacher:
            continue
        if name in ALWAYS or name not in usual or usual[name] != value:
            new = "++" if name not in usual else ""
            words += [override(f"{new}{name}", value)] if section in vars(named(verb).settings()) else []
    return " ".join([f"python -m experiments.{verb}", *presets, *words])


def _preset(group: str, section: Mapping[str, Any]) -> str | None:
    """The file of ``conf/`` that a section is of; of own files and of models that are no preset the usual one."""
    if group == "task" and section.get("source") == "files":
        return "files"
    name = str(section.get("name"))
    return name if (CONF / group / f"{name}.yaml").is_file() else None
