"""The demo corpus: its labels against brute-force model checking, its splits, and what shallow models make of it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from prunekit.data.demo import LABELS, SPLITS, generate, vocabulary
from prunekit.data.demo_grammar import HELD_OUT, MATCHED
from prunekit.support.errors import UserError

Rows = list[dict[str, Any]]

SIZES = {"train": 30_000, "validation_matched": 2000, "validation_mismatched": 2000}  # as in conf/task/demo*.yaml

NAMES = {*MATCHED.names, *HELD_OUT.names}
NOUN_PARENTS = {**MATCHED.nouns, **HELD_OUT.nouns}
VERB_PARENTS = {**MATCHED.verbs, **HELD_OUT.verbs}
ANTONYMS = [*MATCHED.antonyms, *HELD_OUT.antonyms]


# A second semantics, from the text up: parse, list small worlds, look which of them make both sentences true.


class Being(NamedTuple):
    name: str
    nouns: frozenset[str]
    copy: int


class Clause(NamedTuple):
    agent: tuple[str, ...]
    verb: str
    patient: tuple[str, ...]
    never: bool


def parse(text: str) -> Clause:
    words = text.split()
    never = "never" in words
    verb = next(word for word in words if word in VERB_PARENTS)
    before = tuple(word for word in words[: words.index(verb)] if word not in ("was", "never"))
    after = tuple(word for word in words[words.index(verb) + 1 :] if word != "by")
    assert ("was" in words) == ("by" in words)
    return Clause(after, verb, before, never) if "was" in words else Clause(before, verb, after, never)


def hypernyms(noun: str) -> frozenset[str]:
    chain: list[str] = []
    word: str | None = noun
    while word is not None:
        chain.append(word)
        word = NOUN_PARENTS[word]
    return frozenset(chain)


INHABITANTS = [Being(name, frozenset(), 0) for name in sorted(NAMES)] + [
    Being("", hypernyms(noun), copy) for noun in NOUN_PARENTS for copy in (0, 1)
]


@cache
def members(phrase: tuple[str, ...]) -> frozenset[Being]:
    if phrase[-1] in NAMES:
        return frozenset(being for being in INHABITANTS if being.name == phrase[-1])
    return frozenset(being for being in INHABITANTS if phrase[-1] in being.nouns)


def consistent(verbs: list[str], true: tuple[bool, ...]) -> bool:
    happening = {verb for verb, value in zip(verbs, true, strict=True) if value}
    for verb in happening:
        parent = VERB_PARENTS[verb]
        if parent in verbs and parent not in happening:
            return False
    return not any(pair <= happening for pair in ANTONYMS)


def truth(clause: Clause, events: dict[tuple[Being, Being], dict[str, bool]]) -> bool:
    """`events` holds, for each agent and patient, which verbs happen between them."""
    pivot = clause.patient if len(clause.patient) > 1 else clause.agent
    agents, patients = members(clause.agent), members(clause.patient)
    values = [
        happening[clause.verb] != clause.never
        for (agent, patient), happening in events.items()
        if agent in agents and patient in patients
    ]
    match pivot:
        case ["no", *_]:
            return not any(values)
        case ["some", *_]:
            return any(values)
    return all(values)


def judge(premise_text: str, hypothesis_text: str) -> str:
    """The label, from all worlds with at most two inhabitants for each class that the two sentences tell apart."""
    premise, hypothesis = parse(premise_text), parse(hypothesis_text)
    phrases = [premise.agent, premise.patient, hypothesis.agent, hypothesis.patient]
    told_apart: dict[tuple[bool, ...], list[Being]] = {}
    for being in INHABITANTS:
        told_apart.setdefault(tuple(being in members(phrase) for phrase in phrases), []).append(being)
    present = {being for alike in told_apart.values() for being in alike[:2]}
    verbs = sorted({premise.verb, hypothesis.verb})
    states = [state for state in product((False, True), repeat=len(verbs)) if consistent(verbs, state)]
    pairs = {
        (agent, patient): None
        for clause in (premise, hypothesis)
        for agent in members(clause.agent)
        for patient in members(clause.patient)
        if agent in present and patient in present
    }
    found: set[bool] = set()
    for world in product([dict(zip(verbs, state, strict=True)) for state in states], repeat=len(pairs)):
        events = dict(zip(pairs, world, strict=True))
        if truth(premise, events):
            found.add(truth(hypothesis, events))
            if len(found) == 2:
                return "neutral"
    assert found, "the premise is true in no world"
    return "entailment" if found == {True} else "contradiction"


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        ("bob hugged emma", "emma was hugged by bob", "entailment"),
        ("bob hugged emma", "emma hugged bob", "neutral"),
        ("bob hugged emma", "bob touched emma", "entailment"),
        ("bob never hugged emma", "bob never touched emma", "neutral"),
        ("bob admired emma", "bob despised emma", "contradiction"),
        ("bob never admired emma", "bob despised emma", "neutral"),
        ("every animal touched bob", "every dog touched bob", "entailment"),
        ("every dog touched bob", "every animal touched bob", "neutral"),
        ("every dog touched bob", "some animal touched bob", "entailment"),
        ("every animal touched bob", "some dog touched bob", "entailment"),
        ("every dog touched bob", "some cat touched bob", "neutral"),
        ("some dog touched bob", "some animal touched bob", "entailment"),
        ("some animal touched bob", "some dog touched bob", "neutral"),
        ("no animal touched bob", "no dog hugged bob", "entailment"),
        ("no dog touched bob", "some animal never hugged bob", "entailment"),
        ("some dog never touched bob", "some animal never hugged bob", "entailment"),
        ("some dog never touched bob", "every animal touched bob", "contradiction"),
        ("some animal never touched bob", "every dog touched bob", "neutral"),
        ("every dog was never touched by bob", "bob hugged some animal", "neutral"),
        ("bob hugged some dog", "no animal was touched by bob", "contradiction"),
    ],
)
def test_textbook_inferences(premise: str, hypothesis: str, label: str) -> None:
    assert judge(premise, hypothesis) == label


@pytest.mark.parametrize("split", SPLITS)
def test_labels_agree_with_model_checking(split: str) -> None:
    for row in generate(split, 90, seed=7):
        assert judge(row["premise"], row["hypothesis"]) == LABELS[row["label"]], row


FIRST = {"train": 6000, "validation_matched": 600, "validation_mismatched": 600}


@pytest.fixture(scope="module", params=["first", pytest.param("all", marks=pytest.mark.slow)])
def corpus(request: pytest.FixtureRequest) -> dict[str, Rows]:
    """All splits, with their first rows or with all of them."""
    sizes = FIRST if request.param == "first" else SIZES
    return {split: generate(split, rows) for split, rows in sizes.items()}


def test_splits_have_the_rows_that_the_demo_asks_for(corpus: dict[str, Rows]) -> None:
    assert {split: len(rows) for split, rows in corpus.items()} in (FIRST, SIZES)
    for rows in corpus.values():
        assert len({(row["premise"], row["hypothesis"]) for row in rows}) == len(rows)


@pytest.mark.parametrize("split", SPLITS)
def test_same_seed_same_rows(split: str, corpus: dict[str, Rows]) -> None:
    assert generate(split, 100) == corpus[split][:100]
    assert generate(split, 100, seed=1) != corpus[split][:100]


def test_known_first_rows() -> None:
    """The rows are the same on every machine and Python: records of earlier runs stay comparable."""
    assert [tuple(row.values()) for row in generate("train", 3)] == [
        ("carol was admired by every dancer", "every dancer never admired carol", 2),
        ("frank admired every dancer", "frank was admired by every dancer", 1),
        ("every artist watched david", "every artist watched david", 0),
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_labels_are_balanced(split: str, corpus: dict[str, Rows]) -> None:
    rows = corpus[split][:1998]
    assert len(rows) in (600, 1998)
    assert Counter(row["label"] for row in rows) == dict.fromkeys(range(3), len(rows) // 3)


def test_no_pair_in_two_splits(corpus: dict[str, Rows]) -> None:
    other_seed = generate("train", 3000, seed=1)
    pairs = {name: [(r["premise"], r["hypothesis"]) for r in rows] for name, rows in corpus.items()}
    training = {*pairs["train"], *((r["premise"], r["hypothesis"]) for r in other_seed)}
    assert training.isdisjoint(pairs["validation_matched"])
    assert training.isdisjoint(pairs["validation_mismatched"])


def test_vocabulary_is_exactly_the_words_that_occur(corpus: dict[str, Rows]) -> None:
    texts = [row[key] for rows in corpus.values() for row in rows for key in ("premise", "hypothesis")]
    assert vocabulary() == sorted({word for text in texts for word in text.split()})


def test_a_pair_fits_into_32_tokens(corpus: dict[str, Rows]) -> None:
    lengths = [len(row["premise"].split()) + len(row["hypothesis"].split()) for rows in corpus.values() for row in rows]
    assert max(lengths) == 14
    assert max(lengths) + len(("[CLS]", "[SEP]", "[SEP]")) <= 32


def test_mismatched_words_are_in_training_but_only_in_the_active(corpus: dict[str, Rows]) -> None:
    def rows_with(words: set[str], rows: Rows) -> Rows:
        return [row for row in rows if words & {*row["premise"].split(), *row["hypothesis"].split()}]

    held_out = rows_with(HELD_OUT.words(), corpus["train"])
    assert 0.07 < len(held_out) / len(corpus["train"]) < 0.10
    assert HELD_OUT.words() <= {word for row in held_out for word in row["hypothesis"].split()}
    assert not rows_with({"was", "by"}, held_out)
    assert not rows_with(HELD_OUT.words(), corpus["validation_matched"])
    mismatched = corpus["validation_mismatched"]
    assert not rows_with(MATCHED.words(), mismatched)
    assert len(rows_with({"was"}, mismatched)) > 0.6 * len(mismatched)


def marked_words(rows: Rows, *keys: str) -> list[str]:
    return [" ".join(f"{key}:{word}" for key in keys for word in row[key].split()) for row in rows]


@pytest.mark.parametrize(
    ("keys", "low", "high"),
    [(("hypothesis",), 0.28, 0.39), (("premise", "hypothesis"), 0.35, 0.50)],
)
def test_bag_of_words_is_not_enough(keys: tuple[str, ...], low: float, high: float, corpus: dict[str, Rows]) -> None:
    model = make_pipeline(CountVectorizer(token_pattern=r"\S+"), LogisticRegression(max_iter=200))
    train, test = corpus["train"][:6000], corpus["validation_matched"]
    model.fit(marked_words(train, *keys), [row["label"] for row in train])
    assert low < model.score(marked_words(test, *keys), [row["label"] for row in test]) < high


def test_same_words_in_the_other_order_change_the_label(corpus: dict[str, Rows]) -> None:
    """Rows whose premise, with its arguments exchanged, has another label: no bag of words gets both right."""
    rows = corpus["validation_matched"][:150]
    changed = 0
    for row in rows:
        agent, verb, patient, never = parse(row["premise"])
        subject, other = (agent, patient) if "was" in row["premise"] else (patient, agent)
        words = [*subject, *(["was"] if "was" in row["premise"] else []), *(["never"] if never else []), verb]
        exchanged = " ".join([*words, *(["by"] if "was" in row["premise"] else []), *other])
        assert sorted(exchanged.split()) == sorted(row["premise"].split())
        changed += judge(exchanged, row["hypothesis"]) != LABELS[row["label"]]
    assert changed / len(rows) > 0.7


def test_bad_requests_name_what_is_there() -> None:
    with pytest.raises(UserError, match="no split 'test'; there are train, validation_matched"):
        generate("test", 3)


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunekit.data.demo.ATTEMPTS_PER_ROW", 1)
    with pytest.raises(UserError, match="rows = 300, but validation_matched has about"):
        generate("validation_matched", 300)


def test_no_heavy_imports() -> None:
    code = "import sys, prunekit.data.demo; sys.exit(bool({'torch', 'datasets', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
