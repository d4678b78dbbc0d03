"""What a model card says is so: its lines load the model and use it, its warnings are there where they are due."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedTokenizerFast,
)

import prunekit
from prunekit.models.export.card import INSTALL, OF_FLOAT32, WARNING, Facts, card_text
from prunekit.models.export.exporting import Exported
from tests.support.families import base_of, tiny
from tests.support.masks import uneven_masks
from tests.support.registration import registered
from tests.support.translators import translator, uneven

WORDS = ["Who", "was", "it", "It", "me", "a", "sentence", "and", "another", "one"]


@pytest.fixture(scope="module", autouse=True)
def known() -> Iterator[None]:
    with registered():
        yield


def tokenizer(mask: str = "<mask>") -> Any:
    """Of the words that cards have, and of ids of the tiny models; its mask is not that of BERT."""
    special = ["<s>", "<pad>", "</s>", "<unk>", mask]
    words = {word: number for number, word in enumerate([*special, *WORDS])}
    own = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    own.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    own.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        cls_token="<s>", sep_token="</s>", mask_token=mask,
    )  # fmt: skip


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that a card's lines leave, run in its folder as they are."""
    [lines] = re.findall(r"```python\n(.*?)\n```", (folder / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(folder)
    left: dict[str, Any] = {}
    exec(lines, left)
    return left


@pytest.mark.parametrize("format", ["native", "padded"])
@pytest.mark.parametrize(
    "head",
    [
        AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoModelForQuestionAnswering,
        AutoModelForMultipleChoice, AutoModelForMaskedLM, None,
    ],
)  # fmt: skip
def test_the_lines_of_a_card_load_an_encoder_and_use_it(
    head: Any, format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("bert", dtype=torch.float32, head=head or AutoModelForSequenceClassification, num_labels=2)
    masks = uneven_masks(model)
    if head in (AutoModelForMaskedLM, None):
        masks.hidden = None
    small = prunekit.prune(model, masks)
    taken = small if head else base_of(small)
    prunekit.export(taken, tmp_path / "out", format, tokenizer=tokenizer())
    left = run(tmp_path / "out", monkeypatch)
    if head in (AutoModelForMultipleChoice, None):
        assert type(left["model"]) is type(taken)
        return
    answer = left["answer"]
    if head is AutoModelForQuestionAnswering:
        assert answer and set(answer.split()) <= {"It", "was", "me.", "<unk>"}
    elif head is AutoModelForMaskedLM:
        assert len(answer) == 5 and 0 < answer[0]["score"] <= 1
    elif head is AutoModelForTokenClassification:
        assert [item["word"] for item in answer] == ["a", "sentence"]
    else:
        assert answer[0]["label"].startswith("LABEL_")


def test_a_model_of_pairs_is_shown_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    for pairs, asked in ((True, '"text_pair": "and another one"'), (False, '("a sentence")')):
        prunekit.export(small, tmp_path / "out", tokenizer=tokenizer(), facts=Facts(pairs=pairs))
        card = (tmp_path / "out" / "README.md").read_text()
        assert asked in card
        assert '\n\nIn this folder; elsewhere, with its path or its name on the Hub in place of `"."`:\n\n```' in card
        assert "`import prunekit.auto`; 0.02 MB.\n" in card
        assert "Its outputs on random tokens and the model's own are the same." in card
        assert "wrote this model: `pip install .` in a checkout" in card
        assert "score" in str(run(tmp_path / "out", monkeypatch)["answer"])


@pytest.mark.parametrize("family", ["marian", "bart"])
def test_a_translator_decodes_as_far_as_it_has_positions(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = prunekit.prune(model := translator(family, dtype=torch.float32), uneven(model))
    for format in ("padded", "native"):
        prunekit.export(small, tmp_path / format, format, tokenizer=tokenizer())
        left = run(tmp_path / format, monkeypatch)
        assert left["words"].shape[1] <= 40 and len(left["answer"]) == 1
        assert "max_length=40" in (tmp_path / format / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("family", "first"), [("marian", None), ("bart", 7)])
def test_the_loop_of_a_card_decodes_as_generate_does(
    family: str, first: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the word that translations begin with where the model has one, until its positions end."""
    small: Any = prunekit.prune(model := translator(family, dtype=torch.float32), uneven(model))
    small.generation_config.forced_bos_token_id = first
    small.generation_config.forced_eos_token_id = None
    small.get_output_embeddings().weight.data[2] -= 9  # a long one
    prunekit.export(small, tmp_path / "out", "onnx", tokenizer=tokenizer())
    left = run(tmp_path / "out", monkeypatch)
    ids, mask = (torch.from_numpy(left["source"][name]) for name in ("input_ids", "attention_mask"))
    words = small.generate(
        ids, attention_mask=mask, num_beams=1, do_sample=False, max_length=40, bad_words_ids=[[1]]
    )
    assert left["words"].tolist() == words.tolist()
    assert first is None or words[0, 1] == first


@pytest.mark.slow
def test_the_lines_of_a_tagger_s_card_tag_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("bert", dtype=torch.float32, head=AutoModelForTokenClassification, num_labels=3)
    small = prunekit.prune(model, uneven_masks(model))
    prunekit.export(small, tmp_path / "out", "onnx", tokenizer=tokenizer())
    left = run(tmp_path / "out", monkeypatch)
    batch = {name: torch.from_numpy(left["batch"][name]) for name in left["names"]}
    with torch.no_grad():
        tags = small(**batch).logits[0].argmax(-1).tolist()
    assert len(set(left["first"])) == len(left["words"]) == 4
    names: Any = small.config.id2label
    assert left["answer"] == [
        (word, names[tags[place]]) for word, place in zip(left["words"], left["first"], strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("head", [AutoModelForSequenceClassification, AutoModelForQuestionAnswering])
def test_the_lines_of_a_card_run_a_graph(head: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("bert", dtype=torch.float32, head=head, num_labels=2)
    prunekit.export(prunekit.prune(model, uneven_masks(model)), tmp_path / "out", "onnx", tokenizer=tokenizer())
    left = run(tmp_path / "out", monkeypatch)
    questions = head is AutoModelForQuestionAnswering
    assert [output.shape for output in left["outputs"]] == ([(2, 7)] * 2 if questions else [(2, 2)])
    assert left["names"] == ["input_ids", "attention_mask", "token_type_ids"]


def test_of_8_bits_a_card_has_no_scores_of_float32_and_says_what_is_of_no_use() -> None:
    from huggingface_hub import EvalResult

    model = tiny("bert", dtype=torch.float32)
    score = EvalResult("text-classification", "rows", "Rows", "accuracy", 0.8125)
    better = EvalResult("text-classification", "rows", "Rows", "accuracy", 0.75)
    plain, both = Facts("Cut", results=[score]), Facts("Cut", results=[score], int8=Facts("Cut", results=[better]))

    def card(precision: str, difference: float, facts: Facts) -> str:
        return card_text(model, Exported(Path("out"), "onnx", precision, (), 9, 9, difference), facts)

    assert "0.8125" in card("float32", 1e-6, both) and WARNING not in card("float32", 1e-6, both)
    assert "value" not in card("int8", 0.1, plain) and WARNING not in card("int8", 0.1, plain)
    assert "0.75" in card("int8", 0.1, both) and "0.8125" not in card("int8", 0.1, both)
    assert f"**{WARNING}**" in card("int8", 0.3, plain)
    said = Facts("Cut", sections={"Score": "it is 0.8125"})
    assert OF_FLOAT32 not in card("float32", 0.1, said)
    assert f"\n\n{OF_FLOAT32}\n\n## Score\n\nit is 0.8125\n" in card("int8", 0.1, said)
    for none in (plain, both, Facts("Cut", int8=said)):
        assert OF_FLOAT32 not in card("int8", 0.1, none)


def test_a_whole_model_is_not_said_to_be_pruned() -> None:
    model = tiny("bert", dtype=torch.float32)
    masks = uneven_masks(model)
    cards = {}
    for name, one in (("whole", model), ("kept", prunekit.prune(model, prunekit.Masks.ones(prunekit.describe(model)))),
                      ("pruned", prunekit.prune(model, masks))):  # fmt: skip
        written = Exported(Path("out"), "onnx", "float32", (), 9, 9, 0.5)
        cards[name] = card_text(one, written, Facts())
    for name, card in cards.items():
        cut = name == "pruned"
        assert ("structured-pruning" in card, "pruned" in card.lower()) == (cut, cut)
        assert card.count("# A pruned model\n") == cut and card.count("# A model\n") == (not cut)
        assert "- prunekit\n- onnx\n" in card and INSTALL not in card


def test_a_folder_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    small = prunekit.prune(model := tiny("bert", dtype=torch.float32), uneven_masks(model))
    for given, expected in ((None, True), (tokenizer(), False)):
        prunekit.export(small, tmp_path / "out", tokenizer=given)
        assert ("The folder has no tokenizer" in (tmp_path / "out" / "README.md").read_text()) is expected


def test_a_card_counts_megabytes_of_a_million_and_macs_of_as_many_tokens_as_there_are_positions() -> None:
    model, tokens = tiny("bert", dtype=torch.float32), 40
    written = Exported(Path("out"), "onnx", "float32", (), model.num_parameters(), 12_340_000, 1e-6)
    text = card_text(model, written, Facts())
    assert "ONNX, of any batch size and length; 12.3 MB.\n" in text
    head, neuron = 4 * tokens * 16 * 4 + 2 * tokens**2 * 4, 2 * tokens * 16
    assert f"; {3 * (4 * head + 24 * neuron):,} multiply-accumulates of the layers for 40 tokens." in text
    assert f"{model.num_parameters():,} parameters (" in text
