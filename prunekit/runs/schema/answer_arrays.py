"""The arrays of ``answers.npz``: their names, what they hold, and of which kinds of numbers.

An array is called ``ROLE/NAME``, by the role of the rows that were answered. Every role has ``kind`` and ``rows``: the
kind of the task and the fingerprint of the rows, texts, and ``models``, a text a model: the words that tell it from the
others, as JSON. The other arrays depend on the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

COMMON = ("kind", "rows", "models")
GOLD = "gold"
KINDS_OF_NUMBERS = {"b": "true or false", "u": "whole numbers from 0", "i": "whole numbers", "f": "numbers"}


@dataclass(frozen=True)
class AnswerArray:
    """One array; its first axis is the row, its last one the model, but for the gold answers, which have no model."""

    name: str
    numbers: str
    """Kinds of its dtype, as NumPy's ``dtype.kind`` has them; as few bytes as they need."""
    meaning: str
    between: int | None = None
    """Length of the axis between; None where there is none."""
    optional: bool = False

    @property
    def axes(self) -> int:
        """How many."""
        return 1 if self.name == GOLD else 2 + (self.between is not None)


ARRAYS: Mapping[str, tuple[AnswerArray, ...]] = {
    "classification": (
        AnswerArray(GOLD, "u", "the label, in the order of the task's labels"),
        AnswerArray("class", "u", "the most likely label"),
    ),
    "regression": (
        AnswerArray(GOLD, "f", "the label"),
        AnswerArray("score", "f", "the model's output"),
    ),
    "questions": (
        AnswerArray("span", "u", "first character of the answer in the context and the one after its last; equal: no "
                    "answer", between=2),
        AnswerArray("exact_match", "b", "the answer is one of the gold answers"),
        AnswerArray("answer_f1", "f", "F1 of its words, best over the gold answers"),
    ),
    "tags": (
        AnswerArray("entity_f1", "u", "entities of the sentence: right ones, given ones, gold ones", between=3,
                    optional=True),
        AnswerArray("token_accuracy", "u", "words of the sentence: with the right tag, all", between=2, optional=True),
    ),
    "translation": (
        AnswerArray("bleu", "u", "words of hypothesis and of reference, then for orders 1 to 4 matches, and n-grams",
                    between=10, optional=True),
        AnswerArray("chrf", "u", "for orders 1 to 6 of characters: n-grams of hypothesis, of reference, matches",
                    between=18, optional=True),
    ),
}  # fmt: skip
"""By kind of task."""
