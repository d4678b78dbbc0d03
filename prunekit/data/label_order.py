"""A classifier's outputs in the order of the task's labels, whatever order the model was fine-tuned in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from prunekit.data.label_names import spelled
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_GENERIC = re.compile(r"(?:label[ _-]?)?(\d+)", re.IGNORECASE)


def output_names(model: PreTrainedModel) -> list[str]:
    """What the model's configuration calls its outputs, in their order; ``LABEL_0`` and so on where it says nothing."""
    names = {int(number): str(name) for number, name in (model.config.id2label or {}).items()}
    return [names.get(number, f"LABEL_{number}") for number in range(model.config.num_labels or 0)]


def is_generic(names: Sequence[str]) -> bool:
    """Whether names only number the outputs, and so do not say which label each is."""
    numbers = [_GENERIC.fullmatch(name) for name in names]
    return all(match is not None and int(match[1]) == place for place, match in enumerate(numbers))


def new_order(names: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    """The output that each label has, by the names of outputs; None where names and labels are not the same ones.

    Names that are not the same to the letter are compared by :func:`~prunekit.data.label_names.spelled`.
    """
    for spelling in (str, spelled):
        places = {spelling(name): place for place, name in enumerate(names)}
        wanted = [spelling(label) for label in labels]
        if len(places) == len(names) == len(wanted) and places.keys() == set(wanted):
            return [places[label] for label in wanted]
    return None


def align_outputs(model: PreTrainedModel, labels: Sequence[str]) -> bool:
    """Give a classifier's outputs the order of ``labels``, in place, where its own names say which is which.

    Returns:
        whether its outputs are in that order now, as far as names tell: False where they are other names.
    """
    names = output_names(model)
    order = new_order(names, labels)  # first of all: labels may be numbers, as names that only count are
    if order is None:
        return is_generic(names)
    if order != list(range(len(order))):
        _permute(model, order)
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: number for number, label in enumerate(labels)}
    return True


def check_outputs(model: PreTrainedModel, labels: Sequence[str], where: str, task: str) -> None:
    """:func:`align_outputs`, or a refusal.

    Raises:
        UserError: the model's outputs have other names than the task's labels.
    """
    if not align_outputs(model, labels):
        raise UserError(
            f"{where} has the outputs {', '.join(output_names(model))}, task {task} the labels {', '.join(labels)}; "
            "give a model that was fine-tuned for this task, or name task.labels as the model does"
        )


def _permute(model: PreTrainedModel, order: list[int]) -> None:
    """Sort the rows of the last layer of the task head."""
    inside = set(model.base_model.modules())
    layers = [
        module
        for module in model.modules()
        if isinstance(module, nn.Linear) and module not in inside and module.out_features == len(order)
    ]
    for parameter in layers[-1].parameters():
        with torch.no_grad():
            parameter.copy_(parameter[order].clone())
