"""The kinds of task: one class a kind, registered by its file in this folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

from torch import Tensor

from prunekit.config.sections import ModelConfig
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Batch, Examples
from prunekit.data.checked_rows import Rows
from prunekit.data.fit import check_ids, check_length, check_vocabulary, check_words, fitted
from prunekit.data.kinds.base import TaskKind
from prunekit.data.kinds.translation import Pairs
from prunekit.models.input_tables import input_tables
from prunekit.support.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def kinds() -> dict[str, TaskKind]:
    """One of each class with a name of its own in the modules of this folder, by that name, in the order of the files.
    """
    modules = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    return {
        one.name: one()
        for module in modules
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, TaskKind) and "name" in vars(one)
    }


KINDS: dict[str, TaskKind] = kinds()


def kind_of(task: TaskConfig) -> TaskKind:
    """Of a task."""
    return KINDS[task.kind]


def kind_of_batch(batch: Batch, model: PreTrainedModel | None = None) -> TaskKind:
    """Of a batch, by its targets; of several that have such targets the one that fits a model.

    Raises:
        UserError: it has none.
    """
    kinds = [kind for kind in KINDS.values() if kind.owns(batch)]
    if not kinds:
        raise UserError(f"batch: {', '.join(batch)} given, but no labels, nor start_positions and end_positions")
    return next((kind for kind in kinds if model is not None and kind.fits(model)), kinds[0])


def encode(rows: Rows, tokenizer: Any, positions: int | None = None) -> Examples:
    """Tokenise rows; an example is a row, of questions a window of its context.

    Args:
        positions: the most tokens that the model can take.

    Raises:
        UserError: ``task.max_length`` is more than the model has positions for.
    """
    if positions is not None:
        check_length(rows.task, tokenizer, positions)
    return kind_of(rows.task).encode(rows, tokenizer)


def encode_for(model: PreTrainedModel, rows: Rows, tokenizer: Any) -> Examples:
    """:func:`encode`, for a model: checked against its tables, and as wide as they are at most.

    Raises:
        UserError: ``task.max_length`` is more than the model has positions for, or the tokenizer is not the model's:
            ids or token types without an embedding, more words than the model, mostly unknown words.
    """
    task, tables = rows.task.name, input_tables(model)
    check_vocabulary(tokenizer, tables)
    examples = encode(rows, tokenizer, tables.positions)
    sides = [(examples.input_ids, tables.words)]
    if isinstance(examples, Pairs):
        sides.append((examples.target_ids, tables.target_words))
    for ids, words in sides:
        check_ids(task, tokenizer, ids, words, examples.row_of)
        check_words(task, tokenizer, ids)
    return fitted(examples, tables)


def new_tokenizer(model: ModelConfig, rows: Rows) -> Any:
    """The tokenizer of a model that is to be trained on these rows."""
    return kind_of(rows.task).tokenizer(model, rows)


def example_losses(output: Any, batch: Batch) -> Tensor:
    """Loss of each example of a batch, (batch,), from the model's output and the targets of the batch."""
    return kind_of_batch(batch).example_losses(output, batch)


def training_loss(output: Any, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
    """What a step of training minimises, (); see :meth:`prunekit.data.kinds.base.TaskKind.training_loss`."""
    return kind_of_batch(batch).training_loss(output, batch, label_smoothing)


def mean_loss(output: Any, batch: Batch) -> Tensor:
    """What is learned from labels beside a teacher, (); see :meth:`prunekit.data.kinds.base.TaskKind.mean_loss`."""
    return kind_of_batch(batch).mean_loss(output, batch)


def predicted_labels(output: Any, batch: Batch) -> Batch:
    """The batch with the model's own most likely answers in place of the annotated ones.

    Raises:
        UserError: regression, where the squared error to the own prediction is always 0.
    """
    return kind_of_batch(batch).predicted_labels(output, batch)
