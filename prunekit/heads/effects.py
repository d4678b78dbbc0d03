"""Effects of single heads on a task: the ablation engine run once per (weights, data), and tested for significance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch

from prunekit.config.sections import EvaluationConfig
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Batch, Examples, evaluation_batches
from prunekit.data.kinds.translation import Pairs
from prunekit.evaluation.comparison import Comparison, compare
from prunekit.forward.ablation import ablate_heads
from prunekit.heads.translation_effects import translation_comparisons
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.support.files import atomic_path, remove_leftovers
from prunekit.support.fingerprints import weights_fingerprint

ENGINE_REVISION = 1
"""Raised whenever the ablation engine gives other numbers; part of the cache's keys."""

SHARD_ROWS = 512
"""An interrupted ablation loses at most this many rows of work."""


@dataclass(frozen=True)
class Effects:
    """Logits with one head off (or all but one), for every head, in the order of the data."""

    baseline: np.ndarray
    """(example, label)"""
    ablated: dict[str, np.ndarray]
    """By ablation (``one_off``, ``all_but_one``): (layer, head, example, label)."""


def head_comparisons(
    task: TaskConfig,
    teacher: Teacher,
    examples: Examples,
    run: Run,
    ablations: Sequence[str],
    evaluation: EvaluationConfig,
    *,
    seed: int = 0,
    tested: bool = True,
    label: str = "ablate heads",
) -> dict[str, dict[str, Comparison]]:
    """The metric with each head ablated beside the whole model's, by ablation and attention kind: (layer, head).

    Args:
        task: whose metric is compared.
        ablations: ``one_off``, ``all_but_one`` or both.
        seed: of the bootstrap, where the metric needs one.
        tested: False where only the metric is needed: tests of translation take most of a second each, and their
            p-values are NaN then.
    """
    if isinstance(examples, Pairs):
        return translation_comparisons(task, teacher, examples, run, ablations, evaluation, tested=tested, label=label)
    effects = head_effects(teacher, examples, run, ablations, evaluation.batch_size, label)
    return {
        name: {"self": compare(task, effects.baseline, effects.ablated[name], examples.labels, seed)}
        for name in ablations
    }


def head_effects(
    teacher: Teacher,
    examples: Examples,
    run: Run,
    ablations: Sequence[str],
    batch_size: int,
    label: str = "ablate heads",
) -> Effects:
    """Ablate every head of every layer, in pieces that are cached by content and shared by all experiments."""
    batches = evaluation_batches(examples, batch_size)
    weights = weights_fingerprint(teacher.model)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("baseline", *ablations)}
    places: list[torch.Tensor] = []
    with run.stage(label, len(examples)) as advance:
        for shard in _shards(batches):
            index = torch.cat([batch["index"] for batch in shard])
            local = _renumbered(shard, run.device)
            key = _key(weights, examples, index, run.config.run_dtype, teacher.model.config)
            folder = Path(run.config.run.folder) / "cache" / "ablation" / key
            for name, logits in _cached(folder, teacher.model, local, ablations).items():
                parts[name].append(logits)
            places.append(index)
            advance(len(index))
    order = torch.argsort(torch.cat(places)).numpy()
    joined = {name: np.concatenate(arrays, axis=-2)[..., order, :] for name, arrays in parts.items()}
    return Effects(joined.pop("baseline"), joined)


def _cached(folder: Path, model: Any, batches: list[Batch], ablations: Sequence[str]) -> dict[str, np.ndarray]:
    """Baseline and ablated logits of a piece; what is not there yet is computed in one pass."""
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        remove_leftovers(folder)
        found = {name: _read(folder / f"{name}.npy") for name in ("baseline", *ablations)}
        missing = [name for name in ablations if found[name] is None]
        if missing or found["baseline"] is None:
            result = ablate_heads(model, batches, modes=missing)
            for name, logits in {**result.logits, "baseline": result.baseline}.items():
                found[name] = logits.numpy()
                with atomic_path(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
                    np.save(file, logits.numpy(), allow_pickle=False)
        return {name: logits for name, logits in found.items() if logits is not None}


def _read(path: Path) -> np.ndarray | None:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or damaged: computed again
        return None


def _shards(batches: list[Batch]) -> list[list[Batch]]:
    shards: list[list[Batch]] = [[]]
    for batch in batches:
        if sum(len(other["index"]) for other in shards[-1]) >= SHARD_ROWS:
            shards.append([])
        shards[-1].append(batch)
    return shards


def _renumbered(batches: list[Batch], device: torch.device) -> list[Batch]:
    start, local = 0, []
    for batch in batches:
        rows = len(batch["index"])
        local.append({name: t.to(device) for name, t in batch.items()} | {"index": torch.arange(start, start + rows)})
        start += rows
    return local


def _key(weights: str, examples: Examples, index: torch.Tensor, dtype: str, config: Any) -> str:
    rows = [examples.input_ids[i] for i in index.tolist()]
    identity = [ENGINE_REVISION, weights, dtype, config._attn_implementation, index.tolist(), rows]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
