"""Calibration data, and what all cells of a sweep compute from it but once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from prunekit.data.batches import Batch, Examples, evaluation_batches
from prunekit.data.checked_rows import Rows
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.stages.score.gradients import GRADIENTS, GROUP, mask_gradients
from prunekit.stages.units import UnitTensors
from prunekit.support.cache import Cache, EntryKind, Tensors
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import model_fingerprint
from prunekit.support.quiet import Quietness

STAGE = "gradients"
"""Name of the stage whose seconds are kept with the gradients."""
Taken = tuple[dict[str, Tensor], float, Quietness | None]
"""Tensors, the seconds that computing them took, and how quiet the machine was; None where nobody watched."""

TOKENS = 4096
"""The most tokens of a batch: what autograd keeps of it stays below a few gigabytes for base models."""


def draw(rows: Rows, examples: int, seed: int, variant: str = "paper", group: int = GROUP) -> Rows:
    """A seeded sample of the training rows.

    ``paper``: without replacement, in the original order; all rows if there are fewer than asked for.
    ``released``: with replacement, as the authors' code draws them, in the order drawn, which decides the
    groups of :func:`prunekit.stages.score.gradients.by_batch`, of ``group`` examples each.

    Raises:
        UserError: no rows to draw from, or less than one group for ``released``.
    """
    if len(rows) == 0 or examples < 1:
        raise UserError(f"calibration_examples: {examples} of {len(rows)} training rows, at least 1 is needed")
    if variant == "paper":
        return rows.sample(examples, seed)
    if examples < group:
        raise UserError(
            f"calibration_examples: {examples} is less than one batch of {group}, which variant=released needs"
        )
    return rows.take(np.random.default_rng(seed).choice(len(rows), examples))


def cached_gradients(
    teacher: Teacher, examples: Examples, run: Run, labels: str = "gold", padded_group: int | None = None
) -> UnitTensors:
    """:func:`mask_gradients` of a teacher, taken once for each content of weights and examples.

    Args:
        padded_group: let padding compete for answers, in groups of so many examples as they come, each padded to its
            longest: what the released code's gradients of questions are taken on.

    ``run.seconds["gradients"]`` grows by the time that taking them took, now or when they were taken, and
    ``run.quiet["gradients"]`` says how quiet the machine was then.
    """

    def taken() -> dict[str, Tensor]:
        lengths, padding = examples.lengths, padded_group is not None
        if padded_group is None:
            batches = calibration_batches(examples)
        else:
            places = np.arange(len(examples))
            groups = [places[at : at + padded_group] for at in range(0, len(places), padded_group)]
            batches = [examples.batch(group, int(lengths[group].max())) for group in groups]
        with run.stage(STAGE, len(examples)) as advance:
            gradients = mask_gradients(teacher.model, batches, labels=labels, padding=padding, progress=advance)
        return {"heads": gradients.heads, "neurons": gradients.neurons}

    kept = cached_statistics(
        teacher, examples, run, GRADIENTS, STAGE, {"labels": labels, "padded_group": padded_group}, taken
    )
    return UnitTensors(kept["heads"], kept["neurons"])


def calibration_batches(examples: Examples) -> list[Batch]:
    """All examples, in batches of at most :data:`TOKENS` tokens and 32 rows."""
    return evaluation_batches(examples, min(32, max(1, TOKENS // int(examples.lengths.max()))))


def cached_statistics(
    teacher: Teacher, examples: Examples, run: Run, kind: EntryKind, stage: str, identity: Mapping[str, Any],
    compute: Callable[[], Mapping[str, Tensor]],
) -> dict[str, Tensor]:  # fmt: skip
    """Tensors that are computed once for each content of a teacher's weights and of examples.

    ``run.seconds[stage]`` grows by the time that computing them took, now or when it was done, and ``run.quiet[stage]``
    says how quiet the machine was then.

    Args:
        identity: what else changes them, as :class:`prunekit.support.cache.Cache` takes it.
        compute: in the stage of this name.
    """
    before = run.seconds.get(stage, 0.0)

    def taken() -> Taken:
        tensors = dict(compute())
        return tensors, run.seconds[stage] - before, run.quiet.get(stage)

    whole = {"model": model_fingerprint(teacher.model), "examples": examples.fingerprint(), **identity}
    cache = Cache(run.config.run.folder, run.device)
    tensors, seconds, mark = cache.get(kind, whole, taken, Tensors(_encoded, _decoded))
    run.seconds[stage] = before + seconds
    if mark is not None:
        run.quiet[stage] = mark.and_also(run.quiet.get(stage))
    return tensors


def _encoded(value: Taken) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, seconds, mark = value
    return tensors, {"seconds": str(seconds), "quiet": json.dumps(None if mark is None else mark.as_dict())}


def _decoded(tensors: dict[str, Tensor], notes: dict[str, str]) -> Taken:
    content = json.loads(notes.get("quiet", "null"))  # which entries of before do not have
    mark = None if content is None else Quietness.from_dict(content)
    return tensors, float(notes["seconds"]), mark
