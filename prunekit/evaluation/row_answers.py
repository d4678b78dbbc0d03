"""What models answer to each row of a data set: a class, a number, a span, or what is counted in a translation.

Metrics and their tests can be computed from these alone (:mod:`prunekit.evaluation.rescoring`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class RowAnswers:
    """The answers of some models to the same rows."""

    kind: str
    """Of the task."""
    rows: str
    """Fingerprint of the rows, whatever a model's tokens of them are."""
    gold: np.ndarray | None
    """Classes or numbers, (row,); None where the arrays themselves say how good an answer is."""
    given: Mapping[str, np.ndarray]
    """(row, ..., model) by name: ``class``, ``score``, ``span`` with ``exact_match`` and ``answer_f1``, or for each
    metric of translation or tags what it counts in the sentence."""

    @property
    def models(self) -> int:
        """How many."""
        return int(next(iter(self.given.values())).shape[-1])

    def __len__(self) -> int:
        """Rows."""
        return len(next(iter(self.given.values())))


@dataclass(frozen=True)
class AnswerSheet:
    """Answers, and which model each is of."""

    models: tuple[Mapping[str, Any], ...]
    """What tells a model from the others, in the words of the record's tables, as ``{"share": 0.3}``."""
    answers: RowAnswers

    def __post_init__(self) -> None:
        if len(set(map(spelled, self.models))) != len(self.models):
            raise ValueError("two answers of one model")
        if len(self.models) != self.answers.models:
            raise ValueError(f"answers of {self.answers.models} models, {len(self.models)} are named")

    def of(self, **model: Any) -> int:
        """The place of a model.

        Raises:
            KeyError: it is not there.
        """
        try:
            return self.models.index(model)
        except ValueError:
            raise KeyError(f"no answers of {spelled(model)}") from None


def spelled(model: Mapping[str, Any]) -> str:
    """The words that tell a model, as one text, the same for the same words in any order.

    >>> spelled({"stage": "tune"})
    '{"stage": "tune"}'
    """
    return json.dumps(model, sort_keys=True, default=lambda value: value.item())


def joined(sheets: Sequence[AnswerSheet]) -> AnswerSheet:
    """Of one set of rows, one after the other.

    Raises:
        ValueError: they are of different rows, or a model is in two of them.
    """
    first = sheets[0].answers
    for sheet in sheets[1:]:
        own = sheet.answers
        same = (own.kind, own.rows, set(own.given)) == (first.kind, first.rows, set(first.given))
        if not same or not np.array_equal(_or_nothing(own.gold), _or_nothing(first.gold)):
            raise ValueError(f"answers to rows {own.rows} and {first.rows} are not of the same rows")
    given = {name: np.concatenate([sheet.answers.given[name] for sheet in sheets], axis=-1) for name in first.given}
    models = tuple(model for sheet in sheets for model in sheet.models)
    return AnswerSheet(models, RowAnswers(first.kind, first.rows, first.gold, given))


def of_labels(kind: str, rows: str, gold: np.ndarray, answers: np.ndarray) -> RowAnswers:
    """Of classification, or of regression.

    Args:
        answers: classes, whole numbers from 0, or scores: (row,) of one model, (model, row) of several.
    """
    own = np.moveaxis(np.atleast_2d(answers), 0, -1)
    if kind == "regression":
        return RowAnswers(kind, rows, np.asarray(gold, np.float64), {"score": own})
    return RowAnswers(kind, rows, smallest(gold), {"class": smallest(own)})


def of_model(
    kind: str, rows: str, gold: np.ndarray | None, given: Mapping[str, np.ndarray]
) -> RowAnswers:
    """Of one model.

    Args:
        given: (row, ...) by name; whole numbers are kept in as few bytes as they need.
    """

    def kept(values: np.ndarray) -> np.ndarray:
        return smallest(values) if values.dtype.kind in "iu" else values

    own = {name: kept(values)[..., None] for name, values in given.items()}
    return RowAnswers(kind, rows, None if gold is None else kept(gold), own)


def of_sentences(rows: str, counts: Iterable[Mapping[str, np.ndarray]], kind: str = "translation") -> RowAnswers:
    """Of translation, or of tags.

    Args:
        counts: of every model what each metric counts in each sentence, (row, statistic).
    """
    models = list(counts)
    given = {name: smallest(np.stack([one[name] for one in models], axis=-1)) for name in models[0]}
    return RowAnswers(kind, rows, None, given)


def smallest(values: np.ndarray) -> np.ndarray:
    """Whole numbers in as few bytes as they need.

    Raises:
        ValueError: some are no whole numbers.
    """
    ends = (int(values.min(initial=0)), int(values.max(initial=0)))
    packed = values.astype(np.result_type(*map(np.min_scalar_type, ends)))
    if not np.array_equal(packed, values):
        raise ValueError("answers that should be whole numbers are others")
    return packed


def _or_nothing(values: np.ndarray | None) -> np.ndarray:
    return np.empty(0) if values is None else values
