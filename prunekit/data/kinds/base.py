"""What a kind of task is: how its rows are read and encoded, what a model loses on them, and which model it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from prunekit.config.sections import ModelConfig
from prunekit.config.task import TaskConfig
from prunekit.data import demo
from prunekit.data.batches import Batch, Examples, model_inputs
from prunekit.data.checked_rows import Rows, check_columns, checked_texts, column_names
from prunekit.data.kinds.asked import Asked, ScoredAnswers
from prunekit.data.label_order import align_outputs, check_outputs
from prunekit.data.tokenizers import load_tokenizer
from prunekit.models import checkpoints
from prunekit.models.families.table import ENCODERS, FAMILIES
from prunekit.support.errors import UserError
from prunekit.support.finite import require_finite

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TaskKind:
    """One kind of task. A new one is a class in a module of this folder."""

    name: ClassVar[str]
    """As :attr:`prunekit.config.task.TaskConfig.kind` has it."""
    head: ClassVar[str] = "SequenceClassification"
    """The task head that a model needs, as transformers names it."""
    needs: ClassVar[str] = "sequence classification"
    """The same in words."""
    model_needed: ClassVar[str] = "an encoder"
    families: ClassVar[tuple[str, ...]] = tuple(ENCODERS)
    """Of models that fit."""
    by_token: ClassVar[bool] = False
    """Whether a model has outputs for every token, and not for whole examples."""
    pipeline: ClassVar[str] = "text-classification"
    """What the Hub calls its use."""
    trivial_answer: ClassVar[str] = "one answer to all"
    """What is said without a model, in words."""
    own_suffixes: ClassVar[tuple[str, ...]] = ()
    """Ends of the names of files that :meth:`read` reads although tables may have them."""

    def check_installed(self, task: TaskConfig) -> None:
        """Refuse to begin what would be scored in the end by a package that is not there.

        Raises:
            UserError: a package is not installed that the task's metrics are computed with.
        """

    def demo(self, split: str, rows: int) -> list[dict[str, Any]]:
        """Generated rows."""
        return demo.generate(split, rows)

    def read(self, task: TaskConfig, split: str, path: Path) -> Any:
        """A table from files of a form of its own; None where ``path`` names none."""
        return None

    def checked(self, task: TaskConfig, split: str, table: Any) -> Rows:
        """Rows of a table, with their labels.

        Raises:
            UserError: a column, a label or an answer is not as the task says.
        """
        raise NotImplementedError

    def has_labels(self, task: TaskConfig, table: Any) -> bool:
        """Whether any row of a table has a label. A damaged one is one: :meth:`checked` refuses it."""
        return task.label in column_names(table) and self.any_label(task, table[task.label][:])

    def any_label(self, task: TaskConfig, column: Sequence[Any]) -> bool:
        """Whether any of the labels of rows says something."""
        raise NotImplementedError

    def unlabelled(self, task: TaskConfig, split: str, table: Any) -> Rows:
        """All rows of a table for what looks at no label, with labels that say nothing; a kind may insist on them.

        Raises:
            UserError: a column or a text is not as the task says.
        """
        where = f"{task.name} {split}"
        check_columns(task, where, table, label=False)
        texts = checked_texts(where, task.columns, table)
        return Rows(task, split, texts, self.no_labels(texts), len(texts))

    def no_labels(self, texts: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Of the type of the kind's labels, (row,)."""
        return np.zeros(len(texts), dtype=np.int64)

    def tokenizer(self, model: ModelConfig, rows: Rows) -> Any:
        """The tokenizer of a model that is to be trained on these rows."""
        return load_tokenizer(model)

    def encode(self, rows: Rows, tokenizer: Any) -> Examples:
        """Token ids of rows; an example is a row."""
        columns = [list(column) for column in zip(*rows.texts, strict=True)]
        encoded = tokenizer(*columns, truncation=True, max_length=rows.task.max_length)
        types = encoded.get("token_type_ids") if "token_type_ids" in tokenizer.model_input_names else None
        return Examples(rows, encoded["input_ids"], types, tokenizer.pad_token_id or 0)

    def owns(self, batch: Batch) -> bool:
        """Whether a batch has the targets of this kind."""
        raise NotImplementedError

    def training_inputs(self, model: PreTrainedModel, batch: Batch) -> dict[str, Any]:
        """Arguments of the model in a step of training."""
        return {**model_inputs(batch)}

    def example_losses(self, output: Any, batch: Batch) -> Tensor:
        """Loss of each example, (batch,)."""
        raise NotImplementedError

    def training_loss(self, output: Any, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """What a step of training minimises, ().

        Args:
            label_smoothing: share of the probability that is spread evenly (Szegedy et al. 2016), where there is one.
        """
        return self.example_losses(output, batch).mean()

    def mean_loss(self, output: Any, batch: Batch) -> Tensor:
        """What is learned from labels beside a teacher, (): the mean over examples, or over what they are made of."""
        return self.example_losses(output, batch).mean()

    def predicted_labels(self, output: Any, batch: Batch) -> Batch:
        """The batch with the model's own most likely answers in place of the annotated ones."""
        raise NotImplementedError

    def answers(self, task: TaskConfig, examples: Examples, model: Asked) -> Any:
        """What a model answers to examples, as :meth:`scores` takes it; by default its logits, (example, output).

        Raises:
            UserError: outputs are not finite.
        """
        logits = model.outputs(lambda output, _: [output.logits.float()])[0].numpy()
        require_finite(logits)
        return logits

    def scores(self, task: TaskConfig, examples: Examples, answers: Any) -> ScoredAnswers:
        """How good answers are."""
        raise NotImplementedError

    def trivial_scores(self, task: TaskConfig, rows: Rows) -> dict[str, float]:
        """The best score of the trivial answer, by metric of the task."""
        raise NotImplementedError

    def output_names(self, task: TaskConfig) -> list[str]:
        """Of a model's outputs, in their order; none where they are words."""
        raise NotImplementedError

    def fits(self, model: PreTrainedModel) -> bool:
        """Whether a model has the task head."""
        return checkpoints.has_head(model, self.head)

    def check_fits(self, model: PreTrainedModel, where: str, task: TaskConfig) -> None:
        """Refuse a model for another kind, number or names of outputs; give a classifier's the order of the labels.

        Args:
            where: the setting that names the model, and its value.

        Raises:
            UserError: it does not fit.
        """
        if not self.fits(model):
            raise UserError(
                f"{where} is a {type(model).__name__}, task {task.name} needs {self.needs}; "
                "give a model that was fine-tuned for this task"
            )
        if task.outputs and model.config.num_labels != task.outputs:
            raise UserError(
                f"{where} has {model.config.num_labels} outputs, task {task.name} needs "
                f"{task.outputs}; give a model that was fine-tuned for this task"
            )
        if model.config.problem_type == "multi_label_classification":
            raise UserError(
                f"{where} gives an input several labels at once (problem_type in its config.json), task {task.name} "
                "has one of each; give a model that was fine-tuned for this task"
            )
        if task.labels:
            check_outputs(model, task.labels, where, task.name)

    def new_model(
        self, config: ModelConfig, task: TaskConfig, seed: int, tokenizer: Any = None
    ) -> tuple[PreTrainedModel, list[str]]:
        """A model to be trained or timed, and the names of the parameters that were initialised at random.

        Raises:
            UserError: weights that cannot be loaded, a shape that is none, or a model for other tasks.
        """
        if config.weights == "pretrained":
            model, created = checkpoints.attach_head(
                str(config.path), task.outputs, head=self.head, seed=seed, attention=config.attention
            )
            if task.labels and not created:  # a head of other labels is one to start from
                align_outputs(model, task.labels)
            return model, created
        self.check_family(config, task)
        shape = dict(config.shape)
        if tokenizer is not None and config.path is None:
            shape |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        model = checkpoints.build(
            config.family, shape, task.outputs, head=self.head, seed=seed, attention=config.attention
        )
        return model, ["all"]

    def check_family(self, config: ModelConfig, task: TaskConfig) -> None:
        """Refuse the family of a model that is yet to be built.

        Raises:
            UserError: it does not fit.
        """
        if config.family in FAMILIES and config.family not in self.families:
            raise UserError(
                f"model: {config.name} is a {config.family}, task {task.name} needs {self.model_needed} "
                f"({', '.join(sorted(self.families))}); choose another model or another task"
            )
