"""The grammar and the semantics of the built-in demo task: words, sentences, and what follows from what.

A sentence says who did what to whom: "every dog hugged alice", "alice was never hugged by bob". At most one
of its two arguments is quantified, so that no sentence has two readings; the quantifier takes scope over `never`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

QUANTIFIERS = ("every", "some", "no")
FUNCTION_WORDS = (*QUANTIFIERS, "was", "never", "by")


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The content words of one register; a noun or verb maps to its direct hypernym, a root to None."""

    names: tuple[str, ...]
    nouns: dict[str, str | None]
    verbs: dict[str, str | None]
    antonyms: frozenset[frozenset[str]]
    """Pairs of verbs that no two persons are in at the same time; not being in one does not mean the other."""

    def words(self) -> set[str]:
        """All names, nouns and verbs."""
        return {*self.names, *self.nouns, *self.verbs}


MATCHED = Lexicon(
    names=("alice", "bob", "carol", "david", "emma", "frank"),
    nouns={
        "animal": None,
        "dog": "animal",
        "bird": "animal",
        "cat": "animal",
        "artist": None,
        "musician": "artist",
        "painter": "artist",
        "dancer": "artist",
    },
    verbs={
        "touched": None,
        "hugged": "touched",
        "pushed": "touched",
        "noticed": None,
        "watched": "noticed",
        "admired": None,
        "despised": None,
        "helped": None,
        "hindered": None,
    },
    antonyms=frozenset({frozenset({"admired", "despised"}), frozenset({"helped", "hindered"})}),
)

HELD_OUT = Lexicon(
    names=("irene", "jacob", "karen", "louis"),
    nouns={
        "worker": None,
        "doctor": "worker",
        "farmer": "worker",
        "teacher": "worker",
    },
    verbs={
        "contacted": None,
        "phoned": "contacted",
        "praised": None,
        "insulted": None,
    },
    antonyms=frozenset({frozenset({"praised", "insulted"})}),
)

HYPERNYMS = MATCHED.nouns | MATCHED.verbs | HELD_OUT.nouns | HELD_OUT.verbs
ANTONYMS = MATCHED.antonyms | HELD_OUT.antonyms


class Phrase(NamedTuple):
    """A name ("alice": no quantifier) or a quantified noun ("every dog")."""

    head: str
    quantifier: str | None = None

    def __str__(self) -> str:
        return f"{self.quantifier} {self.head}" if self.quantifier else self.head


class Sentence(NamedTuple):
    """One clause; `negated` puts in "never", `passive` chooses the word order and nothing else."""

    agent: Phrase
    verb: str
    patient: Phrase
    negated: bool = False
    passive: bool = False

    def __str__(self) -> str:
        never = "never " if self.negated else ""
        if self.passive:
            return f"{self.patient} was {never}{self.verb} by {self.agent}"
        return f"{self.agent} {never}{self.verb} {self.patient}"

    @property
    def grammatical(self) -> bool:
        """Two different arguments, at most one quantified; "never" only where its scope is plain.

        After "never" a quantified object would have two readings, and "no dog never" is a double negation.
        """
        quantified = [phrase for phrase in (self.agent, self.patient) if phrase.quantifier]
        if len(quantified) > 1 or self.agent == self.patient:
            return False
        subject = self.patient if self.passive else self.agent
        return not (quantified and self.negated) or subject.quantifier in ("every", "some")


class Meaning(NamedTuple):
    """`universal`: all members of the class take part in `verb` (or not, if not `positive`); else at least one.

    The class is that of a noun, or the one bearer of a name, for whom "all" and "one" agree.
    """

    universal: bool
    noun: str
    singleton: bool
    partner: str
    pivot_acts: bool
    verb: str
    positive: bool

    def negation(self) -> Meaning:
        """What is true exactly where this is false."""
        return self._replace(universal=not self.universal, positive=not self.positive)


@cache  # rows repeat a few thousand sentences
def meaning(sentence: Sentence) -> Meaning:
    """The truth conditions of a sentence: "no" is "every ... not", "never" under "some" is "some ... not"."""
    pivot_acts = sentence.patient.quantifier is None
    pivot, partner = (sentence.agent, sentence.patient) if pivot_acts else (sentence.patient, sentence.agent)
    return Meaning(
        universal=pivot.quantifier in (None, "every", "no"),
        noun=pivot.head,
        singleton=pivot.quantifier is None,
        partner=partner.head,
        pivot_acts=pivot_acts,
        verb=sentence.verb,
        positive=sentence.negated == (pivot.quantifier == "no"),
    )


@cache
def is_a(word: str, other: str) -> bool:
    """Whether `word` is `other` or one of its hyponyms."""
    while word != other:
        parent = HYPERNYMS.get(word)
        if parent is None:
            return False
        word = parent
    return True


def entails(premise: Meaning, hypothesis: Meaning) -> bool:
    """Whether the hypothesis is true in every world in which the premise is.

    Worlds obey the lexicon, and in all of them each noun has members (existential import), some of them in none of
    its hyponyms. The rules are the monotonicity of the quantifiers in the class and in the verb; within this fragment
    they are complete: whatever they do not derive has a counterexample.
    """
    if (premise.partner, premise.pivot_acts) != (hypothesis.partner, hypothesis.pivot_acts):
        return False
    if not _verb_entails(premise, hypothesis):
        return False
    narrows = is_a(hypothesis.noun, premise.noun)
    widens = is_a(premise.noun, hypothesis.noun)
    if premise.singleton and hypothesis.singleton:
        return widens
    if premise.universal and hypothesis.universal:
        return narrows
    if premise.universal:
        return narrows or widens
    return widens and not hypothesis.universal


def _verb_entails(premise: Meaning, hypothesis: Meaning) -> bool:
    if premise.positive and hypothesis.positive:
        return is_a(premise.verb, hypothesis.verb)
    if premise.positive:
        return frozenset({premise.verb, hypothesis.verb}) in ANTONYMS
    return not hypothesis.positive and is_a(hypothesis.verb, premise.verb)
