"""What the verbs take at a model's true shape: seconds and memory of measured steps, on random weights and inputs.

Nothing is downloaded and nothing is scored. From what one step or one row takes follow the seconds of one run of the
verbs that a paper's presets use, with the settings that they have at this scale; a teacher comes on top of each once.
``not_estimated`` names the other verbs. ``reproduce estimate=true`` sums up all runs of a paper from the same steps.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.benchmarks.paired import BenchmarkCase, Results, Row
from experiments.cli.composition import CONF
from experiments.estimates.steps import STEPS, MeasuredModel, measured
from experiments.estimates.work import WORK, seconds_of
from experiments.reproduce import settings_of
from prunekit.config.sections import Experiment
from prunekit.models.blocks import describe
from prunekit.runs.schema.verbs import VERBS
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from prunekit.models.layout import Layout


def compare(case: BenchmarkCase) -> Results:
    """No comparisons: measured steps are a table of their own."""
    config: Any = case.run.config
    runs = runs_of(config, case.size)
    subject = MeasuredModel(
        model=case.model, task=config.task, train=config.train, evaluation=config.evaluation, precision=config.dtype,
        student=runs["prune_cofi"].recipe, seed=case.seed,
    )  # fmt: skip
    seconds: dict[str, float] = {}
    metrics: dict[str, Any] = {}
    rows: list[Row] = []
    with case.run.stage("benchmark", len(STEPS) * case.repeats) as advance:
        for name in STEPS:
            taken = []
            for repeat in range(case.repeats):
                taken.append(measured(name, subject))
                rows.append({
                    "step": name, "repeat": repeat, "seconds": taken[-1].seconds,
                    "peak_megabytes": taken[-1].megabytes,
                })  # fmt: skip
                advance(1)
            seconds[name] = metrics[f"seconds_one {name}"] = float(np.median([one.seconds for one in taken]))
            metrics[f"peak_megabytes_{name}"] = max(one.megabytes for one in taken)
    case.run.table("steps", rows)
    found = totals(seconds, runs, describe(case.model))
    metrics |= {f"seconds_of {verb}": value for verb, value in found.items()}
    return [], metrics | {"not_estimated": ", ".join(sorted(set(VERBS) - {*found, "benchmark"}))}


def runs_of(config: Experiment, size: int) -> dict[str, Any]:
    """The settings of one run of each verb that takes the task, at the same scale, of the same model and recipe.

    Args:
        size: rows that a teacher is trained on where its recipe does not say; data that is generated has its own.
    """
    chosen = {"scale": config.scale.name, "model": config.model.name, "task": config.task.name}
    there = [f"{group}={name}" for group, name in chosen.items() if (CONF / group / f"{name}.yaml").exists()]
    rows = config.train.examples or (None if config.task.source == "demo" else size)
    train = dataclasses.replace(config.train, examples=rows)
    runs = {}
    for verb in WORK:
        try:
            own = settings_of(verb, there)
        except UserError:
            continue
        runs[verb] = dataclasses.replace(own, model=config.model, task=config.task, train=train)
    return runs


def totals(seconds: dict[str, float], runs: dict[str, Any], layout: Layout) -> dict[str, float]:
    """Seconds of one run of each verb, by its name, without its teacher.

    Args:
        seconds: of one step or row.
    """
    found = {verb: seconds_of(WORK[verb](config, layout), seconds, set()) for verb, config in runs.items()}
    return {verb: value for verb, value in found.items() if value}
