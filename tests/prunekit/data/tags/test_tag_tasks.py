"""Sentences with tags from tables, as a model reads them; settings of such a task."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast, RobertaTokenizer

from prunekit.config.sections import ModelConfig
from prunekit.config.task import TaskConfig
from prunekit.data.checked_rows import Rows, notice
from prunekit.data.kinds import encode, kind_of, new_tokenizer
from prunekit.data.kinds.tags import Sentences
from prunekit.data.label_order import align_outputs
from prunekit.data.rows import load_rows
from prunekit.data.tags.generated import LABELS as OF_DEMO
from prunekit.data.tags.generated import SPLITS, generate
from prunekit.data.tokenizers import load_tokenizer
from prunekit.evaluation.evaluate import evaluated
from prunekit.evaluation.rescoring import resampled, rescored
from prunekit.evaluation.trivial import trivial_scores
from prunekit.models import checkpoints
from prunekit.support.errors import UserError
from tests.support.commands import composed
from tests.support.families import shape_of

LABELS = ["O", "B-PER", "I-PER", "B-LOC"]
WORDS = [["Ann", "Lee", "left"], ["Rome", "burns", "."]]


def task(**settings: Any) -> TaskConfig:
    own: dict[str, Any] = {
        "source": "files", "columns": ["tokens"], "label": "tags", "labels": LABELS, "max_length": 16,
        "metrics": ["entity_f1", "token_accuracy"],
    }  # fmt: skip
    return TaskConfig(name="own", tags=True, **(own | settings))


def checked(words: Any, tags: Any, **settings: Any) -> Rows:
    own = task(**settings)
    return kind_of(own).checked(own, "train", {"tokens": words, "tags": tags})


def lettered() -> Any:
    """A tokenizer with a token a letter."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(chr, range(33, 127))]
    letters = {name: place for place, name in enumerate(names)}
    own = Tokenizer(models.WordLevel(letters, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    own.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=own, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
                                   sep_token="[SEP]", model_input_names=["input_ids", "attention_mask"])  # fmt: skip


@pytest.mark.parametrize("tags", [[["B-PER", "I-PER", "O"], ["B-LOC", "O", "O"]], [[1, 2, 0], [3, 0, 0]]])
def test_json_lines_with_lists(tmp_path: Path, tags: list[list[Any]]) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"tokens": w, "tags": t}) + "\n" for w, t in zip(WORDS, tags, strict=True)))
    rows = load_rows(task(files={"train": str(path)}), "train")
    assert rows.texts == [tuple(words) for words in WORDS]
    assert rows.labels.tolist() == [(1, 2, 0), (3, 0, 0)]


def test_numbers_of_a_data_set_are_its_own_names(tmp_path: Path) -> None:
    """ClassLabel counts otherwise than the task: names decide."""
    names = ["B-LOC", "B-PER", "I-PER", "O"]
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "tags": datasets.List(datasets.ClassLabel(names=names))}
    )
    table = datasets.Dataset.from_dict({"tokens": WORDS, "tags": [[1, 2, 3], [0, 3, 3]]}, features=features)
    own = task()
    assert kind_of(own).checked(own, "train", table).labels.tolist() == [(1, 2, 0), (3, 0, 0)]
    table.to_parquet(str(tmp_path / "train.parquet"))
    read = load_rows(task(files={"train": str(tmp_path / "train.parquet")}), "train")
    assert read.labels.tolist() == [(1, 2, 0), (3, 0, 0)]


def test_the_preset_of_conll_2003_reads_what_its_repository_holds(tmp_path: Path) -> None:
    """Parquet files by the names of splits, tags as numbers, and features as `datasets` wrote them of old."""
    preset = composed("finetune", "task=conll2003", f"task.source={tmp_path}").task
    tags = datasets.List(datasets.ClassLabel(names=preset.labels))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": tags})
    for split, words, numbers in (
        ("train", WORDS, [[1, 2, 0], [5, 0, 0]]), ("validation", WORDS[:1], [[3, 4, 0]]), ("test", WORDS[1:], [[0] * 3])
    ):  # fmt: skip
        table = datasets.Dataset.from_dict({"tokens": words, "ner_tags": numbers}, features=features)
        table.to_parquet(str(tmp_path / "data" / f"{split}-00000-of-00001.parquet"))
    old: dict[str, Any] = {"dtype": "string", "id": None, "_type": "Value"}
    label = {"num_classes": 9, "names": preset.labels, "names_file": None, "id": None, "_type": "ClassLabel"}
    listed = {name: {"feature": one, "length": -1, "id": None, "_type": "Sequence"}
              for name, one in (("tokens", old), ("ner_tags", label))}  # fmt: skip
    (tmp_path / "dataset_infos.json").write_text(json.dumps({"lhoestq--conll2003": {"features": listed}}))
    assert preset.labels == ["O", *(f"{part}-{kind}" for kind in ("PER", "ORG", "LOC", "MISC") for part in "BI")]
    rows = load_rows(preset, preset.train)
    assert rows.texts == [tuple(words) for words in WORDS] and rows.labels.tolist() == [(1, 2, 0), (5, 0, 0)]
    assert load_rows(preset, preset.evaluation).labels.tolist() == [(3, 4, 0)]


@pytest.mark.parametrize(
    ("words", "tags", "message"),
    [
        (WORDS, [["O"] * 3, ["O"] * 2], r"own train, row 1: 3 words and 2 tags \('Rome burns \.'\); each word needs"),
        (WORDS, [["O", "X", "O"], ["O"] * 3], "own train, row 0: label 'X' is out of range, right would be 0=O, 1=B-"),
        (WORDS, [["O"] * 3, [0, 1, 4]], "own train, row 1: label 4 is out of range"),
        (WORDS, [["O"] * 3, [0, 1, -1]], r"own train, row 1: the word '\.' has no tag; leave the row out"),
        (WORDS, [["O"] * 3, ["O", None, "O"]], "own train, row 1: 'burns' has no tag in 'tags'; give it one, or"),
        (WORDS, [["O", " ", "O"], ["O"] * 3], "own train, row 0: 'Lee' has no tag in 'tags'; give it one, or leave th"),
        (WORDS, [["O"] * 3, "O O O"], "own train, row 1: 'tags' should be a list of tags, found 'O O O'"),
        (["Ann left"], [["O"]], "own train, row 0: 'tokens' should be a list of words, found 'Ann left'; JSONL"),
        ([[]], [[]], "own train, row 0: there is no word in 'tokens', leave the row out"),
        ([], [], "own train: the split is empty"),
    ],
)  # fmt: skip
def test_bad_rows(words: Any, tags: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        checked(words, tags)


def test_tags_that_cannot_follow_are_said(caplog: pytest.LogCaptureFixture) -> None:
    notice.cache_clear()
    with caplog.at_level(logging.WARNING):
        checked([["a", "b", "c"]] * 2, [["B-PER", "I-PER", "O"], ["O", "I-PER", "O"]])
    assert (
        "own train: 1 tags cannot follow the one before in IOB2, the first is I-PER of 'b' in row 1, after O; they are "
        "read as CoNLL's script does: a tag that goes on with no entity begins one"
    ) in caplog.text


def test_the_first_token_of_a_word_has_its_tag() -> None:
    rows = checked([["ab", "c", "def"]], [["B-PER", "I-PER", "O"]])
    own = encode(rows, lettered())
    assert isinstance(own, Sentences)
    assert own.tags == [[-100, 1, -100, 2, 0, -100, -100, -100]]
    batch = own.batch([0])
    assert batch["labels"].shape == batch["input_ids"].shape == (1, 16)
    assert batch["labels"][0].tolist() == [*own.tags[0], *[-100] * 8]
    assert own.loss_terms([0]) == 3
    assert own.take([0]).tags == own.tags and own.take([0]).words == [[0, 1, 2]]
    assert own.take([0]).fingerprint() == own.fingerprint() != encode(
        checked([["ab", "c", "def"]], [["B-PER", "O", "O"]]), lettered()
    ).fingerprint()


def test_words_beyond_the_input_are_wrong_and_said(caplog: pytest.LogCaptureFixture) -> None:
    notice.cache_clear()
    rows = checked(
        [["ab", "c", "defghi", "j", "k"], ["a" * 30, "b"], ["x"]],
        [["B-PER", "O", "O", "B-LOC", "O"], ["O", "B-LOC"], ["O"]], max_length=8,
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        own: Any = encode(rows, lettered())
    assert "3 of 8 words, in 2 of 3 sentences, are beyond task.max_length=8 tokens" in caplog.text
    assert "they count as wrong, and no entity is recognised there; the first is 'j' in row 0" in caplog.text
    assert "1 words are longer than task.max_length=8 tokens and are read in part, the first is 'aaa" in caplog.text
    predicted = np.zeros((3, 8), int)
    predicted[0, 1], predicted[0, 2], predicted[0, 3] = 1, 3, 0  # at places that begin no word nothing is read
    given = own.given(predicted)
    assert [list(row) for row in given] == [[1, 0, 0, -1, -1], [0, -1], [0]]
    result = evaluated(rows.task, own, given)
    assert result.metrics["token_accuracy"] == 5 / 8
    assert result.metrics["entity_f1"] == pytest.approx(2 * 1 * (1 / 3) / (1 + 1 / 3))
    for metric, value in result.metrics.items():
        assert rescored(result.answers, metric, 0) == value
        ones = np.ones((1, 3))
        assert resampled(result.answers, metric, 0, ones).tolist() == [value]


def test_a_word_without_a_token_is_said(caplog: pytest.LogCaptureFixture) -> None:
    notice.cache_clear()
    with caplog.at_level(logging.WARNING):
        own: Any = encode(checked([["a", "", "b"]], [["O"] * 3]), lettered())
    assert "1 of 3 words, in 1 of 1 sentences, are without a token in this tokenizer" in caplog.text
    assert own.words == [[0, 2]]
    with pytest.raises(UserError, match=r"own train, row 0: the tokenizer has no token for \(' ', ''\)|no word in"):
        encode(checked([["", ""]], [["O"] * 2]), lettered())


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(UserError, match="task own: Slow has no word_ids, use a fast tokenizer"):
        encode(checked(WORDS, [["O"] * 3] * 2), Slow())


def test_words_of_byte_level_tokenizers_are_words(tmp_path: Path) -> None:
    """Without a space before it, a word would be read as the end of the one before."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    own.train_from_iterator(["hello world"] * 5, trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ))  # fmt: skip
    learned = json.loads(own.to_str())["model"]
    plain = RobertaTokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])  # type: ignore[misc]
    plain.save_pretrained(tmp_path)
    rows = checked([["world", "world"]], [["O", "O"]])
    for tokenizer in (plain, new_tokenizer(ModelConfig(path=str(tmp_path)), rows)):
        ids = encode(rows, tokenizer).input_ids[0]
        assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", "Ġworld", "Ġworld", "</s>"]
    assert load_tokenizer(ModelConfig(path=str(tmp_path)), of_words=True).add_prefix_space
    assert not load_tokenizer(ModelConfig(path=str(tmp_path))).add_prefix_space


def test_a_model_without_a_tokenizer_learns_one(tmp_path: Path) -> None:
    own = task(source="demo", labels=list(OF_DEMO), vocabulary=300, train_rows=200, max_length=32)
    rows = load_rows(own, "train")
    first, again = (new_tokenizer(ModelConfig(path=None), rows) for _ in range(2))
    assert first.get_vocab() == again.get_vocab() and 250 < len(first) <= 300
    first.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert encode(rows, loaded).input_ids == encode(rows, first).input_ids
    assert loaded(" ".join(rows.texts[0])).input_ids == encode(rows, first).input_ids[0]


def test_the_trivial_answer_is_the_most_frequent_tag() -> None:
    rows = checked(WORDS, [[1, 2, 0], [3, 0, 0]])
    assert trivial_scores(rows.task, rows) == {"entity_f1": 0.0, "token_accuracy": 0.5}


def test_outputs_in_another_order_are_put_in_order() -> None:
    model = checkpoints.build("bert", shape_of("bert") | {"num_labels": 4}, 4, head="TokenClassification")
    model.config.id2label = dict(enumerate(["B-LOC", "O", "I-PER", "B-PER"]))
    before = model.get_parameter("classifier.weight").clone()
    assert align_outputs(model, LABELS)
    assert model.get_parameter("classifier.weight").equal(before[[1, 3, 2, 0]])


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"labels": []}, "labels: tags=true needs the names of the tags, give task.labels=[O,B-PER,I-PER]"),
        ({"columns": ["a", "b"]}, "columns: ['a', 'b'] should be one column, that of the words of a sentence"),
        ({"labels": ["NOUN", "VERB"]}, "labels: 'NOUN' is no tag of entities (O, or B, I, E, S before -TYPE), which "
                                       "entity_f1 is of; give task.metrics=[token_accuracy]"),
        ({"labels": ["O", "U-PER"]}, "labels: 'U-PER' is of BILOU, which is not read; write S-PER, as BIOES does"),
        ({"metrics": ["accuracy"]}, "metrics: accuracy is one of classification (task.labels=[A,B]), and tags=true "
                                    "makes the task tags; choose from entity_f1, token_accuracy"),
        ({"questions": True}, "tags: a task is one of tags, translation, questions and classification; leave "
                              "questions=true out"),
    ],
)  # fmt: skip
def test_settings(settings: dict[str, Any], problem: str) -> None:
    assert list(task(files={"train": "x"}).problems()) == []
    assert problem in list(task(files={"train": "x"}, **settings).problems())
    assert list(task(files={"train": "x"}, labels=["NOUN", "VERB"], metrics=["token_accuracy"]).problems()) == []


def test_generated_sentences() -> None:
    rows = {split: generate(split, 300) for split in SPLITS}
    sentences = {split: {tuple(row["tokens"]) for row in own} for split, own in rows.items()}
    assert all(len(own) == 300 for own in sentences.values())
    assert not sentences["train"] & sentences["validation"] and not sentences["train"] & sentences["test"]
    assert generate("train", 20) == rows["train"][:20]
    used = {tag for row in rows["train"] for tag in row["tags"]}
    assert used == set(OF_DEMO)
    with pytest.raises(UserError, match="demo tags: no split 'dev'; there are train, validation, test"):
        generate("dev", 1)
