"""What is timed: a model, and the same model without a share of its heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prunekit.evaluation.evaluate import model_record
from prunekit.heads.curves import prune_heads
from prunekit.heads.orders import importance
from prunekit.heads.ranked import existing, rows_of, stacked
from prunekit.heads.schedule import heads_to_prune, keep_mask
from prunekit.heads.scores import random_scores
from prunekit.heads.settings import TimingSettings
from prunekit.models.blocks import describe
from prunekit.models.masks import Masks
from prunekit.models.pretrained import on_device
from prunekit.runs.execute import Run
from prunekit.runs.teachers import Teacher, load_teacher, new_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def timed_model(config: TimingSettings, run: Run) -> tuple[PreTrainedModel, Teacher | None]:
    """The model to time, and the teacher that it is; random weights are none."""
    if config.model.weights == "random":
        model, _ = new_model(config.model, config.task, config.seed)
        run.model = model_record(model, config.model.name, config.model.path, "random")
        return on_device(model, run.device), None
    teacher = load_teacher(config, run)
    return teacher.model, teacher


def timed_scores(
    config: TimingSettings, run: Run, model: PreTrainedModel, teacher: Teacher | None
) -> Mapping[str, Tensor]:
    """Scores of heads by kind, (layer, head), that say which go: at random where there is no teacher and no task."""
    if teacher is None:
        return random_scores(model, config.seed)
    return importance(config, teacher, run, config.importance_examples)(model)


def without_lowest(
    model: PreTrainedModel, scores: Mapping[str, Tensor], kinds: Sequence[str], share: float
) -> tuple[PreTrainedModel, Masks, float]:
    """The model pruned by a share of the heads of these kinds, those of the lowest scores, ranked together.

    Returns:
        the pruned copy, the masks of ``model`` that it was pruned by, on its device, and the share of the heads of
        these kinds that really went.
    """
    layout = describe(model)
    rows, exists = rows_of(layout, kinds), existing(layout, kinds)
    keep = keep_mask(stacked(scores, kinds), heads_to_prune(int(exists.sum()), share))
    masks = Masks.ones(layout, device=model.device)
    for (kind, layer), row in zip(rows, keep, strict=True):
        masks.heads[kind][layer] = torch.from_numpy(row[: masks.heads[kind].shape[1]])
    return prune_heads(model, rows, exists, keep), masks, 1 - float(keep.sum() / exists.sum())
