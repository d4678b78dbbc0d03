"""Token classification: a tag for every word of a sentence, given by the first of its tokens, as Devlin et al. 2019
have it (Sec. 5.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from prunekit.config.sections import ModelConfig
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Batch, Examples
from prunekit.data.checked_rows import Rows, check_columns, notice
from prunekit.data.kinds.asked import Asked, ScoredAnswers
from prunekit.data.kinds.token_labels import TokenLabels
from prunekit.data.label_names import UNLABELLED, is_label, label_reader
from prunekit.data.losses import NO_TOKEN
from prunekit.data.tags import generated
from prunekit.data.tags.conll import read_conll
from prunekit.data.tags.entities import NO_TAG, Numbers, entities, tag_band, tag_counts, tag_scores
from prunekit.data.tags.schemes import impossible, of_entities, scheme_of
from prunekit.data.tokenizers import load_tokenizer, tells_spaces, word_pieces
from prunekit.support.errors import RowError, UserError
from prunekit.support.finite import require_finite

CHUNK = 1000
"""Sentences that are tokenised at once."""


@dataclass(frozen=True)
class Sentences(Examples):
    """Encoded sentences; the rows' texts are the words of each, their labels a number for each word."""

    tags: list[list[int]]
    """Label of every token: that of the word that it begins, -100 where it begins none."""
    words: list[list[int]]
    """The words that have a token, by their places in the sentence, in the order of their tokens."""

    def loss_terms(self, indices: Sequence[int] | np.ndarray) -> int:
        return sum(len(self.words[int(i)]) for i in indices)

    def take(self, indices: Sequence[int] | np.ndarray) -> Sentences:
        own = super().take(indices)
        tags, words = ([values[int(i)] for i in indices] for values in (self.tags, self.words))
        return Sentences(own.rows, own.input_ids, own.token_type_ids, self.pad_id, tags, words, widest=self.widest)

    def targets(self, indices: list[int], length: int) -> Batch:
        """``labels``: (batch, token), -100 where a token begins no word and at padding."""
        labels = torch.full((len(indices), length), NO_TOKEN)
        for row, i in enumerate(indices):
            labels[row, : len(self.tags[i])] = torch.tensor(self.tags[i])
        return {"labels": labels}

    def given(self, predicted: np.ndarray) -> list[np.ndarray]:
        """Tags of the words of each sentence, :data:`~prunekit.data.tags.entities.NO_TAG` for those without a token.

        Args:
            predicted: the number of every token's tag, (example, token); what is behind an example's tokens is not
                looked at.
        """
        answers = []
        for tags, words, sentence, row in zip(self.tags, self.words, self.rows.texts, predicted, strict=True):
            own = np.full(len(sentence), NO_TAG)
            own[words] = row[: len(tags)][np.asarray(tags) != NO_TOKEN]
            answers.append(own)
        return answers


class Tags(TokenLabels):
    """One of several tags for every word. The labels of a batch are (batch, token), -100 at all but first tokens."""

    name: ClassVar[str] = "tags"
    head: ClassVar[str] = "TokenClassification"
    needs: ClassVar[str] = "token classification"
    pipeline: ClassVar[str] = "token-classification"
    trivial_answer: ClassVar[str] = "the most frequent tag to all"
    own_suffixes: ClassVar[tuple[str, ...]] = (".tsv",)

    def check_installed(self, task: TaskConfig) -> None:
        if "entity_f1" in task.metrics:
            entities([])  # the package is imported when it is first used

    def demo(self, split: str, rows: int) -> list[dict[str, Any]]:
        return generated.generate(split, rows)

    def read(self, task: TaskConfig, split: str, path: Path) -> Any:
        """Columns as CoNLL has them."""
        if not path.is_file():
            raise UserError(f"task.files.{split}: there is no file {path}")
        return read_conll(path, f"task.files.{split}", task.columns[0], task.label, task.labels)

    def checked(self, task: TaskConfig, split: str, table: Any) -> Rows:
        where = f"{task.name} {split}"
        check_columns(task, where, table)
        sentences = _checked_words(where, task.columns[0], table[task.columns[0]][:])
        feature = getattr(table, "features", {}).get(task.label)
        names = getattr(getattr(feature, "feature", None), "names", None) or ()
        numbers = _checked_tags(task, where, sentences, table[task.label][:], label_reader(task, where, names))
        if of_entities(task.labels):
            _warn_impossible(where, sentences, [[task.labels[number] for number in row] for row in numbers])
        return Rows(task, split, sentences, _array(numbers), len(sentences))

    def any_label(self, task: TaskConfig, column: Sequence[Any]) -> bool:
        return any(
            is_label(task, tag)
            for tags in column
            for tag in ([tags] if isinstance(tags, str) or not isinstance(tags, Sequence) else tags)
        )

    def unlabelled(self, task: TaskConfig, split: str, table: Any) -> Rows:
        where = f"{task.name} {split}"
        check_columns(task, where, table, label=False)
        sentences = _checked_words(where, task.columns[0], table[task.columns[0]][:])
        return Rows(task, split, sentences, _array([(0,) * len(words) for words in sentences]), len(sentences))

    def tokenizer(self, model: ModelConfig, rows: Rows) -> Any:
        """A model without one of its own learns the pieces of the words."""
        if model.path is None:
            return word_pieces([word for words in rows.texts for word in words], rows.task.vocabulary)
        return load_tokenizer(model, of_words=True)

    def encode(self, rows: Rows, tokenizer: Any) -> Sentences:
        return encode_sentences(rows, tokenizer)

    def predicted_labels(self, output: Any, batch: Batch) -> Batch:
        """The most likely tag of every token that has a label."""
        labels = batch["labels"]
        return batch | {"labels": torch.where(labels == NO_TOKEN, labels, output.logits.argmax(-1).detach())}

    def answers(self, task: TaskConfig, examples: Examples, model: Asked) -> list[np.ndarray]:
        """The number of every word's tag, by sentence, as :meth:`Sentences.given` has it."""
        assert isinstance(examples, Sentences)

        def read(output: Any, batch: Batch) -> list[torch.Tensor]:
            logits, tokens = output.logits.float(), batch["attention_mask"].bool()
            return [logits.argmax(-1), logits.sum(-1).masked_fill(~tokens, 0).sum(1)]

        predicted, sums = model.outputs(read)
        require_finite(sums.numpy())
        return examples.given(predicted.numpy())

    def scores(self, task: TaskConfig, examples: Examples, answers: Numbers) -> ScoredAnswers:
        counts = {name: tag_counts(name, task.labels, examples.labels, answers) for name in task.metrics}
        return ScoredAnswers(tag_scores(counts), tag_band(task.metric, counts[task.metric]), counts)

    def trivial_scores(self, task: TaskConfig, rows: Rows) -> dict[str, float]:
        """The most frequent tag for every word; where that is O, F1 of entities is 0."""
        answer = int(np.bincount([tag for own in rows.labels for tag in own]).argmax())
        given = [(answer,) * len(own) for own in rows.labels]
        return tag_scores({name: tag_counts(name, task.labels, rows.labels, given) for name in task.metrics})

    def output_names(self, task: TaskConfig) -> list[str]:
        return task.labels


def encode_sentences(rows: Rows, tokenizer: Any) -> Sentences:
    """Tokenise sentences word by word, cut to ``task.max_length`` tokens. Words without a token are said.

    Args:
        tokenizer: a fast one, which knows the word of every token.

    Raises:
        UserError: the tokenizer is not a fast one, or has no token for any word of a sentence.
    """
    if not tokenizer.is_fast:
        raise UserError(f"task {rows.task.name}: {type(tokenizer).__name__} has no word_ids, use a fast tokenizer")
    space = " " if tells_spaces(tokenizer) else ""
    ids: list[list[int]] = []
    types: list[list[int]] | None = [] if "token_type_ids" in tokenizer.model_input_names else None
    tags: list[list[int]] = []
    first_tokens: list[list[int]] = []
    without_tokens: list[tuple[int, int]] = []  # rows and words that no tokenizer has a token for
    cut: list[tuple[int, int]] = []
    truncated: list[tuple[int, int]] = []  # words that alone are cut
    for low in range(0, len(rows), CHUNK):
        texts = [[space + word for word in words] for words in rows.texts[low : low + CHUNK]]
        encoded = tokenizer(texts, is_split_into_words=True, truncation=True, max_length=rows.task.max_length)
        ids += encoded["input_ids"]
        if types is not None:
            types += encoded["token_type_ids"]
        for number, encoding in enumerate(encoded.encodings):
            row = low + number
            own, seen = [NO_TOKEN] * len(encoding.ids), list[int]()
            for place, word in enumerate(encoding.word_ids):
                if word is not None and (not seen or word != seen[-1]):
                    own[place] = rows.labels[row][word]
                    seen.append(word)
            if not seen:
                raise RowError(
                    f"{rows.task.name} {rows.split}", row, f"the tokenizer has no token for {rows.texts[row]!r}"
                )
            tags.append(own)
            first_tokens.append(seen)
            beyond = {word for part in encoding.overflowing for word in part.word_ids if word is not None}
            without = sorted(set(range(len(rows.texts[row]))) - set(seen))
            cut += [(row, word) for word in without if word in beyond]
            without_tokens += [(row, word) for word in without if word not in beyond]
            if encoding.overflowing and len(seen) == 1 and seen[0] in beyond:
                truncated.append((row, seen[0]))
    _warn_untagged(rows, cut, without_tokens, truncated)
    return Sentences(rows, ids, types, tokenizer.pad_token_id or 0, tags, first_tokens)


def _array(numbers: list[tuple[int, ...]]) -> np.ndarray:
    """(row,), objects: tuples of one length would become an axis."""
    rows = np.empty(len(numbers), dtype=object)
    for row, own in enumerate(numbers):
        rows[row] = own
    return rows


def _checked_words(where: str, column: str, sentences: list[Any]) -> list[tuple[str, ...]]:
    if not sentences:
        raise UserError(f"{where}: the split is empty")
    for row, words in enumerate(sentences):
        if not isinstance(words, Sequence) or isinstance(words, str) or not all(isinstance(w, str) for w in words):
            raise RowError(
                where, row, f"{column!r} should be a list of words, found {words!r}; JSONL, Parquet and CoNLL have them"
            )
        if not any(word.strip() for word in words):
            raise RowError(where, row, f"there is no word in {column!r}, leave the row out")
    return [tuple(words) for words in sentences]


def _checked_tags(
    task: TaskConfig, where: str, sentences: list[tuple[str, ...]], column: list[Any], number_of: Callable[..., int]
) -> list[tuple[int, ...]]:
    numbers = []
    for row, (words, tags) in enumerate(zip(sentences, column, strict=True)):
        if not isinstance(tags, Sequence) or isinstance(tags, str):
            raise RowError(where, row, f"{task.label!r} should be a list of tags, found {tags!r}")
        if len(tags) != len(words):
            raise RowError(
                where, row, f"{len(words)} words and {len(tags)} tags ({' '.join(words)!r}); each word needs its tag"
            )
        for word, tag in zip(words, tags, strict=True):
            if tag is None or not str(tag).strip():
                raise RowError(where, row, f"{word!r} has no tag in {task.label!r}; give it one, or leave the row out")
        own = tuple(number_of(row, tag) for tag in tags)
        if UNLABELLED in own:
            raise RowError(where, row, f"the word {words[own.index(UNLABELLED)]!r} has no tag; leave the row out")
        numbers.append(own)
    return numbers


def _warn_impossible(where: str, sentences: list[tuple[str, ...]], tags: list[list[str]]) -> None:
    """Say how tags are read that their scheme does not allow."""
    scheme = scheme_of(tags)
    places = [(row, place) for row, own in enumerate(tags) for place in impossible(own, scheme)]
    if not places:
        return
    row, place = places[0]
    before = tags[row][place - 1] if place else "the beginning"
    what = f"{tags[row][place]} of {sentences[row][place]!r}" if place < len(tags[row]) else "the end"
    notice(
        f"{where}: {len(places)} tags cannot follow the one before in {scheme}, the first is {what} in row "
        f"{row}, after {before}; they are read as CoNLL's script does: a tag that goes on with no entity begins "
        "one, and one that is left ends there"
    )


def _warn_untagged(
    rows: Rows, cut: list[tuple[int, int]], without_tokens: list[tuple[int, int]], truncated: list[tuple[int, int]]
) -> None:
    """Say which words a model gives no tag, and which are longer than an input."""
    where, total = f"{rows.task.name} {rows.split}", sum(map(len, rows.texts))
    meaning = "they count as wrong, and no entity is recognised there"
    for words, why in (
        (cut, f"beyond task.max_length={rows.task.max_length} tokens"),
        (without_tokens, "without a token in this tokenizer"),
    ):
        if words:
            row, word = words[0]
            sentences = len({row for row, _ in words})
            notice(
                f"{where}: {len(words)} of {total} words, in {sentences} of {len(rows)} sentences, are {why}; "
                f"{meaning}; the first is {rows.texts[row][word][:40]!r} in row {row} of those read"
            )
    if truncated:
        row, word = truncated[0]
        notice(
            f"{where}: {len(truncated)} words are longer than task.max_length={rows.task.max_length} tokens and are "
            f"read in part, the first is {rows.texts[row][word][:40]!r} in row {row} of those read"
        )
