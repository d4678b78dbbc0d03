"""A model that does not fit its data is refused, or made to fit where its own configuration says how."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, PreTrainedModel

import prunekit
from prunekit.config.sections import ModelConfig
from prunekit.config.task import TaskConfig
from prunekit.data.batches import Examples, model_inputs
from prunekit.data.checked_rows import Rows
from prunekit.data.fit import fitted
from prunekit.data.kinds import encode, encode_for, kind_of
from prunekit.data.kinds.translation import Pairs
from prunekit.data.label_order import align_outputs, is_generic, new_order, output_names
from prunekit.data.rows import load_rows
from prunekit.data.tokenizers import demo_tokenizer, load_tokenizer
from prunekit.evaluation.evaluate import evaluate
from prunekit.forward.translate import translate
from prunekit.models import checkpoints
from prunekit.models.input_tables import input_tables
from prunekit.support.errors import UserError
from tests.support.families import FAMILY_NAMES, tiny
from tests.support.squad_data import generated, squad_task, tokenizer, written
from tests.support.translators import TRANSLATORS, translator

LABELS = ["entailment", "neutral", "contradiction"]
TASK = TaskConfig(
    name="demo", source="demo", columns=["premise", "hypothesis"], labels=LABELS, max_length=24, evaluation_rows=48
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rows() -> Rows:
    return load_rows(TASK, "validation_matched")


def reader(family: str = "bert", **changes: Any) -> PreTrainedModel:
    """A classifier with a word for every token of the demo."""
    return tiny(family, dtype=torch.float32, **{"vocab_size": len(demo_tokenizer()), "pad_token_id": 0, **changes})


def labelled_by(model: PreTrainedModel, rows: Rows) -> Examples:
    """Rows whose right answers are the model's."""
    examples = encode_for(model, rows, demo_tokenizer())
    with torch.inference_mode():
        logits = model(**model_inputs(examples.batch(range(len(examples))))).logits
    return dataclasses.replace(examples, rows=dataclasses.replace(rows, labels=logits.argmax(1).numpy()))


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_outputs_in_another_order(family: str, rows: Rows) -> None:
    model = reader(family)
    examples = labelled_by(model, rows)
    model.config.id2label = dict(enumerate(LABELS))
    public = [2, 0, 1]  # output i of the public model is our output public[i]
    foreign = reader(family)
    foreign.load_state_dict(model.state_dict())
    inside = set(map(id, foreign.base_model.parameters()))
    for parameter in foreign.parameters():
        if id(parameter) not in inside and len(parameter) == 3:
            parameter.data = parameter.data[public].clone()
    foreign.config.id2label = {place: LABELS[own].upper() for place, own in enumerate(public)}
    before = evaluate(TASK, foreign, examples, device=CPU).metrics["accuracy"]
    kind_of(TASK).check_fits(foreign, "teacher: x", TASK)
    assert before < 0.5
    assert evaluate(TASK, foreign, examples, device=CPU).metrics["accuracy"] == 1
    assert output_names(foreign) == LABELS
    inputs = model_inputs(examples.batch(range(8)))
    torch.testing.assert_close(foreign(**inputs).logits, model(**inputs).logits, rtol=0, atol=1e-6)
    same = {name: value.clone() for name, value in model.state_dict().items()}
    kind_of(TASK).check_fits(model, "teacher: x", TASK)
    assert all(value.equal(same[name]) for name, value in model.state_dict().items())


def test_other_names_and_no_names() -> None:
    model = reader()
    assert is_generic(output_names(model)) and align_outputs(model, LABELS)
    model.config.id2label = {0: "bad", 1: "good", 2: "neutral"}
    with pytest.raises(UserError, match=r"^teacher: x has the outputs bad, good, neutral, task demo the labels entail"):
        kind_of(TASK).check_fits(model, "teacher: x", TASK)


def test_several_labels_at_once() -> None:
    model = reader()
    model.config.problem_type = "multi_label_classification"
    with pytest.raises(UserError, match=r"^teacher: x gives an input several labels at once .*task demo has one of"):
        kind_of(TASK).check_fits(model, "teacher: x", TASK)
    model.config.problem_type = "single_label_classification"
    kind_of(TASK).check_fits(model, "teacher: x", TASK)


def test_labels_that_are_numbers_are_names_too() -> None:
    model = reader()
    weight = model.get_submodule("classifier").get_parameter("weight").clone()
    model.config.id2label = {0: "0", 1: "1", 2: "2"}
    assert align_outputs(model, ["2", "1", "0"])
    assert model.get_submodule("classifier").get_parameter("weight").equal(weight.flip(0))
    assert output_names(model) == ["2", "1", "0"]


def test_spellings() -> None:
    assert new_order(["Not Entailment", "ENTAILMENT"], ["entailment", "not_entailment"]) == [1, 0]
    assert new_order(["yes", "no"], ["entailment", "not_entailment"]) is None
    assert new_order(["a", "A"], ["a", "A"]) == [0, 1]
    assert new_order(["a", "A"], ["A", "a"]) == [1, 0]
    assert new_order(["1", "-1"], ["-1", "1"]) == [1, 0]
    assert not is_generic(["LABEL_1", "LABEL_0"])


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_a_folder_without_a_tokenizer(family: str, tmp_path: Path) -> None:
    checkpoints.save(reader(family), tmp_path / "model")
    with pytest.raises(UserError, match=r"^model\.path: .*model has no tokenizer; put the files"):
        load_tokenizer(ModelConfig(name="x", path=str(tmp_path / "model")))


def test_words_that_a_tokenizer_does_not_know(rows: Rows, tmp_path: Path) -> None:
    foreign = dataclasses.replace(rows, texts=[(f"zz{number}", "yy") for number in range(len(rows))])
    right = "it has those of the built-in data alone, choose scale=small"
    with pytest.raises(UserError, match=rf"^the built-in tokenizer does not know 100% of the words of .*; {right}"):
        encode_for(reader(), foreign, demo_tokenizer())
    demo_tokenizer().save_pretrained(tmp_path / "model")  # as the folder of a model that was trained here has it
    saved = load_tokenizer(ModelConfig(name="x", path=str(tmp_path / "model")))
    with pytest.raises(UserError, match=rf"^the built-in tokenizer does not know 100% of the words of .*; {right}"):
        encode_for(reader(), foreign, saved)
    half = dataclasses.replace(rows, texts=[(f"zz{number}", "dog") for number in range(len(rows))])
    assert len(encode_for(reader(), half, demo_tokenizer())) == len(rows)  # no more than half of them
    with pytest.raises(UserError, match=r"^tokenizer of mine does not know 100% .*; give the model its own tokenizer$"):
        own = demo_tokenizer()
        own.add_tokens(["surplus"])
        own.name_or_path = "mine"
        encode_for(reader(vocab_size=len(own)), foreign, own)


def test_ids_beyond_the_tables(rows: Rows) -> None:
    size = len(demo_tokenizer())
    with pytest.raises(UserError, match=rf"has {size} words, the model's table of embeddings {size - 1}"):
        encode_for(reader(vocab_size=size - 1), rows, demo_tokenizer())
    own = demo_tokenizer()
    own.add_tokens(["surplus"])
    assert encode_for(reader(), rows, own).input_ids == encode(rows, own).input_ids  # no row has it
    texts = [*rows.texts[:5], ("surplus", "surplus"), *rows.texts[6:]]
    with pytest.raises(UserError, match=rf"{size} in row 5 \(counted from 0\) of task demo, .* ends at {size - 1}"):
        encode_for(reader(), dataclasses.replace(rows, texts=texts), own)


def test_token_types(rows: Rows) -> None:
    model = reader(type_vocab_size=1)
    examples = encode_for(model, rows, demo_tokenizer())
    assert examples.token_type_ids is None
    assert np.isfinite(evaluate(TASK, model, examples, device=CPU).metrics["accuracy"])
    assert encode_for(reader("distilbert"), rows, demo_tokenizer()).token_type_ids is None
    whole = encode_for(reader(), rows, demo_tokenizer())
    kept = whole.token_type_ids
    assert kept is not None and max(map(max, kept)) == 1
    higher = dataclasses.replace(whole, token_type_ids=[kept[0], [2, *kept[1][1:]], *kept[2:]])
    with pytest.raises(UserError, match=r"^task demo: token type 2 in the input, the model has 2; give the model its"):
        fitted(higher, input_tables(reader()))
    assert fitted(higher, input_tables(reader(type_vocab_size=3))).token_type_ids == higher.token_type_ids


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_positions_that_are_no_multiple_of_the_padding(family: str, rows: Rows) -> None:
    counts_from_padding = family in ("roberta", "xlm-roberta", "camembert", "data2vec-text", "mpnet")
    most = (23 if family == "mpnet" else 22) if counts_from_padding else 21  # MPNet counts from 2 whatever padding is
    model = reader(family, max_position_embeddings=most)
    task = dataclasses.replace(TASK, max_length=21)
    long: list[tuple[str, ...]] = [(f"{text} {text}", other) for text, other in rows.texts]
    own = dataclasses.replace(rows, task=task, texts=long)
    examples = encode_for(model, own, demo_tokenizer())
    assert examples.batch(range(4)).get("input_ids").shape[1] == 21  # type: ignore[union-attr]
    wider = dataclasses.replace(examples, widest=None)
    assert examples.fingerprint() == wider.fingerprint()
    assert np.isfinite(evaluate(task, model, examples, device=CPU).metrics["accuracy"])


@pytest.mark.parametrize("family", TRANSLATORS)
def test_translation_at_the_last_position(family: str) -> None:
    model = translator(family, max_position_embeddings=60, vocab_size=50)
    task = TaskConfig(name="t", translation=True, columns=["a", "b"], metrics=["bleu"], max_length=60)
    ids = [[5 + (place + number) % 40 for place in range(60 - number)] for number in range(3)]
    own = Rows(task, "test", [("x",)] * 3, np.asarray(["y"] * 3, dtype=object), 3)
    pairs = fitted(Pairs(own, ids, None, 1, ids, demo_tokenizer()), input_tables(model))
    assert isinstance(pairs, Pairs)
    batch = pairs.batch(range(3))
    assert batch["input_ids"].shape == batch["labels"].shape == (3, 60)  # a multiple of 8 would be 64
    assert all(scores.isfinite().all() for scores in prunekit.head_importance(model, [batch]).values())
    assert len(translate(model, pairs, device=CPU, beams=1)) == 3


def test_questions_at_the_last_position_and_without_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, generated(12))
    found = load_rows(squad_task(files={"train": str(path)}, max_length=24), "train")
    size = len(tokenizer())
    model = tiny("bert", dtype=torch.float32, head=AutoModelForQuestionAnswering, num_labels=2, vocab_size=size,
                 max_position_embeddings=24)  # fmt: skip
    examples = encode_for(model, found, tokenizer())
    assert evaluate(found.task, model, examples, device=CPU).per_row is not None
    model.get_parameter("qa_outputs.bias").data.fill_(torch.nan)
    with pytest.raises(UserError, match=r"^row 0: the model's output is nan"):
        evaluate(found.task, model, examples, device=CPU)


@pytest.mark.parametrize("regression", [False, True])
def test_outputs_that_are_no_numbers(rows: Rows, regression: bool) -> None:
    task = dataclasses.replace(TASK, labels=[], metrics=["pearson"]) if regression else TASK
    model = reader(num_labels=1 if regression else 3)
    examples = encode_for(model, rows, demo_tokenizer())
    earlier = {word for ids in examples.input_ids[:7] for word in ids}
    first = min(set(examples.input_ids[7]) - earlier, default=None)
    table = model.get_parameter("bert.embeddings.word_embeddings.weight")
    word = examples.input_ids[0][1] if first is None else first
    table.data[word] = torch.nan
    row = next(place for place, ids in enumerate(examples.input_ids) if word in ids)
    with pytest.raises(UserError, match=rf"^row {row}: the model's output is nan, as of \d+ of 48 examples"):
        evaluate(task, model, examples, device=CPU)
