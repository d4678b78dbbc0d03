"""The built-in pair of toy languages: a generated translation task in which attention to the source matters.

The source looks like English, the target is made up:

- reordering: the verb goes to the end of its clause, adjectives follow their noun, "because" moves its clause to the
  front;
- agreement: articles and adjectives take the gender and number of their noun, verbs the number of their subject, and
  the source does not show the gender;
- copying: names are random syllables, most of which no training sentence has, and stay as they are.

Every source has one translation.
"""

from __future__ import annotations

import random
import zlib
from typing import Any

from prunekit.support.errors import UserError

SPLITS = ("train", "validation", "test")
VALIDATION_SHARE = 0.2  # of all sentences that can be drawn, in equal parts for validation and test
ATTEMPTS_PER_ROW = 200

# source: (target stem, gender)
NOUNS = {
    "dog": ("kan", "m"), "cat": ("mish", "f"), "horse": ("kaval", "m"), "bird": ("ael", "f"), "child": ("bim", "m"),
    "teacher": ("docen", "f"), "baker": ("pistor", "m"), "singer": ("cantel", "f"), "king": ("reg", "m"),
    "queen": ("rigan", "f"), "house": ("dom", "f"), "tree": ("drev", "m"), "river": ("flum", "m"),
    "book": ("libr", "f"), "stone": ("kamen", "m"), "boat": ("nav", "f"),
}  # fmt: skip
ADJECTIVES = {
    "red": "rus", "old": "vetul", "small": "mikr", "tall": "alt", "happy": "let", "quiet": "tik", "strange": "mir",
    "young": "nov", "heavy": "grav", "bright": "klar",
}  # fmt: skip
VERBS = {
    "sees": ("see", "vid"), "follows": ("follow", "sek"), "finds": ("find", "trov"), "carries": ("carry", "port"),
    "paints": ("paint", "pikt"), "hears": ("hear", "audi"), "guards": ("guard", "gard"), "loves": ("love", "am"),
}  # fmt: skip
ADVERBS = {"often": "sofar", "today": "hodi", "slowly": "lentam", "never": "nunka"}
ARTICLES = {"the": "l", "a": "un"}
ENDINGS = {("m", False): "o", ("f", False): "a", ("m", True): "i", ("f", True): "e"}
ONSETS, VOWELS = "bdfgklmnprstvz", "aeiou"


def generate(split: str, rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """`rows` different rows {"source": str, "target": str}; no source is in two splits, for any seeds.

    UserError for an unknown split, or if the split has not so many different rows.
    """
    if split not in SPLITS:
        raise UserError(f"demo translation: no split {split!r}; there are {', '.join(SPLITS)}")
    rng = random.Random(f"{split}/{seed}")
    targets: dict[str, str] = {}
    for _ in range(ATTEMPTS_PER_ROW * rows):
        source, target = _sentence(rng)
        if _split_of(source) == split:
            targets[source] = target
        if len(targets) == rows:
            return [{"source": source, "target": target} for source, target in targets.items()]
    raise UserError(f"demo translation: rows = {rows}, but {split} has about {len(targets)} different rows")


def _split_of(source: str) -> str:
    """Which side a sentence belongs to: by checksum, so that the sides are disjoint whatever the seeds."""
    place = zlib.crc32(source.encode()) % 1000 / 1000
    return "train" if place >= VALIDATION_SHARE else "validation" if place < VALIDATION_SHARE / 2 else "test"


def _sentence(rng: random.Random) -> tuple[str, str]:
    source, target = _clause(rng)
    if rng.random() < 0.4:
        reason, translated = _clause(rng)
        return f"{source} because {reason}.", f"perke {translated}, {target}."
    return f"{source}.", f"{target}."


def _clause(rng: random.Random) -> tuple[str, str]:
    subject, translated_subject, plural = _phrase(rng)
    object_, translated_object, _ = _phrase(rng)
    verb = rng.choice(list(VERBS))
    many, stem = VERBS[verb]
    adverb = rng.choice(list(ADVERBS)) if rng.random() < 0.4 else ""
    source = [subject, adverb, many if plural else verb, object_]
    target = [ADVERBS.get(adverb, ""), translated_subject, translated_object, stem + ("unt" if plural else "et")]
    return " ".join(filter(None, source)), " ".join(filter(None, target))


def _phrase(rng: random.Random) -> tuple[str, str, bool]:
    """A name or a noun with its article and adjectives: source, target, and whether it is plural."""
    if rng.random() < 0.25:
        name = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(3)).capitalize()
        return name, name, False
    noun = rng.choice(list(NOUNS))
    stem, gender = NOUNS[noun]
    plural = rng.random() < 0.4
    article = "the" if plural else rng.choice(list(ARTICLES))
    adjectives = rng.sample(list(ADJECTIVES), rng.choice((0, 0, 1, 1, 2)))
    ending = ENDINGS[gender, plural]
    source = [article, *adjectives, (_plural(noun) if plural else noun)]
    target = [ARTICLES[article] + ending, stem + ending, *(ADJECTIVES[word] + ending for word in adjectives)]
    return " ".join(source), " ".join(target), plural


def _plural(noun: str) -> str:
    return "children" if noun == "child" else f"{noun}s"
