"""The arrays of ``answers.npz``: their names, what they hold, and of which kinds of numbers.

An array is called ``ROLE/NAME``, by the role of the rows that were answered. Every role has ``kind`` and ``rows``: the
kind of the task and the fingerprint of the rows, texts, and ``models``, a text a model: the words that tell it from the
others, as JSON. The other arrays depend on the kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from prunekit.config.kind_answers import AnswerArray
from prunekit.config.task_kinds import TASK_KINDS

COMMON = ("kind", "rows", "models")
KINDS_OF_NUMBERS = {"b": "true or false", "u": "whole numbers from 0", "i": "whole numbers", "f": "numbers"}

ARRAYS: Mapping[str, tuple[AnswerArray, ...]] = dict(sorted((kind.name, kind.answers) for kind in TASK_KINDS))
"""By kind of task."""
