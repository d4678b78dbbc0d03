"""Effects of single heads on a task: the ablation engine run once per (weights, data), and tested for significance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from prunekit.config.sections import EvaluationConfig
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Batch, Examples, evaluation_batches
from prunekit.data.kinds.tags import Sentences
from prunekit.data.kinds.translation import Pairs
from prunekit.data.metrics import predictions
from prunekit.evaluation.comparison import Comparison, compare
from prunekit.evaluation.evaluate import evaluated
from prunekit.evaluation.row_answers import of_labels
from prunekit.forward.ablation import ablate_heads
from prunekit.heads.tables import WHOLE, without
from prunekit.heads.tag_effects import tag_comparisons
from prunekit.heads.translation_effects import translation_comparisons
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.runs.beside_trivial import record_beside_trivial
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher
from prunekit.support.cache import Cache, EntryKind, Tensors
from prunekit.support.errors import UserError
from prunekit.support.fingerprints import model_fingerprint
from prunekit.support.finite import require_finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ABLATIONS = EntryKind("ablation", revision=1)

SHARD_ROWS = 512
"""An interrupted ablation loses at most this many rows of work."""


@dataclass(frozen=True)
class Effects:
    """What a model says with one head off (or all but one), for every head, in the order of the data."""

    baseline: np.ndarray
    """Logits, (example, label); of tags the most likely one of every token, (example, token)."""
    ablated: dict[str, np.ndarray]
    """By ablation (``one_off``, ``all_but_one``): (layer, head, *baseline). Where a model has no such head: NaN, or the
    tag -1."""


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
    beside: str | None = "",
    label: str = "ablate heads",
    role: str | None = None,
) -> dict[str, dict[str, Comparison]]:
    """The metric with each head ablated beside the whole model's, by ablation and attention kind: (layer, head).

    Args:
        task: whose metric is compared.
        ablations: ``one_off``, ``all_but_one`` or both.
        seed: of the bootstrap, where the metric needs one.
        tested: False where only the metric is needed: tests of translation take most of a second each, and their
            p-values are NaN then.
        beside: what the names of the trivial answer's scores on these rows begin with in the record; None where they
            are not recorded.
        role: of the rows, by which all answers go into the record; None where they only decide what is evaluated.
    """
    if isinstance(examples, Pairs):
        return translation_comparisons(
            task, teacher, examples, run, ablations, evaluation, tested=tested, beside=beside, label=label, role=role
        )
    effects = head_effects(teacher, examples, run, ablations, evaluation.batch_size, label)
    if isinstance(examples, Sentences):
        own = tag_comparisons(
            task, examples, effects.baseline, effects.ablated, describe(teacher.model), seed=seed, tested=tested
        )
        if beside is not None:
            record_beside_trivial(run, task, teacher.model, examples.rows, own.whole, prefix=beside)
        if role is not None:
            run.answers.add(role, own.models, own.answers)
        return own.compared
    found = {name: compare(task, effects.baseline, effects.ablated[name], examples.labels, seed) for name in ablations}
    if beside is not None:
        whole = evaluated(task, examples, effects.baseline)
        record_beside_trivial(run, task, teacher.model, examples.rows, whole, prefix=beside)
    if role is not None:
        _keep_answers(task, teacher.model, examples, effects, run, role)
    return {name: {"self": comparison} for name, comparison in found.items()}


def _keep_answers(
    task: TaskConfig, model: PreTrainedModel, examples: Examples, effects: Effects, run: Run, role: str
) -> None:
    places = Masks.ones(describe(model)).heads["self"].nonzero().tolist()
    models, answers = [WHOLE], [predictions(effects.baseline, task.regression)]
    for name, logits in effects.ablated.items():
        for layer, head in places:
            models.append(without(name, "self", layer, head))
            answers.append(predictions(logits[layer, head], task.regression))
    own = of_labels(task.kind, examples.rows.fingerprint(), examples.labels, np.stack(answers))
    run.answers.add(role, models, own)


def head_effects(
    teacher: Teacher,
    examples: Examples,
    run: Run,
    ablations: Sequence[str],
    batch_size: int,
    label: str = "ablate heads",
) -> Effects:
    """Ablate every head of every layer, in pieces that are cached by content and shared by all experiments."""
    cache, model = Cache(run.config.run.folder, run.device), model_fingerprint(teacher.model)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("baseline", *ablations)}
    places: list[torch.Tensor] = []
    with run.stage(label, len(examples)) as advance:
        for shard in _shards(evaluation_batches(examples, batch_size)):
            index = torch.cat([batch["index"] for batch in shard])
            own = examples.take(index.tolist()).inputs_fingerprint()
            local = _renumbered(shard)
            for name in ablations:
                identity = {"model": model, "examples": own, "dtype": run.config.run_dtype, "ablation": name}
                codec = Tensors(_encoded, _decoded)
                compute = partial(_ablated, teacher.model, local, name, index)
                baseline, ablated = cache.get(ABLATIONS, identity, compute, codec)
                parts[name].append(ablated.numpy())
            parts["baseline"].append(baseline.numpy())
            places.append(index)
            advance(len(index))
    order = torch.argsort(torch.cat(places)).numpy()
    longest = max(array.shape[-1] for array in parts["baseline"])  # of tags, parts have their own numbers of tokens
    joined = {
        name: np.concatenate([_lengthened(array, longest) for array in arrays], axis=-2)[..., order, :]
        for name, arrays in parts.items()
    }
    require_finite(joined["baseline"])
    return Effects(joined.pop("baseline"), joined)


def _lengthened(values: np.ndarray, size: int) -> np.ndarray:
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, size - values.shape[-1])])


def _ablated(model: PreTrainedModel, batches: list[Batch], mode: str, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the whole model, (example, label), and of one without each head, (layer, head, example, label). Of tags
    the most likely one of every token in place of logits: those of all heads are too many to keep.

    Args:
        rows: of the data, (example,), for messages.

    Raises:
        UserError: some are no numbers; they are not worth to be cached.
    """
    found = ablate_heads(model, batches, modes=[mode])
    baseline, ablated = found.baseline, found.logits[mode]
    order = rows.argsort()
    require_finite(baseline[order].numpy(), rows[order].tolist())
    for layer, head in Masks.ones(describe(model)).heads["self"].nonzero().tolist():
        if not bool(ablated[layer, head].isfinite().all()):
            raise UserError(
                f"layer {layer}, head {head}: the model's output is not finite in {mode}; check its weights"
            )
    if baseline.dim() == 3:
        there = ~ablated.isnan().any(-1)
        return baseline.argmax(-1).short(), ablated.argmax(-1).where(there, -1).short()
    return baseline, ablated


def _encoded(value: tuple[Tensor, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    return dict(zip(("baseline", "ablated"), value, strict=True)), {}


def _decoded(tensors: dict[str, Tensor], _notes: dict[str, str]) -> tuple[Tensor, Tensor]:
    return tensors["baseline"], tensors["ablated"]


def _shards(batches: list[Batch]) -> list[list[Batch]]:
    shards: list[list[Batch]] = [[]]
    for batch in batches:
        if sum(len(other["index"]) for other in shards[-1]) >= SHARD_ROWS:
            shards.append([])
        shards[-1].append(batch)
    return shards


def _renumbered(batches: list[Batch]) -> list[Batch]:
    """The batches of a shard with places from 0; they stay where they are, the engine brings groups to the model."""
    start, local = 0, []
    for batch in batches:
        rows = len(batch["index"])
        local.append(batch | {"index": torch.arange(start, start + rows)})
        start += rows
    return local
