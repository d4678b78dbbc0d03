"""Evaluations that all cells of a sweep share: of the unpruned model on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples
from prunekit.evaluation.evaluate import Advance, Evaluated, evaluate
from prunekit.evaluation.row_answers import RowAnswers
from prunekit.support.cache import Cache, EntryKind, Json
from prunekit.support.fingerprints import model_fingerprint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EVALUATIONS = EntryKind("evaluations", revision=2)


def cached_evaluation(
    folder: str | Path,
    task: TaskConfig,
    model: PreTrainedModel,
    examples: Examples,
    *,
    device: torch.device,
    batch_size: int,
    beams: int = 5,
    precision: str,
    on_rows: Advance,
) -> Evaluated:
    """:func:`prunekit.evaluation.evaluate`, done once for each content of weights and rows.

    Args:
        folder: of the runs. Processes that want the same wait for each other.
        model: of transformers. This and the rest are as in :func:`prunekit.evaluation.evaluate`.
    """
    how: dict[str, Any] = {"batch_size": batch_size, "beams": beams, "precision": precision}
    identity = {
        "model": model_fingerprint(model), "examples": examples.fingerprint(), "task": task.beyond_rows(),
        "task of the rows": examples.rows.task.beyond_rows(), **how,
    }  # fmt: skip
    return Cache(folder, device).get(
        EVALUATIONS, identity, lambda: evaluate(task, model, examples, device=device, on_rows=on_rows, **how),
        Json(_encoded, _decoded),
    )  # fmt: skip


def _encoded(result: Evaluated) -> dict[str, Any]:
    answers = result.answers
    return {
        "metrics": result.metrics, "low": result.low, "high": result.high, "per_row": _listed(result.per_row),
        "answers": {
            "kind": answers.kind, "rows": answers.rows, "gold": _listed(answers.gold),
            "given": {name: _listed(values) for name, values in answers.given.items()},
        },
    }  # fmt: skip


def _decoded(content: dict[str, Any]) -> Evaluated:
    own = content["answers"]
    given = {name: _array(values) for name, values in own["given"].items()}
    answers = RowAnswers(own["kind"], own["rows"], _optional(own["gold"]), given)
    return Evaluated(content["metrics"], content["low"], content["high"], _optional(content["per_row"]), answers)


def _listed(values: np.ndarray | None) -> dict[str, Any] | None:
    return None if values is None else {"dtype": values.dtype.str, "values": values.tolist()}


def _array(content: dict[str, Any]) -> np.ndarray:
    return np.asarray(content["values"], np.dtype(content["dtype"]))


def _optional(content: dict[str, Any] | None) -> np.ndarray | None:
    return None if content is None else _array(content)
