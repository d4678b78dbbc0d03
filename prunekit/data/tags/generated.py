"""A generated tagging task: persons, organisations and places in sentences of a toy language that looks like English.

Names are random syllables, the same for all three types, and most of those in one split are in no other: what a name
is has to be read off the words around it, some of them far away, and a model has to know where it ends.
"""

from __future__ import annotations

import random
import zlib
from typing import Any

from prunekit.support.errors import UserError

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
SPLITS = ("train", "validation", "test")
HELD_OUT_SHARE = 0.2  # of all sentences that can be drawn, in equal parts for validation and test
ATTEMPTS_PER_ROW = 50
SECOND_WORD_SHARE = 0.4  # of the names
JOINED_SHARE = 0.25  # of the sentences

CLAUSES = (
    "PER works for ORG", "PER of ORG met PER", "PER left LOC", "ORG sold ORG to PER", "ORG moved to LOC",
    "the mayor of LOC met PER", "the head of ORG is PER", "the roads of LOC are old", "from LOC came PER",
    "for ORG came PER", "many in LOC trust ORG", "PER married PER", "LOC is near LOC", "the works of PER are old",
    "the works of ORG are closed", "after PER they named LOC", "no name is here", "it rained all day",
)  # fmt: skip
OPENINGS = ("", "", "yesterday", "they say", "in spring")
JOINED = ("and", "but", "while")
ONSETS, VOWELS, CODAS = "bdfgklmnprstvz", "aeiou", ("", "", "n", "r", "s")


def generate(split: str, rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """`rows` different rows {"tokens": [str, ...], "tags": [str, ...]}, tags in IOB2.

    No sentence is in two splits, for any seeds. UserError for an unknown split, or if the split has not so many
    different rows.
    """
    if split not in SPLITS:
        raise UserError(f"demo tags: no split {split!r}; there are {', '.join(SPLITS)}")
    rng = random.Random(f"{split}/{seed}")
    sentences: dict[tuple[str, ...], list[str]] = {}
    for _ in range(ATTEMPTS_PER_ROW * rows):
        words, tags = _sentence(rng)
        if _split_of(words) == split:
            sentences[tuple(words)] = tags
        if len(sentences) == rows:
            return [{"tokens": list(words), "tags": tags} for words, tags in sentences.items()]
    raise UserError(f"demo tags: rows = {rows}, but {split} has about {len(sentences)} different rows")


def _split_of(words: list[str]) -> str:
    """Which side a sentence belongs to: by checksum, so that the sides are disjoint whatever the seeds."""
    place = zlib.crc32(" ".join(words).encode()) % 1000 / 1000
    return "train" if place >= HELD_OUT_SHARE else "validation" if place < HELD_OUT_SHARE / 2 else "test"


def _sentence(rng: random.Random) -> tuple[list[str], list[str]]:
    text = f"{rng.choice(OPENINGS)} {rng.choice(CLAUSES)}"
    if rng.random() < JOINED_SHARE:
        text += f" {rng.choice(JOINED)} {rng.choice(CLAUSES)}"
    words: list[str] = []
    tags: list[str] = []
    for word in [*text.split(), "."]:
        name = _name(rng) if word in ("PER", "ORG", "LOC") else []
        words += name or [word]
        tags += [f"{'I' if place else 'B'}-{word}" for place in range(len(name))] or ["O"]
    return words, tags


def _name(rng: random.Random) -> list[str]:
    parts = 2 if rng.random() < SECOND_WORD_SHARE else 1
    return [
        "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(2)).capitalize()
        for _ in range(parts)
    ]
