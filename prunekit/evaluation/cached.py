"""Evaluations that all cells of a sweep share: of the unpruned model on the same rows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples
from prunekit.evaluation.evaluate import Advance, Evaluated, evaluate
from prunekit.support.devices import describe_device
from prunekit.support.files import remove_leftovers, write_json
from prunekit.support.fingerprints import examples_fingerprint, weights_fingerprint

REVISION = 1
"""Raised whenever the same model scores differently on the same rows; part of the cache's keys."""


def cached_evaluation(
    folder: str | Path,
    task: TaskConfig,
    model: Any,
    examples: Examples,
    *,
    device: torch.device,
    batch_size: int,
    precision: str,
    on_rows: Advance,
) -> Evaluated:
    """:func:`prunekit.evaluation.evaluate`, done once for each content of weights and rows.

    Args:
        folder: of the runs; ``cache/evaluations`` in it is used. Processes that want the same wait for each other.
        model: of transformers. This and the rest are as in :func:`prunekit.evaluation.evaluate`.
    """
    identity = [
        REVISION, weights_fingerprint(model), type(model).__name__, model.config._attn_implementation,
        examples.rows.fingerprint(), examples_fingerprint(examples), task.metrics, task.answer_length, task.no_answer,
        batch_size, precision, describe_device(device).as_dict(),
    ]  # fmt: skip
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    home = Path(folder) / "cache" / "evaluations" / key
    home.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(home / "lock"):
        remove_leftovers(home)
        found = _read(home / "evaluation.json")
        if found is None:
            found = evaluate(
                task, model, examples, device=device, batch_size=batch_size, precision=precision, on_rows=on_rows
            )
            write_json(home / "evaluation.json", {
                "metrics": found.metrics, "low": found.low, "high": found.high,
                "per_row": None if found.per_row is None else found.per_row.tolist(),
            })  # fmt: skip
    return found


def _read(path: Path) -> Evaluated | None:
    """What was found before; None if it is not there, or damaged: it is done again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        per_row = content["per_row"]
        return Evaluated(
            content["metrics"], content["low"], content["high"], None if per_row is None else np.asarray(per_row)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
