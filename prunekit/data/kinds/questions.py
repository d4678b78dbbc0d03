"""Extractive questions (Rajpurkar et al. 2016, SQuAD), and windows over their contexts, as Devlin et al. 2019
fine-tune on them (Sec. 4.2).

A context that is too long for one input is cut into windows that overlap; each is an example of its own, with the
question in front. A window without the whole answer points at its first token, [CLS].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from prunekit.config.task import TaskConfig
from prunekit.data.answers import Spans, answer_places, best_spans, question_scores, resampled_mean, texts_at
from prunekit.data.batches import Batch, Examples, with_padding
from prunekit.data.checked_rows import Rows, check_columns, checked_texts, notice
from prunekit.data.kinds.asked import Asked, ScoredAnswers
from prunekit.data.kinds.base import TaskKind
from prunekit.data.losses import at_least_float32, task_loss
from prunekit.support.errors import RowError, UserError
from prunekit.support.finite import require_finite
from prunekit.support.statistics import bootstrap_band

CHUNK = 512
"""Rows that are tokenised at once; offsets as Python objects take a hundred times the memory of the text."""


class Answer(NamedTuple):
    """A span of the context."""

    text: str
    start: int
    """Its first character's place in the context."""


def gold_answers(task: TaskConfig, where: str, texts: list[tuple[str, ...]], column: list[Any]) -> np.ndarray:
    """The answer column, ``{"text": [...], "answer_start": [...]}`` a row, as (rows,) tuples of :class:`Answer`.

    A row without an answer has an empty tuple, where the task allows that. Spaces around an answer are no part of it.

    Raises:
        UserError: an answer is missing, malformed, or not in the context at its place (names the row).
    """
    gold = np.empty(len(column), dtype=object)
    for row, ((_, context), entry) in enumerate(zip(texts, column, strict=True)):
        try:
            pairs = zip(entry["text"], entry["answer_start"], strict=True)
            answers = tuple(Answer(text, int(start)) for text, start in pairs)
        except (TypeError, KeyError, ValueError):
            raise RowError(
                where,
                row,
                f"{task.label} {entry!r} should be "
                '{"text": ["as in the context", ...], "answer_start": [its first character, ...]}',
            ) from None
        for text, start in answers:
            if not isinstance(text, str) or not text.strip() or start < 0 or not context.startswith(text, start):
                raise RowError(
                    where,
                    row,
                    f"the answer {text!r} is not in the context at answer_start {start}, "
                    f"there is {context[max(start, 0) : max(start, 0) + len(str(text))]!r}",
                )
        if not answers and task.no_answer is None:
            raise RowError(where, row, "no answer; task.no_answer=0 takes questions without one")
        gold[row] = tuple(Answer(text.strip(), start + _leading_spaces(text)) for text, start in answers)
    return gold


def _leading_spaces(text: str) -> int:
    return len(text) - len(text.lstrip())


@dataclass(frozen=True)
class Windows(Examples):
    """Encoded windows, in the order of their questions; ``len`` and ``batch`` are of windows."""

    question: np.ndarray
    """Row of each window, (window,)."""
    first: np.ndarray
    """First token of the context, (window,)."""
    offsets: list[np.ndarray]
    """Of each window's context tokens: first character and the one after the last, (token, 2), int32."""
    start: np.ndarray
    """Token at which the answer starts, (window,)."""
    end: np.ndarray
    """Token at which it ends, (window,)."""

    def take(self, indices: Sequence[int] | np.ndarray) -> Windows:
        """Some of the windows, and of the rows those that they belong to."""
        chosen = np.asarray(indices, dtype=int)
        rows, question = np.unique(self.question[chosen], return_inverse=True)
        types = self.token_type_ids
        return Windows(
            self.rows.take(rows),
            [self.input_ids[i] for i in chosen],
            None if types is None else [types[i] for i in chosen],
            self.pad_id,
            question,
            self.first[chosen],
            [self.offsets[i] for i in chosen],
            self.start[chosen],
            self.end[chosen],
            widest=self.widest,
        )

    @property
    def row_of(self) -> Sequence[int]:
        return self.question.tolist()

    def targets(self, indices: list[int], length: int) -> Batch:
        return {
            "start_positions": torch.from_numpy(self.start[indices]),
            "end_positions": torch.from_numpy(self.end[indices]),
        }


def windows(rows: Rows, tokenizer: Any) -> Windows:
    """Cut and tokenise questions with their contexts.

    Args:
        tokenizer: a fast one, which knows the place of every token in the text.

    Raises:
        UserError: the tokenizer is not a fast one.
    """
    if not tokenizer.is_fast:
        raise UserError(f"task {rows.task.name}: {type(tokenizer).__name__} has no token offsets, use a fast tokenizer")
    ids: list[list[int]] = []
    types: list[list[int]] | None = [] if "token_type_ids" in tokenizer.model_input_names else None
    question, first, positions, offsets = [], [], [], []
    for low in range(0, len(rows), CHUNK):
        texts = rows.texts[low : low + CHUNK]
        encoded = tokenizer(
            _cut([text.strip() for text, _ in texts], tokenizer, rows.task.question_length),
            [context for _, context in texts],
            truncation="only_second", max_length=rows.task.max_length, stride=rows.task.stride,
            return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        ids += encoded["input_ids"]
        if types is not None:
            types += encoded["token_type_ids"]
        for window, row in enumerate(encoded["overflow_to_sample_mapping"]):
            context = [place for place, text in enumerate(encoded.sequence_ids(window)) if text == 1]
            span = context[0] if context else 0
            own = np.asarray(encoded["offset_mapping"][window], np.int32)[span : span + len(context)]
            question.append(low + row)
            first.append(span)
            offsets.append(own)
            positions.append(_positions(own, span, rows.labels[low + row]))
    start, end = np.asarray(positions, np.int64).reshape(-1, 2).T
    _tell_unplaced(rows, np.asarray(question, np.int64)[start > 0])
    return Windows(
        rows, ids, types, tokenizer.pad_token_id or 0,
        np.asarray(question, np.int64), np.asarray(first, np.int64), offsets, start, end,
    )  # fmt: skip


def _cut(texts: list[str], tokenizer: Any, longest: int) -> list[str]:
    """Questions of at most ``longest`` tokens; the tokenizer itself only cuts contexts."""
    places = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [
        text if len(place) <= longest else text[: place[longest - 1][1]]
        for text, place in zip(texts, places, strict=True)
    ]


def _tell_unplaced(rows: Rows, placed: np.ndarray) -> None:
    """Say which answers no window has whole: to a model their questions look as if they had none."""
    unplaced = np.asarray([len(own) > 0 for own in rows.labels], dtype=bool)
    unplaced[placed] = False
    if unplaced.any():
        first = int(unplaced.argmax())
        notice(
            f"{rows.task.name} {rows.split}: {int(unplaced.sum())} of {len(rows)} questions have an answer that no "
            f"window has whole, and count as not answerable in training; the first is {rows.labels[first][0].text!r} "
            f"of row {first} of those read"
        )


def _positions(offsets: np.ndarray, first: int, answers: tuple[Any, ...]) -> tuple[int, int]:
    """Tokens of the first gold answer; those of [CLS] where the window does not have all of it."""
    if not answers or len(offsets) == 0:
        return 0, 0
    low, high = answers[0].start, answers[0].start + len(answers[0].text)
    start = int(np.searchsorted(offsets[:, 1], low, side="right"))  # the first token that ends after the answer's start
    end = int(np.searchsorted(offsets[:, 0], high)) - 1  # the last token that starts before the answer's end
    if start > end or offsets[start, 0] > low or offsets[end, 1] < high:
        return 0, 0
    return first + start, first + end


class Questions(TaskKind):
    """A span of the context: its first and its last token."""

    name: ClassVar[str] = "questions"
    head: ClassVar[str] = "QuestionAnswering"
    needs: ClassVar[str] = "question answering"
    by_token: ClassVar[bool] = True
    pipeline: ClassVar[str] = "question-answering"
    trivial_answer: ClassVar[str] = "no answer to any"

    def checked(self, task: TaskConfig, split: str, table: Any) -> Rows:
        where = f"{task.name} {split}"
        check_columns(task, where, table)
        texts = checked_texts(where, task.columns, table)
        return Rows(task, split, texts, gold_answers(task, where, texts, list(table[task.label][:])), len(texts))

    def any_label(self, task: TaskConfig, column: Sequence[Any]) -> bool:
        """No answer is a label where the task has questions without one."""
        given = [entry for entry in column if entry is not None]
        if task.no_answer is not None:
            return bool(given)
        return not all(isinstance(entry, Mapping) and entry.get("text") in ([], ()) for entry in given)

    def no_labels(self, texts: Sequence[tuple[str, ...]]) -> np.ndarray:
        """No answer."""
        answers = np.empty(len(texts), dtype=object)
        answers.fill(())
        return answers

    def encode(self, rows: Rows, tokenizer: Any) -> Windows:
        """An example is a window."""
        return windows(rows, tokenizer)

    def owns(self, batch: Batch) -> bool:
        return "start_positions" in batch

    def example_losses(self, output: Any, batch: Batch) -> Tensor:
        """The mean over the first and the last token of the answer, each among the row's own tokens; among all places
        of the batch where it has no attention mask (:func:`prunekit.data.batches.with_padding`)."""
        start, end = _span_logits(output, batch)
        return (task_loss(start, batch["start_positions"]) + task_loss(end, batch["end_positions"])) / 2

    def training_loss(self, output: Any, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Among all places of the batch: as BERT is fine-tuned by its authors, and as teachers always were here."""
        return self.example_losses(output, with_padding(batch)).mean()

    def predicted_labels(self, output: Any, batch: Batch) -> Batch:
        """Tokens of the row itself; any place of the batch where it has no attention mask."""
        start, end = _span_logits(output, batch)
        return batch | {"start_positions": start.argmax(-1).detach(), "end_positions": end.argmax(-1).detach()}

    def answers(self, task: TaskConfig, examples: Examples, model: Asked) -> np.ndarray:
        """Places in the contexts, (question, 2), as :func:`~prunekit.data.answers.answer_places` has them."""
        assert isinstance(examples, Windows)
        starts = torch.from_numpy(examples.first)
        ends = starts + torch.tensor([len(places) for places in examples.offsets])

        def read(output: Any, batch: Batch) -> list[Tensor]:
            start, end = output.start_logits.float(), output.end_logits.float()
            place = torch.arange(start.shape[1], device=start.device)
            first, after = (of_all.to(start.device)[batch["index"]][:, None] for of_all in (starts, ends))
            best = best_spans(start, end, (place >= first) & (place < after), task.answer_length)
            sums = (start + end).masked_fill(batch["attention_mask"] == 0, 0).sum(1)
            return [best.score, best.start, best.end, best.nothing, sums]

        *best, sums = model.outputs(read)
        require_finite(sums.numpy(), examples.row_of)
        return answer_places(examples, Spans(*best))

    def scores(self, task: TaskConfig, examples: Examples, answers: np.ndarray) -> ScoredAnswers:
        of_each = question_scores(examples.rows, texts_at(examples.rows, answers))
        means, per_row = {name: float(of_each[name].mean()) for name in task.metrics}, of_each[task.metric]
        given = {"span": answers, "exact_match": of_each["exact_match"] > 0, "answer_f1": of_each["answer_f1"]}
        return ScoredAnswers(means, bootstrap_band(resampled_mean, per_row, per_row), given, per_row=per_row)

    def trivial_scores(self, task: TaskConfig, rows: Rows) -> dict[str, float]:
        """The share of questions that have no answer, 0 where all have one."""
        scores = question_scores(rows, [""] * len(rows))
        return {name: float(scores[name].mean()) for name in task.metrics}

    def output_names(self, task: TaskConfig) -> list[str]:
        return ["start", "end"]


def _span_logits(output: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Scores of the first and of the last token, (batch, token); -inf at padding."""
    start, end = at_least_float32(output.start_logits), at_least_float32(output.end_logits)
    if "attention_mask" not in batch:
        return start, end
    padding = batch["attention_mask"].to(start.device) == 0
    return start.masked_fill(padding, -torch.inf), end.masked_fill(padding, -torch.inf)
