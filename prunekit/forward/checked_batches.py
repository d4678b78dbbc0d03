"""Batches that users of the library bring, checked against the model that they are for, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from prunekit.data.batches import INPUTS, Batch
from prunekit.data.losses import NO_TOKEN
from prunekit.models.checkpoints import has_head, is_translator
from prunekit.models.input_tables import InputTables, input_tables
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WHOLE = (torch.int64, torch.int32)
TARGETS = ("labels", "start_positions", "end_positions", "index")


def checked_batches(
    model: PreTrainedModel, batches: Iterable[Batch], *, targets: bool = True, scored: bool = True
) -> Iterator[Batch]:
    """The tensors of the batches as they come, each with an ``index`` beside its inputs: its own, or the rows' places
    as they come.

    Batches on the CPU are checked there: nothing waits for another device.

    Args:
        targets: whether the model's loss is needed, and so the labels of its task.
        scored: whether the values of the labels count; False where the model's own answers replace them.

    Raises:
        UserError: inputs or targets are missing, are no tensors, of another shape or type than the model's task has,
            or beyond its tables or classes, naming the batch (from 0).
    """
    if isinstance(batches, Mapping):
        raise UserError("batches: one batch was given, write [batch]; an iterable of batches is needed")
    rows, tables = 0, input_tables(model)
    for number, batch in enumerate(batches):
        own = f"batch {number} (from 0)"
        _check_inputs(own, batch)
        _check_tables(own, batch, tables, token_types=not model.config.is_encoder_decoder)
        if targets:
            _check_targets(own, model, batch, scored)
        size = len(batch["input_ids"])
        tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        index = tensors.get("index", torch.arange(rows, rows + size))
        yield {**tensors, "index": index.to(batch["input_ids"].device)}
        rows += size


def check_own_task(model: PreTrainedModel, batches: Iterable[Batch]) -> None:
    """Refuse checked batches of another task, of which the targets are not needed but show what they are of.

    Labels that say nothing, as the -1 of a row without one, are of any task.

    Raises:
        UserError: targets that the model's task head cannot have, naming the batch (from 0).
    """
    for number, batch in enumerate(batches):
        if foreign := _foreign(model, batch):
            raise UserError(
                f"batch {number} (from 0): {foreign}; calibrate a {type(model).__name__} on the task that it was "
                "fine-tuned for, or leave the targets out"
            )


def _foreign(model: PreTrainedModel, batch: Batch) -> str:
    """What of a batch cannot be of the model's task, in words; empty where nothing is."""
    questions, tags, sequences = (
        has_head(model, head) for head in ("QuestionAnswering", "TokenClassification", "SequenceClassification")
    )
    spans = next((name for name in ("start_positions", "end_positions") if name in batch), None)
    if spans and (tags or sequences):
        return f"{spans} are of questions"
    labels = batch.get("labels")
    several = model.config.problem_type == "multi_label_classification"
    if labels is None or several or not (questions or tags or sequences):  # these have labels of shapes of their own
        return ""
    if questions:
        return "labels are of no question"
    classes, rows = int(model.config.num_labels or 0), len(batch["input_ids"])
    shape = tuple(batch["input_ids"].shape) if tags else (rows,)
    if labels.shape != shape and not (classes == 1 and labels.shape == (rows, 1)):
        return f"{_what('labels', batch)}, the model's are {_shown(shape)}"
    if labels.is_floating_point() and classes > 1:
        return f"{_what('labels', batch)}, the model has {classes} outputs"
    if classes > 1 and labels.numel() and int(labels.max()) >= classes:
        return f"labels go up to {int(labels.max())}, the model's to {classes - 1}"
    return ""


def _check_inputs(own: str, batch: Batch) -> None:
    if not isinstance(batch, Mapping):
        raise UserError(f"{own} is a {type(batch).__name__}, it should have tensors by name (input_ids, ...)")
    for name in ("input_ids", "attention_mask"):
        if name not in batch:
            ones = "; where no row is padded it is torch.ones_like(input_ids)" if name == "attention_mask" else ""
            raise UserError(f"{own}: no {name}, it has {', '.join(batch) or 'nothing'}{ones}")
    for name in (*INPUTS, *TARGETS):
        if name in batch and not isinstance(batch[name], Tensor):
            raise UserError(f"{own}: {name} is a {type(batch[name]).__name__}, it should be a tensor")
    shape = batch["input_ids"].shape
    for name in INPUTS:
        if name in batch and (batch[name].shape != shape or len(shape) != 2):
            raise UserError(f"{own}: {_what(name, batch)}, inputs should all be of one shape (row, token)")
    if not bool(batch["attention_mask"].any(1).all()):
        raise UserError(f"{own}: attention_mask leaves a row without a token, no row may be empty")


def _check_tables(own: str, batch: Batch, tables: InputTables, *, token_types: bool) -> None:
    """Refuse inputs that the model's tables have no row for: a GPU would stop at them for good.

    Args:
        token_types: whether the model is given those that a batch has.
    """
    if not batch["input_ids"].numel():
        return
    limits = {"input_ids": tables.words, **({"token_type_ids": tables.token_types} if token_types else {})}
    for name, size in limits.items():
        if name not in batch:
            continue
        if size == 0:
            raise UserError(f"{own}: the model has no table for {name}, leave them out")
        if batch[name].dtype not in WHOLE:
            raise UserError(f"{own}: {_what(name, batch)}, they should be int64")
        low, high = (int(end) for end in batch[name].aminmax())
        if low < 0 or high >= size:
            beyond = low if low < 0 else high
            raise UserError(f"{own}: {name} has {beyond}, the model's table goes from 0 to {size - 1}")
    width, longest = batch["input_ids"].shape[1], int(batch["attention_mask"].sum(1).max())
    if width > tables.places or longest > tables.positions:
        raise UserError(f"{own}: rows of {max(longest, width)} tokens, the model has {tables.positions} positions")


def _check_targets(own: str, model: PreTrainedModel, batch: Batch, scored: bool) -> None:
    rows, width = batch["input_ids"].shape
    if has_head(model, "QuestionAnswering"):
        for name in ("start_positions", "end_positions"):
            _check_whole(own, name, batch, (rows,), "a token")
            if scored:
                _check_range(own, name, batch, width, f"a token, 0 to {width - 1}")
                if not bool(batch["attention_mask"].gather(1, batch[name][:, None]).all()):
                    raise UserError(f"{own}: {name} points at padding, it should be a token of its row")
    elif has_head(model, "TokenClassification"):
        _check_tags(own, batch, int(model.config.num_labels or 0), scored)
    elif has_head(model):
        classes = int(model.config.num_labels or 0)
        if classes == 1:
            _check_numbers(own, batch, rows)
            return
        _check_whole(own, "labels", batch, (rows,), f"a class of the model's {classes}")
        if scored:
            _check_range(own, "labels", batch, classes, f"a class, 0 to {classes - 1}")
    elif is_translator(model):
        width = batch["labels"].shape[-1] if "labels" in batch and batch["labels"].dim() else 0
        _check_whole(own, "labels", batch, (rows, width), f"a token of the target, {NO_TOKEN} behind the last")
        output: Any = model.get_output_embeddings()
        words, labels = len(output.weight), batch["labels"]
        if not bool((labels != NO_TOKEN).any(1).all()):
            raise UserError(f"{own}: labels leave a row without a target, all of its tokens are {NO_TOKEN}")
        if bool(((labels < 0) & (labels != NO_TOKEN) | (labels >= words)).any()):
            raise UserError(f"{own}: labels should be words, 0 to {words - 1}, or {NO_TOKEN} behind the last")


def _check_tags(own: str, batch: Batch, classes: int, scored: bool) -> None:
    shape = tuple(batch["input_ids"].shape)
    _check_whole(own, "labels", batch, shape, f"a class of the model's {classes} a token, {NO_TOKEN} for none,")
    labels = batch["labels"]
    if not bool((labels != NO_TOKEN).any()):
        raise UserError(f"{own}: labels leave all rows without a tag, all of them are {NO_TOKEN}")
    if scored and bool(((labels < 0) & (labels != NO_TOKEN) | (labels >= classes)).any()):
        raise UserError(f"{own}: labels should be classes, 0 to {classes - 1}, or {NO_TOKEN} for a token without one")
    if bool(((labels != NO_TOKEN) & (batch["attention_mask"] == 0)).any()):
        raise UserError(f"{own}: labels tag padding, they should be {NO_TOKEN} there")


def _check_whole(own: str, name: str, batch: Batch, shape: tuple[int, ...], meaning: str) -> None:
    """Refuse a target that is not there, or is no int64 tensor of the shape."""
    if name not in batch:
        raise UserError(f"{own}: no {name}, it has {', '.join(batch)}; a loss needs them")
    if batch[name].dtype != torch.int64 or batch[name].shape != shape:
        raise UserError(f"{own}: {_what(name, batch)}, they should be {meaning} a row, int64 {_shown(shape)}")


def _check_range(own: str, name: str, batch: Batch, size: int, right: str) -> None:
    values = batch[name]
    outside = (values < 0) | (values >= size)
    if bool(outside.any()):
        row = int(outside.int().argmax())
        raise UserError(f"{own}: {name} of row {row} is {int(values[row])}, right would be {right}")


def _check_numbers(own: str, batch: Batch, rows: int) -> None:
    if "labels" not in batch:
        raise UserError(f"{own}: no labels, it has {', '.join(batch)}; a loss needs them")
    if not batch["labels"].is_floating_point() or batch["labels"].shape != (rows,):
        raise UserError(
            f"{own}: {_what('labels', batch)}, a model with one output takes real numbers (regression), "
            f"float {_shown((rows,))}"
        )


def _what(name: str, batch: Batch) -> str:
    return f"{name} are {str(batch[name].dtype).removeprefix('torch.')} {_shown(batch[name].shape)}"


def _shown(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
