"""Parallel text: checked sentence pairs, line-aligned files, test sets, and token ids of both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from prunekit.config.sections import ModelConfig
from prunekit.config.task import TaskConfig
from prunekit.data import demo_translation
from prunekit.data.batches import Batch, Examples, model_inputs
from prunekit.data.bleu import bleu_band, scorer, sentence_counts, translation_scores
from prunekit.data.checked_rows import Rows, check_columns, checked_texts
from prunekit.data.kinds.asked import Asked, ScoredAnswers
from prunekit.data.kinds.token_labels import TokenLabels
from prunekit.data.losses import NO_TOKEN
from prunekit.data.table_files import text_lines
from prunekit.data.tokenizers import joint_bpe, load_tokenizer, tokenizer_fingerprint
from prunekit.models import checkpoints
from prunekit.models.families.table import TRANSLATORS
from prunekit.support.errors import RowError, UserError
from prunekit.support.extras import of_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Pairs(Examples):
    """Encoded sources with their targets; lengths are the sources'."""

    target_ids: list[list[int]]
    """Tokens of each target, the end of the sentence among them."""
    tokenizer: Any = field(metadata={"fingerprint": tokenizer_fingerprint})
    """Of both languages."""
    multiple: ClassVar[int] = 8
    """Sentences are short: at 16, 43 % of a training on Multi30k is padding, at 8 it is 35 %."""

    @property
    def mean_lengths(self) -> tuple[int, int | None]:
        return round(float(self.lengths.mean())), round(sum(map(len, self.target_ids)) / len(self))

    def loss_terms(self, indices: Sequence[int] | np.ndarray) -> int:
        return sum(len(self.target_ids[int(i)]) for i in indices)

    def take(self, indices: Sequence[int] | np.ndarray) -> Pairs:
        sources = super().take(indices)
        targets = [self.target_ids[int(i)] for i in indices]
        return Pairs(
            sources.rows, sources.input_ids, None, self.pad_id, targets, self.tokenizer, widest=self.widest
        )

    def targets(self, indices: list[int], length: int) -> Batch:
        """``labels``: (batch, token), padded with -100 as sources are padded, but to a length of their own."""
        longest = self.width(max(len(self.target_ids[i]) for i in indices), self.multiple)
        labels = torch.full((len(indices), longest), NO_TOKEN)
        for row, i in enumerate(indices):
            labels[row, : len(self.target_ids[i])] = torch.tensor(self.target_ids[i])
        return {"labels": labels}


def encode_pairs(rows: Rows, tokenizer: Any) -> Pairs:
    """Tokenise sources and targets; both are cut to ``task.max_length`` tokens.

    Raises:
        UserError: the tokenizer has no tokens for padding or for the end of a sentence.
    """
    if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
        raise UserError(
            f"task {rows.task.name}: {type(tokenizer).__name__} has no tokens for padding and the end of a sentence, "
            "give a translation model with its tokenizer"
        )
    options = {"truncation": True, "max_length": rows.task.max_length}
    sources = tokenizer([source for (source,) in rows.texts], **options)["input_ids"]
    targets = tokenizer(text_target=rows.labels.tolist(), **options)["input_ids"]
    return Pairs(rows, sources, None, tokenizer.pad_token_id, targets, tokenizer)


def checked_pairs(task: TaskConfig, split: str, table: Any) -> Rows:
    """Rows of a table with a source and a target column.

    Raises:
        UserError: a column is not there, the split is empty, or a side of a pair is (naming its row, from 0).
    """
    where = f"{task.name} {split}"
    check_columns(task, where, table, label=False)
    pairs = checked_texts(where, task.columns, table)
    for row, pair in enumerate(pairs):
        for column, text in zip(task.columns, pair, strict=True):
            if not text.strip():
                raise RowError(where, row, f"{column!r} is empty, its partner is {' '.join(pair).strip()!r}")
    targets = np.asarray([target for _, target in pairs], dtype=object)
    return Rows(task, split, [(source,) for source, _ in pairs], targets, len(pairs))


def read_aligned(task: TaskConfig, split: str, prefix: Path) -> dict[str, list[str]]:
    """Two text files, PREFIX.SOURCE and PREFIX.TARGET, line by line.

    Raises:
        UserError: a file is not there or no UTF-8, or a line has no partner (naming it, from 1).
    """
    paths = [prefix.with_name(f"{prefix.name}.{column}") for column in task.columns]
    sides = []
    for path in paths:
        if not path.is_file():
            raise UserError(f"task.files.{split}: there is no file {path}")
        sides.append(text_lines(path, f"task.files.{split}"))
    for line, (source, target) in enumerate(zip_longest(*sides), 1):
        if source is None or target is None or not source.strip() or not target.strip():
            lacking = paths[0] if not (source or "").strip() else paths[1]
            raise UserError(
                f"task.files.{split}: line {line} of {lacking} is missing or empty ({paths[0].name} has "
                f"{len(sides[0])} lines, {paths[1].name} {len(sides[1])}); the files should be aligned line by line"
            )
    return dict(zip(task.columns, sides, strict=True))


def read_test_set(task: TaskConfig, split: str) -> dict[str, list[str]]:
    """A test set that sacreBLEU knows (``task.subset``, or its part ``split``); it is downloaded once.

    Raises:
        UserError: sacreBLEU has no such set or language pair, or cannot reach it.
    """
    with of_extra("translation"):
        from sacrebleu.dataset import DATASETS

    name = str(task.subset)
    parts = {known.removeprefix(f"{name}/"): known for known in DATASETS if known.startswith(f"{name}/")}
    if name in DATASETS:
        parts["test"] = name
    if not parts:
        raise UserError(f"task.subset: sacreBLEU has no test set {name!r}, `sacrebleu --list` names them")
    if split not in parts:
        raise UserError(f"split {split!r} is not in {name} of sacreBLEU, it has {', '.join(map(repr, parts))}")
    test_set, pair = DATASETS[parts[split]], "-".join(task.columns)
    if pair not in test_set.langpairs:
        raise UserError(f"columns: {name} of sacreBLEU is not in {pair}, it has {', '.join(test_set.langpairs)}")
    try:
        paths = [test_set.get_source_file(pair), test_set.get_reference_files(pair)[0]]
    except (Exception, SystemExit) as error:  # its downloads end in errors of many kinds, one of them an exit
        raise UserError(f"task.source: {parts[split]} of sacreBLEU cannot be loaded: {error}") from error
    return dict(zip(task.columns, (text_lines(Path(path), "task.source") for path in paths), strict=True))


class Translation(TokenLabels):
    """A sentence in another language, word by word."""

    name: ClassVar[str] = "translation"
    head: ClassVar[str] = "ConditionalGeneration"
    needs: ClassVar[str] = "a translation model"
    model_needed: ClassVar[str] = "an encoder-decoder"
    families: ClassVar[tuple[str, ...]] = tuple(TRANSLATORS)
    pipeline: ClassVar[str] = "translation"
    trivial_answer: ClassVar[str] = "copying the source"

    def check_installed(self, task: TaskConfig) -> None:
        for metric in task.metrics:
            scorer(metric)

    def demo(self, split: str, rows: int) -> list[dict[str, Any]]:
        return demo_translation.generate(split, rows)

    def read(self, task: TaskConfig, split: str, path: Path) -> Any:
        """Line-aligned files."""
        return read_aligned(task, split, path)

    def checked(self, task: TaskConfig, split: str, table: Any) -> Rows:
        return checked_pairs(task, split, table)

    def has_labels(self, task: TaskConfig, table: Any) -> bool:
        """A pair has its target, or is none."""
        return True

    def tokenizer(self, model: ModelConfig, rows: Rows) -> Any:
        """A model without one of its own learns one from both sides."""
        if model.path is not None:
            return load_tokenizer(model)
        return joint_bpe([source for (source,) in rows.texts] + rows.labels.tolist(), rows.task.vocabulary)

    def encode(self, rows: Rows, tokenizer: Any) -> Pairs:
        return encode_pairs(rows, tokenizer)

    def training_inputs(self, model: PreTrainedModel, batch: Batch) -> dict[str, Any]:
        """The decoder sees the target up to the word that it is to say."""
        shift: Any = model.prepare_decoder_input_ids_from_labels
        return {**model_inputs(batch), "decoder_input_ids": shift(batch["labels"]), "use_cache": False}

    def answers(self, task: TaskConfig, examples: Examples, model: Asked) -> list[str]:
        return model.texts()

    def scores(self, task: TaskConfig, examples: Examples, answers: Sequence[str]) -> ScoredAnswers:
        references = examples.labels.tolist()
        values = translation_scores(answers, references, task.metrics)
        counts = {name: sentence_counts(name, answers, references) for name in task.metrics}
        return ScoredAnswers(values, bleu_band(task.metric, answers, references), counts)

    def trivial_scores(self, task: TaskConfig, rows: Rows) -> dict[str, float]:
        return translation_scores([source for (source,) in rows.texts], rows.labels.tolist(), task.metrics)

    def output_names(self, task: TaskConfig) -> list[str]:
        return []

    def fits(self, model: PreTrainedModel) -> bool:
        return checkpoints.is_translator(model)

    def new_model(
        self, config: ModelConfig, task: TaskConfig, seed: int, tokenizer: Any = None
    ) -> tuple[PreTrainedModel, list[str]]:
        if config.weights == "pretrained":
            model = checkpoints.load(str(config.path), attention=config.attention)
            self.check_fits(model, f"model.path: {config.path}", task)
            return model, []
        self.check_family(config, task)
        shape = dict(config.shape)
        if tokenizer is not None and config.path is None:
            shape |= {
                "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id,
                "eos_token_id": tokenizer.eos_token_id, "decoder_start_token_id": tokenizer.pad_token_id,
                "forced_eos_token_id": None,
            }  # fmt: skip
        return checkpoints.build_translator(config.family, shape, seed=seed, attention=config.attention), ["all"]
