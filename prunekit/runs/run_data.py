"""The rows that a run works on: read, sampled, and named in its record."""

from __future__ import annotations

import json
import logging
from typing import Any

from prunekit.config.sections import Experiment
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples
from prunekit.data.checked_rows import Rows
from prunekit.data.rows import load_rows
from prunekit.runs.execute import INPUTS, Run
from prunekit.runs.teachers import Teacher
from prunekit.support.files import write_json
from prunekit.training import processes

log = logging.getLogger(__name__)


def recorded_rows(
    run: Run, role: str, task: TaskConfig, split: str, examples: int | None, seed: int | None = None
) -> Rows:
    """A sample of a split, named in the record of the run.

    Args:
        role: what the rows are for, as ``evaluation`` or ``importance``.
        examples: None for all rows.
        seed: of the sample; None for the one of evaluation samples, which are the same in every run.

    Raises:
        UserError: the split cannot be read, as :func:`prunekit.data.rows.load_rows` says.
    """
    rows = load_rows(task, split)
    rows = rows.sample(examples) if seed is None else rows.sample(examples, seed)
    run.data.append(rows.record(role))
    return rows


def evaluation_rows(config: Experiment, run: Run) -> Rows:
    """What ``config.evaluation`` takes of the task's evaluation split."""
    return recorded_rows(run, "evaluation", config.task, config.task.evaluation, config.evaluation.examples)


def evaluation_examples(config: Experiment, teacher: Teacher, run: Run) -> Examples:
    """:func:`evaluation_rows`, encoded as the teacher reads them."""
    return teacher.encode(evaluation_rows(config, run))


def logged_on_the_same(run: Run) -> list[dict[str, Any]]:
    """Lines that an interrupted run has logged, if that was on the weights and rows that this one has named so far.

    Of others it starts anew and says so. One that says nothing of its input had the same.
    """
    if processes.rank() > 0:
        return run.logged()
    inputs = {
        "weights": run.model.get("fingerprint"),
        **{f"{item['role']} rows": item["fingerprint"] for item in run.data},
    }
    path = run.folder / INPUTS
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        before = {}
    if changed := [name for name, value in inputs.items() if before.get(name, value) != value]:
        log.warning(
            "%s: not gone on with, its %s had another content; starting anew", run.folder, " and ".join(changed)
        )
        run.logged(until=-1)
        run.answers.forget()
    write_json(path, inputs)
    run.leftovers.append(path)
    return run.logged()
