"""Calibration data, and gradients that all cells of a sweep share."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import filelock
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from prunekit.data.batches import Examples, evaluation_batches
from prunekit.data.table import Rows
from prunekit.fisher.gradients import GROUP, mask_gradients
from prunekit.fisher.units import UnitTensors
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.support.errors import UserError
from prunekit.support.files import atomic_path, remove
from prunekit.support.fingerprints import examples_fingerprint, weights_fingerprint

REVISION = 1
"""Raised whenever the gradients of the same model and data change; part of the cache's keys."""

STAGE = "gradients"
"""Name of the stage whose seconds are kept with the gradients."""

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


def cached_gradients(teacher: Teacher, examples: Examples, run: Run, labels: str = "gold") -> UnitTensors:
    """:func:`mask_gradients` of a teacher, taken once for each content of weights and examples.

    ``run.seconds["gradients"]`` grows by the time that taking them took, now or when they were taken.
    """
    config = teacher.model.config
    identity = [
        REVISION, weights_fingerprint(teacher.model), examples_fingerprint(examples), labels,
        config.model_type, config._attn_implementation,
    ]  # fmt: skip
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    folder = Path(run.config.run.folder) / "cache" / "gradients"
    path = folder / f"{key}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / f"{key}.lock"):
        remove(*folder.glob(f".{path.name}.*"))  # of a process that was killed
        before = run.seconds.get(STAGE, 0.0)
        if (found := _read(path)) is not None:
            run.seconds[STAGE] = before + found[1]
            return found[0]
        longest = int(examples.lengths.max())
        batches = evaluation_batches(examples, min(32, max(1, TOKENS // longest)))
        with run.stage(STAGE, len(examples)) as advance:
            gradients = mask_gradients(teacher.model, batches, labels=labels, progress=advance)
        with atomic_path(path) as temporary:
            tensors = {"heads": gradients.heads, "neurons": gradients.neurons}
            save_file(tensors, temporary, metadata={"seconds": str(run.seconds[STAGE] - before)})
    return gradients


def _read(path: Path) -> tuple[UnitTensors, float] | None:
    """Gradients and the seconds that they took; None if they are not there, or damaged: they are taken again."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors: list[torch.Tensor] = [file.get_tensor(name) for name in ("heads", "neurons")]
            return UnitTensors(*tensors), float(file.metadata()["seconds"])
    except (OSError, SafetensorError):
        return None
