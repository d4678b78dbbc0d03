"""The shape of a pruned model, as a finished run recorded it: which weights it had is not needed to time it."""

from __future__ import annotations

import csv
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prunekit.config.sections import ModelConfig, Settings, TrainConfig, recorded_section
from prunekit.config.task import TaskConfig
from prunekit.runs.model_facts import Again
from prunekit.runs.own_teacher import with_the_teachers_model
from prunekit.runs.saved_run import with_the_sources
from prunekit.runs.schema.checking import folder_problems
from prunekit.support.contents import file_hash
from prunekit.support.errors import UserError

AnySettings = TypeVar("AnySettings", bound=Settings)

VERBS = ("prune_cofi", "prune_fisher", "compress")
"""Whose records have the units of one pruned model."""


@dataclass(frozen=True)
class RecordedShape:
    """Of a pruned model, with the costs that it was recorded with."""

    folder: Path
    verb: str
    run_id: str
    config: dict[str, Any]
    counts: dict[str, list[int]]
    """Units that are kept, by group and layer, as ``tables/kept.csv`` names them."""
    fingerprint: str
    """Hash of that table."""
    parameters: int
    """Of the whole model."""
    remaining_parameters: float
    remaining_macs: float
    length: int
    """Tokens that the MACs were counted for."""

    @property
    def name(self) -> str:
        return f"{self.verb}/{self.run_id}"

    @property
    def model(self) -> ModelConfig:
        """The whole model, with random weights."""
        return dataclasses.replace(recorded_section(ModelConfig, self.config["model"]), weights="random")

    @property
    def task(self) -> TaskConfig:
        return recorded_section(TaskConfig, self.config["task"])

    @property
    def train(self) -> TrainConfig:
        return recorded_section(TrainConfig, self.config["train"])

    def check(self, dense: tuple[int, int], pruned: tuple[int, int]) -> None:
        """Hold what was built to what was recorded.

        Args:
            dense: parameters of the whole model, and its MACs at ``length``.
            pruned: the same of the pruned one.

        Raises:
            UserError: they differ: the record does not say all of the shape, or it is of another version of the code.
        """
        built = (dense[0], pruned[0] / dense[0], pruned[1] / dense[1])
        recorded = (self.parameters, self.remaining_parameters, self.remaining_macs)
        names = ("parameters of the whole model", "remaining_parameters", "remaining_macs")
        for name, one, other in zip(names, built, recorded, strict=True):
            if one != other:
                raise UserError(
                    f"shape_of: {self.folder} recorded {other} {name}, its shape built here has {one}; a model from "
                    "the record alone is another one"
                )


def read_shape(folder: str | Path) -> RecordedShape:
    """The shape in a run's folder.

    Raises:
        UserError: no finished and undamaged record of one of :data:`VERBS`.
    """
    folder = Path(folder)
    for problem in folder_problems(folder):
        raise UserError(f"shape_of: {problem}; give the folder of a finished run of {' or '.join(VERBS)}")
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if record["verb"] not in VERBS:
        raise UserError(
            f"shape_of: {folder} is a run of {record['verb']}, whose record has no one pruned model; right would be "
            f"one of {' or '.join(VERBS)}"
        )
    kept = _rows(folder / "tables" / "kept.csv")
    counts: dict[str, list[int]] = {}
    for row in sorted(kept, key=lambda row: int(row["layer"])):
        counts.setdefault(row["unit"], []).append(int(row["kept"]))
    return RecordedShape(
        folder=folder, verb=record["verb"], run_id=record["run_id"], config=record["config"], counts=counts,
        fingerprint=file_hash(folder / "tables" / "kept.csv"), parameters=record["model"]["parameters"],
        remaining_parameters=record["metrics"]["remaining_parameters"],
        remaining_macs=record["metrics"]["remaining_macs"],
        length=int(_rows(folder / "tables" / "latency.csv")[0]["length"]),
    )  # fmt: skip


def with_its_own_model(config: AnySettings, again: Again | None = None) -> AnySettings:
    """The configuration with what its input says itself: model, task and recipe of the run whose shape is asked for
    (``shape_of``) or whose model is gone on with (``source``), or the model of a finished teacher.

    Raises:
        UserError: there is no such record, or see :func:`prunekit.runs.own_teacher.with_the_teachers_model`.
    """
    folder, source = getattr(config, "shape_of", None), getattr(config, "source", None)
    if source is not None:
        config = with_the_sources(config, source, again)
    if folder is None:
        return with_the_teachers_model(config)
    shape = read_shape(folder)
    return dataclasses.replace(config, model=shape.model, task=shape.task, train=shape.train)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
