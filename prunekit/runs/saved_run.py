"""A run whose model another one goes on with: what its record says of model, task, teacher and rows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prunekit.config.sections import EvaluationConfig, ModelConfig, Settings, TrainConfig, recorded_section
from prunekit.config.task import TaskConfig
from prunekit.runs.finished import read_result
from prunekit.runs.model_facts import Again, run_folder
from prunekit.support.errors import UserError

AnySettings = TypeVar("AnySettings", bound=Settings)

VERBS = ("finetune", "prune_fisher", "prune_cofi", "compress")
"""That leave one model of a teacher's task."""


@dataclass(frozen=True)
class SavedRun:
    """A finished run that has its weights."""

    folder: Path
    record: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.record['verb']}/{self.record['run_id']}"

    @property
    def model_folder(self) -> Path:
        return self.folder / "model"


def read_saved_run(source: str, runs: str, again: Again | None = None) -> SavedRun:
    """
    Args:
        source: its folder, or ``VERB/RUN_ID``.
        runs: folder of all runs, in which the latter is looked for.
        again: says the command that makes weights again that are gone.

    Raises:
        UserError: no finished run of :data:`VERBS`, or its weights are gone.
    """
    given = next((path for path in (Path(source), Path(runs) / source) if path.is_dir()), None)
    folder = None if given is None else run_folder(str(given), again)
    record = None if folder is None else read_result(folder)
    if folder is None or record is None or record["verb"] not in VERBS:
        what = "no folder of a finished run" if record is None else f"a run of {record['verb']}"
        raise UserError(f"source: {source} is {what}; right would be one of {', '.join(VERBS)}")
    return SavedRun(folder, record)


def with_the_sources(config: AnySettings, source: str, again: Again | None = None) -> AnySettings:
    """The configuration with model, task, teacher and the name of the scale of the run that its model is from, and
    evaluated as that one was (`finetune` has no such section).

    Raises:
        UserError: see :func:`read_saved_run`.
    """
    saved = read_saved_run(source, config.run.folder, again)
    recorded = saved.record["config"]
    inside = saved.folder.resolve() == (Path(config.run.folder) / saved.name).resolve()
    own: dict[str, Any] = {
        "source": saved.name if inside else source,  # the same run wherever the folder of all lies
        "model": recorded_section(ModelConfig, recorded["model"]),
        "task": recorded_section(TaskConfig, recorded["task"]),
        "train": recorded_section(TrainConfig, recorded["train"]),
        "teacher": recorded.get("teacher"),
        "scale": dataclasses.replace(config.scale, name=saved.record["scale"]),
    }
    if evaluation := recorded.get("evaluation"):
        own["evaluation"] = recorded_section(EvaluationConfig, evaluation)
    return dataclasses.replace(config, **own)
