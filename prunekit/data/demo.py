"""The built-in demo task: natural language inference over sentences from a small grammar, labelled by its semantics.

Three labels in equal parts; quantifiers and their monotonicity, negation, active and passive voice, hyponyms and
antonyms. It is built so that a model has to attend from one sentence to the other:

- A hypothesis is drawn first, then the label, then a premise with that label. So the hypothesis alone says nothing.
- Half of the neutral premises are entailing or contradicting ones whose two arguments changed places, so that which
  words occur is not enough: who did it to whom decides.

`validation_mismatched` uses names, nouns and verbs of its own. Training shows them in about one row of ten (fewer in
a long list: they make fewer different pairs), and there only in active sentences: their relations can be learned,
their use in the passive has to be carried over.
"""

from __future__ import annotations

import random
import zlib
from functools import cache
from typing import Any

from prunekit.data.demo_grammar import (
    FUNCTION_WORDS,
    HELD_OUT,
    MATCHED,
    QUANTIFIERS,
    Lexicon,
    Phrase,
    Sentence,
    entails,
    is_a,
    meaning,
)
from prunekit.support.errors import UserError

LABELS = ("entailment", "neutral", "contradiction")
SPLITS = ("train", "validation_matched", "validation_mismatched")

HELD_OUT_SHARE = 0.1  # of the training rows
VALIDATION_SHARE = 0.1  # of all possible pairs: the others are for training
SWAPPED_SHARE = 0.5  # of the neutral rows
NAME_SHARE = 0.1  # of the first argument; the second is always a name
EDIT_SHARE = 0.15  # how often the premise has another noun or verb than the hypothesis
REQUANTIFY_SHARE = 0.4  # how often its quantifier is drawn anew
RENAME_SHARE = 0.07  # how often a name is
ATTEMPTS_PER_ROW = 200


def generate(split: str, rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """`rows` different rows {"premise": str, "hypothesis": str, "label": int}, the index of the label in `LABELS`.

    The first rows of a longer list are those of a shorter one, and every three rows have all three labels. No pair
    of sentences is both in training and in validation, for any seeds. UserError for an unknown split, or if the
    split has not so many different rows.
    """
    if split not in SPLITS:
        raise UserError(f"demo task: no split {split!r}; there are {', '.join(SPLITS)}")
    rng = random.Random(f"{split}/{seed}")
    result: list[dict[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    labels: list[int] = []
    for _ in range(ATTEMPTS_PER_ROW * rows):
        labels = labels or rng.sample(range(3), 3)
        held_out = split == "validation_mismatched" or (split == "train" and rng.random() < HELD_OUT_SHARE)
        drawn = _pair(rng, HELD_OUT if held_out else MATCHED, labels[-1], active=held_out and split == "train")
        premise, hypothesis = pair = str(drawn[0]), str(drawn[1])
        if _for_validation(premise, hypothesis) == (split == "train") or pair in seen:
            continue
        seen.add(pair)
        result.append({"premise": premise, "hypothesis": hypothesis, "label": labels.pop()})
        if len(result) == rows:
            return result
    raise UserError(f"demo task: rows = {rows}, but {split} has about {len(result)} different rows")


def vocabulary() -> list[str]:
    """Every word that can occur, sorted."""
    return sorted({*FUNCTION_WORDS, *MATCHED.words(), *HELD_OUT.words()})


def _for_validation(premise: str, hypothesis: str) -> bool:
    """Which side a pair belongs to: by checksum, so that the sides are disjoint whatever the seeds."""
    return zlib.crc32(f"{premise}/{hypothesis}".encode()) % 1000 < 1000 * VALIDATION_SHARE


def _label(premise: Sentence, hypothesis: Sentence) -> str:
    given, claim = meaning(premise), meaning(hypothesis)
    if entails(given, claim):
        return "entailment"
    return "contradiction" if entails(given, claim.negation()) else "neutral"


def _pair(rng: random.Random, lexicon: Lexicon, wanted: int, active: bool) -> tuple[Sentence, Sentence]:
    """A premise and a hypothesis with the wanted label; every hypothesis is equally likely under all labels."""
    target = LABELS[wanted]
    hypothesis = _sentence(rng, lexicon, active)
    swap = target == "neutral" and rng.random() < SWAPPED_SHARE
    before_swap = rng.choice(("entailment", "contradiction")) if swap else target
    while True:
        premise = _variation(rng, lexicon, hypothesis, active)
        if not premise.grammatical or _label(premise, hypothesis) != before_swap:
            continue
        if swap:
            premise = premise._replace(agent=premise.patient, patient=premise.agent)
        if premise.grammatical and _label(premise, hypothesis) == target:
            return premise, hypothesis


def _sentence(rng: random.Random, lexicon: Lexicon, active: bool) -> Sentence:
    while True:
        arguments = [_phrase(rng, lexicon), Phrase(rng.choice(lexicon.names))]
        rng.shuffle(arguments)
        verb = rng.choice(list(lexicon.verbs))
        sentence = Sentence(arguments[0], verb, arguments[1], _coin(rng), not active and _coin(rng))
        if sentence.grammatical:
            return sentence


def _phrase(rng: random.Random, lexicon: Lexicon) -> Phrase:
    if rng.random() < NAME_SHARE:
        return Phrase(rng.choice(lexicon.names))
    return Phrase(rng.choice(list(lexicon.nouns)), rng.choice(QUANTIFIERS))


def _variation(rng: random.Random, lexicon: Lexicon, base: Sentence, active: bool) -> Sentence:
    """A sentence near `base`: the same or related words, negation and voice drawn anew."""
    agent, patient = _reworded(rng, lexicon, base.agent), _reworded(rng, lexicon, base.patient)
    verb = rng.choice(_related(lexicon, base.verb)) if rng.random() < EDIT_SHARE else base.verb
    return Sentence(agent, verb, patient, _coin(rng), not active and _coin(rng))


def _reworded(rng: random.Random, lexicon: Lexicon, phrase: Phrase) -> Phrase:
    noun, quantifier = phrase
    if quantifier is None:
        return _phrase(rng, lexicon) if rng.random() < RENAME_SHARE else phrase
    if rng.random() < EDIT_SHARE:
        noun = rng.choice(_related(lexicon, noun))
    if rng.random() < REQUANTIFY_SHARE:
        quantifier = rng.choice(QUANTIFIERS)
    return Phrase(noun, quantifier)


@cache
def _related(lexicon: Lexicon, word: str) -> list[str]:
    """The hypernyms, direct hyponyms and sisters of a noun or verb; the sisters of a root are the other roots."""
    parents = lexicon.nouns if word in lexicon.nouns else lexicon.verbs
    near = (word, parents[word])
    return [other for other in parents if other != word and (is_a(word, other) or parents[other] in near)]


def _coin(rng: random.Random) -> bool:
    return rng.random() < 0.5
