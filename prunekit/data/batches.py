"""Token ids of a task's rows, and batches of similar length padded to multiples of 16.

Few distinct shapes keep the compiled primitives of a CPU warm, and short inputs are not paid at the price of the
longest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import torch

from prunekit.data.checked_rows import Rows
from prunekit.data.losses import NO_TOKEN
from prunekit.support.fingerprints import fingerprint

MULTIPLE = 16
"""Lengths are padded to multiples of this."""

Batch = dict[str, torch.Tensor]
"""``input_ids``, ``attention_mask`` and, where the family has them, ``token_type_ids``: (batch, token);
``labels``: (batch,), int64, or float32 for regression, for translation the target's tokens and for tags the number of
each word's at its first token, (batch, token), elsewhere -100; for questions instead ``start_positions`` and
``end_positions``: (batch,), tokens; ``index``: (batch,), the examples' places in the data."""


@dataclass(frozen=True)
class Examples:
    """Encoded rows of texts."""

    rows: Rows
    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None
    pad_id: int
    widest: int | None = field(default=None, kw_only=True, metadata={"changes": False})
    """Positions of the model that reads them: batches are not padded beyond; None where none is known."""
    multiple: ClassVar[int] = MULTIPLE
    """What batches are padded to where no length is given."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def labels(self) -> np.ndarray:
        return self.rows.labels

    @property
    def row_of(self) -> Sequence[int]:
        """The row that each example is of, (example,)."""
        return range(len(self))

    @property
    def lengths(self) -> np.ndarray:
        return np.asarray([len(ids) for ids in self.input_ids])

    @property
    def mean_lengths(self) -> tuple[int, int | None]:
        """Mean tokens of an input, and of a target where there are targets."""
        return round(float(self.lengths.mean())), None

    def loss_terms(self, indices: Sequence[int] | np.ndarray) -> int:
        """What the training loss of these examples is the mean over."""
        return len(indices)

    def fingerprint(self) -> str:
        """Hash of all that is in them, texts and answers included, in their order.

        A field whose content is not plain data says by itself what it is, as ``metadata["fingerprint"]``; one that
        changes no number says so.
        """
        parts = {
            item.name: item.metadata.get("fingerprint", _same)(getattr(self, item.name))
            for item in fields(self)
            if item.metadata.get("changes", True)
        }
        return fingerprint(parts | {"rows": self.rows.fingerprint()})

    def inputs_fingerprint(self) -> str:
        """Hash of what a model sees of them without their answers, in their order."""
        return fingerprint([self.input_ids, self.token_type_ids, self.pad_id])

    def take(self, indices: Sequence[int] | np.ndarray) -> Examples:
        types = self.token_type_ids
        return Examples(
            self.rows.take(indices),
            [self.input_ids[int(i)] for i in indices],
            None if types is None else [types[int(i)] for i in indices],
            self.pad_id,
            widest=self.widest,
        )

    def width(self, length: int, multiple: int = MULTIPLE) -> int:
        """What an input of so many tokens is padded to: a multiple, but no more than the model has positions for."""
        width = padded(length, multiple)
        return width if self.widest is None else max(length, min(width, self.widest))

    def batch(self, indices: Sequence[int] | np.ndarray, length: int | None = None) -> Batch:
        """One batch of the given rows, padded to ``length``, or as :meth:`width` says to a multiple of ``multiple``."""
        indices = [int(i) for i in indices]
        length = length or self.width(max(len(self.input_ids[i]) for i in indices), self.multiple)
        ids = torch.full((len(indices), length), self.pad_id)
        mask = torch.zeros(len(indices), length, dtype=torch.long)
        types = torch.zeros(len(indices), length, dtype=torch.long)
        for row, i in enumerate(indices):
            size = len(self.input_ids[i])
            ids[row, :size] = torch.tensor(self.input_ids[i])
            mask[row, :size] = 1
            if self.token_type_ids is not None:
                types[row, :size] = torch.tensor(self.token_type_ids[i])
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.token_type_ids is not None:
            batch["token_type_ids"] = types
        return batch | self.targets(indices, length) | {"index": torch.tensor(indices)}

    def targets(self, indices: list[int], length: int) -> Batch:
        """What the model should answer to inputs that are padded to ``length``."""
        labels = torch.from_numpy(self.labels[indices])
        return {"labels": labels.float() if labels.is_floating_point() else labels}


def _same(value: Any) -> Any:
    return value


def padded(length: int, multiple: int = MULTIPLE) -> int:
    return -(-length // multiple) * multiple


def evaluation_batches(examples: Examples, batch_size: int) -> list[Batch]:
    """All examples once, sorted by length, each batch of one padded length."""
    lengths = examples.lengths
    order = np.argsort(lengths, kind="stable")
    widths = np.asarray([examples.width(length) for length in lengths[order]])
    batches = []
    for width in np.unique(widths):
        bucket = order[widths == width]
        for start in range(0, len(bucket), batch_size):
            batches.append(examples.batch(bucket[start : start + batch_size], int(width)))
    return batches


def training_order(examples: Examples, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Index batches of one epoch: shuffled, then sorted by length within pools of 64 batches, then shuffled again.

    The same (seed, epoch) gives the same batches, so a resumed training sees what it would have seen.
    """
    generator = np.random.default_rng([seed, epoch])
    order, lengths = generator.permutation(len(examples)), examples.lengths
    batches = []
    pool = 64 * batch_size
    for start in range(0, len(order), pool):
        chosen = order[start : start + pool]
        chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
        batches += [chosen[i : i + batch_size] for i in range(0, len(chosen), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def to_device(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


INPUTS = ("input_ids", "attention_mask", "token_type_ids")
"""What models take of a batch, where it has them."""


def model_inputs(batch: Batch, device: torch.device | None = None) -> Batch:
    """What the model itself takes, on ``device`` (None: where it is); no labels, no index, nothing else."""
    return {name: batch[name].to(device=device) for name in INPUTS if name in batch}


def labelled_tokens(batch: Batch) -> torch.Tensor:
    """Which tokens an answer is about, bool, (batch, token): those that have a label, or all where none has its own."""
    labels = batch.get("labels")
    return batch["attention_mask"].bool() if labels is None or labels.dim() == 1 else labels != NO_TOKEN


def with_padding(batch: Batch) -> Batch:
    """The batch as losses see it that do not tell padding from tokens: without its attention mask."""
    return {name: tensor for name, tensor in batch.items() if name != "attention_mask"}


def iterate(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    for batch in batches:
        yield to_device(batch, device)
