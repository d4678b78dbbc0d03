"""Calibration data, and gradients that all cells of a sweep share."""

from __future__ import annotations

import json

import numpy as np
from torch import Tensor

from prunekit.data.batches import Examples, evaluation_batches
from prunekit.data.checked_rows import Rows
from prunekit.fisher.gradients import GROUP, mask_gradients
from prunekit.fisher.units import UnitTensors
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.support.cache import Cache, EntryKind, Tensors
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import model_fingerprint
from prunekit.support.quiet import Quietness

GRADIENTS = EntryKind("gradients", revision=2)

STAGE = "gradients"
"""Name of the stage whose seconds are kept with the gradients."""
Taken = tuple[UnitTensors, float, Quietness | None]
"""Gradients, the seconds that taking them took, and how quiet the machine was; None where nobody watched."""

TOKENS = 4096
"""The most tokens of a batch: what autograd keeps of it stays below a few gigabytes for base models."""


def draw(rows: Rows, examples: int, seed: int, variant: str = "paper", group: int = GROUP) -> Rows:
    """A seeded sample of the training rows.

    ``paper``: without replacement, in the original order; all rows if there are fewer than asked for.
    ``released``: with replacement, as the authors' code draws them, in the order drawn, which decides the
    groups of :func:`prunekit.fisher.gradients.by_batch`, of ``group`` examples each.

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
    before = run.seconds.get(STAGE, 0.0)

    def taken() -> Taken:
        lengths, padding = examples.lengths, padded_group is not None
        if padded_group is None:
            batches = evaluation_batches(examples, min(32, max(1, TOKENS // int(lengths.max()))))
        else:
            places = np.arange(len(examples))
            groups = [places[at : at + padded_group] for at in range(0, len(places), padded_group)]
            batches = [examples.batch(group, int(lengths[group].max())) for group in groups]
        with run.stage(STAGE, len(examples)) as advance:
            gradients = mask_gradients(teacher.model, batches, labels=labels, padding=padding, progress=advance)
        return gradients, run.seconds[STAGE] - before, run.quiet.get(STAGE)

    identity = {
        "model": model_fingerprint(teacher.model), "examples": examples.fingerprint(), "labels": labels,
        "padded_group": padded_group,
    }  # fmt: skip
    cache = Cache(run.config.run.folder, run.device)
    gradients, seconds, mark = cache.get(GRADIENTS, identity, taken, Tensors(_encoded, _decoded))
    run.seconds[STAGE] = before + seconds
    if mark is not None:
        run.quiet[STAGE] = mark.and_also(run.quiet.get(STAGE))
    return gradients


def _encoded(value: Taken) -> tuple[dict[str, Tensor], dict[str, str]]:
    gradients, seconds, mark = value
    notes = {"seconds": str(seconds), "quiet": json.dumps(None if mark is None else mark.as_dict())}
    return {"heads": gradients.heads, "neurons": gradients.neurons}, notes


def _decoded(tensors: dict[str, Tensor], notes: dict[str, str]) -> Taken:
    content = json.loads(notes.get("quiet", "null"))  # which entries of before do not have
    mark = None if content is None else Quietness.from_dict(content)
    return UnitTensors(tensors["heads"], tensors["neurons"]), float(notes["seconds"]), mark
